"""The fully connected conditional random field (Kraehenbuehl and Koltun 2011), by mean field."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from scribblegen.segmenting.affinity_sums import affinity_sums
from scribblegen.segmenting.lattice import Lattice

_SMALLEST = 1e-6  # a probability of zero could never be outvoted

Filter = Callable[[Tensor], Tensor]


def dense_crf(
    probabilities: Tensor,
    image: Tensor,
    *,
    steps: int = 10,
    appearance_weight: float = 10.0,
    sigma_xy: float = 80.0,
    sigma_rgb: float = 13.0,
    smoothness_weight: float = 3.0,
    sigma_smooth: float = 3.0,
    method: Literal["fast", "exact"] = "fast",
) -> Tensor:
    """Pixels that are near and alike come to agree.

    Every pair of pixels that disagrees costs `appearance_weight` times a Gaussian of place and
    colour, and `smoothness_weight` times one of place alone, both normalised symmetrically by their
    sums. The defaults are those in use for masks of photographs of some 500 pixels.

    Args:
        probabilities: (K, H, W) float, K >= 2, not negative; what each pixel says by itself. Not
            changed.
        image: (3, H, W), 0 to 255, float or uint8.
        steps: of the mean field, in which all pixels are updated together.
        appearance_weight: how much pixels that look alike count.
        sigma_xy, sigma_rgb: deviations of place (pixels) and colour in it.
        smoothness_weight: how much near pixels count, whatever their colour.
        sigma_smooth: deviation of place (pixels) in it.
        method: `exact` sums over all pairs, in time that grows with their number; `fast` sums on a
            lattice, in time that grows with the pixels.

    Returns:
        (K, H, W) float32, summing to 1 at every pixel.

    Raises:
        ValueError: shapes do not fit, or a number is out of its range.
    """
    if probabilities.ndim != 3 or len(probabilities) < 2:
        raise ValueError(
            f"`probabilities` must be (K, H, W) with K at least 2. Got {tuple(probabilities.shape)}"
            "; for one class give it and the rest, 1 - p."
        )
    labels, height, width = probabilities.shape
    if image.shape != (3, height, width):
        raise ValueError(
            f"`image` must be (3, {height}, {width}), as large as `probabilities`. Got "
            f"{tuple(image.shape)}."
        )
    if min(sigma_xy, sigma_rgb, sigma_smooth) <= 0:
        raise ValueError(
            "`sigma_xy`, `sigma_rgb` and `sigma_smooth` must be above 0. Got "
            f"{sigma_xy}, {sigma_rgb} and {sigma_smooth}."
        )
    if method not in ("fast", "exact"):
        raise ValueError(f"`method` must be fast or exact. Got {method!r}.")
    logs = probabilities.float().flatten(1).clamp(min=_SMALLEST).log()
    places = torch.stack(
        torch.meshgrid(
            torch.arange(height, device=image.device, dtype=torch.float32),
            torch.arange(width, device=image.device, dtype=torch.float32),
            indexing="ij",
        )
    ).flatten(1)
    alike = torch.cat([places / sigma_xy, image.float().flatten(1) / sigma_rgb])
    sums: list[tuple[float, Filter]] = []
    if method == "exact":
        sums.append((appearance_weight, lambda values: affinity_sums(values, alike)))
        near = places / sigma_smooth
        sums.append((smoothness_weight, lambda values: affinity_sums(values, near)))
    else:
        sums.append((appearance_weight, Lattice(alike).sums))
        sums.append((smoothness_weight, _separable(height, width, sigma_smooth, image.device)))
    kernels = [_normalised(filter_, logs[:1]) for weight, filter_ in sums if weight]
    weights = [weight for weight, _ in sums if weight]
    everyone = [kernel(torch.ones_like(logs[:1])) for kernel in kernels]
    found = torch.softmax(logs, dim=0)
    for _ in range(steps):
        message = torch.zeros_like(logs)
        for weight, kernel, total in zip(weights, kernels, everyone, strict=True):
            # The labels sum to 1: the last one's sum is what the others leave.
            first = kernel(found[:-1])
            message += weight * torch.cat([first, total - first.sum(dim=0, keepdim=True)])
        found = torch.softmax(logs + message, dim=0)
    return found.view(labels, height, width)


def _normalised(filter_: Filter, like: Tensor) -> Filter:
    """With weights k_ij / sqrt(N_i N_j), N the sums of k: a common factor of `filter_` cancels."""
    scale = filter_(torch.ones_like(like)).clamp(min=1e-20).rsqrt()
    return lambda values: scale * filter_(scale * values)


def _separable(height: int, width: int, sigma: float, device: torch.device) -> Filter:
    """Gaussian sums over places alone: exact, one axis after the other."""

    def along(side: int) -> Tensor:
        places = torch.arange(side, device=device, dtype=torch.float32) / sigma
        return torch.exp(-0.5 * (places[:, None] - places).square())

    rows, columns = along(height), along(width)
    return lambda values: (rows @ values.view(-1, height, width) @ columns).flatten(1)
