"""Sums over all pairs of pixels, weighed by how near and how alike the two are: exact."""

import torch
from torch import Tensor

_AFFINITIES_AT_ONCE = 1 << 22  # 16 MB


def affinity_sums(values: Tensor, features: Tensor) -> Tensor:
    """Every pixel's sum over all pixels j of exp(-|f_i - f_j|^2 / 2) values_j, itself included.

    No affinity is kept: they are made a few rows at a time and thrown away. Time grows with the
    square of the pixels, memory does not. `lattice.Lattice` approximates it in linear time.

    Args:
        values: (K, P) float.
        features: (F, P) float, in units of the Gaussian's deviation.

    Returns:
        (K, P).
    """
    pixels = features.shape[1]
    squares = features.square().sum(dim=0)
    parts = []
    for chunk in torch.arange(pixels, device=features.device).split(
        max(1, _AFFINITIES_AT_ONCE // pixels)
    ):
        products = features[:, chunk].T @ features
        distances = (squares[chunk, None] + squares - 2 * products).clamp(min=0)
        parts.append(values @ torch.exp(-0.5 * distances).T)
    return torch.cat(parts, dim=1)
