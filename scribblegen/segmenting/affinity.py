"""How much near places belong together, by their features, and how that is learned from masks.

AffinityNet (arXiv 1803.10464), as DiffuMask has it: pairs of cells of a grid that are less than a
radius apart; their affinity is exp(-mean |difference of their features|).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX

RADIUS = 5  # cells
KINDS = ("background", "foreground", "different")  # of pairs
_WEIGHTS = (0.25, 0.25, 0.5)
_SMALLEST = 1e-5  # inside the logarithms


def pair_offsets(radius: int = RADIUS) -> tuple[tuple[int, int], ...]:
    """(rows, columns) from the one to the other of every pair, each pair once: half a disc."""
    return tuple(
        (down, right)
        for down in range(radius)
        for right in range(1 - radius, radius)
        if (down > 0 or right > 0) and down**2 + right**2 < radius**2
    )


def cell_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) class ids -> (B, *size), of the pixel in the middle of each cell."""
    cells = F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")
    return cells[:, 0].to(labels.dtype)


def pair_affinities(features: Tensor, offset: tuple[int, int]) -> Tensor:
    """(..., C, h, w) -> (..., h', w') float32 in (0, 1]: the affinity of all pairs of an offset."""
    one, other = _pairs(features.float(), offset)
    return torch.exp(-(one - other).abs().mean(dim=-3))


def pair_kinds(labels: Tensor, offset: tuple[int, int], background: int | None) -> Tensor:
    """Which pairs of an offset are of which kind; a pair with an unlabelled cell is of none.

    Args:
        labels: (..., h, w) class ids, `IGNORE_INDEX` where nothing is said.
        offset: one of `pair_offsets`.
        background: the class of the kind background; None where every class counts as foreground.

    Returns:
        (3, ..., h', w') bool, in the order of `KINDS`: both of the background, both of one other
        class, of two classes.
    """
    one, other = _pairs(labels, offset)
    known = (one != IGNORE_INDEX) & (other != IGNORE_INDEX)
    same = known & (one == other)
    is_background = same & (one == (-1 if background is None else background))
    return torch.stack([is_background, same & ~is_background, known & ~same])


def pair_counts(labels: Tensor, background: int | None, radius: int = RADIUS) -> Tensor:
    """(B, h, w) class ids -> (3,) int64: the pairs of each of `KINDS`."""
    counts = [
        pair_kinds(labels, offset, background).flatten(1).sum(dim=1)
        for offset in pair_offsets(radius)
    ]
    return torch.stack(counts).sum(dim=0)


def affinity_losses(
    features: Tensor,
    labels: Tensor,
    background: int | None,
    *,
    radius: int = RADIUS,
    counts: Tensor | None = None,
) -> dict[str, Tensor]:
    """1/4 of the mean of -log a over pairs of the background, 1/4 of it over pairs of one other
    class, 1/2 of the mean of -log(1 - a) over pairs of two classes.

    The weights of kinds that have no pair go to the others, so that they always sum to 1.

    Args:
        features: (B, C, h, w).
        labels: (B, h, w) class ids of the cells, `IGNORE_INDEX` where nothing is said.
        background: id of the background, or None.
        radius: pairs are less than so many cells apart.
        counts: (3,) pairs to divide by, and to weigh by; those of this batch if None.

    Returns:
        The weighed part of each of `KINDS`, by name; they sum to the loss. Zero, with a gradient of
        zeros, where there is no pair of a kind.
    """
    if counts is None:
        counts = pair_counts(labels, background, radius)
    sums = features.new_zeros(len(KINDS), dtype=torch.float32)
    for offset in pair_offsets(radius):
        affinities = pair_affinities(features, offset)
        kinds = pair_kinds(labels, offset, background)
        alike = -torch.log(affinities + _SMALLEST)
        apart = -torch.log(1 + _SMALLEST - affinities)
        each = torch.stack([alike, alike, apart])
        sums = sums + (each * kinds).flatten(1).sum(dim=1)
    weights = torch.tensor(_WEIGHTS, device=sums.device) * (counts > 0)
    weights = weights / weights.sum().clamp(min=_SMALLEST)
    # Fractions of pairs are divided by too: calls of a step share them out.
    parts = weights * sums / torch.where(counts > 0, counts, 1)
    return dict(zip(KINDS, parts, strict=True))


def affinity_matrix(features: Tensor, radius: int = RADIUS) -> Tensor:
    """The affinity of every two places of an image.

    Args:
        features: (C, h, w).
        radius: of places so many cells apart, or more, it is 0.

    Returns:
        (h w, h w) float32 in [0, 1], symmetric, ones on the diagonal.
    """
    height, width = features.shape[-2:]
    numbers = torch.arange(height * width, device=features.device).view(height, width)
    matrix = torch.eye(height * width, device=features.device)
    for offset in pair_offsets(radius):
        one, other = (places.flatten() for places in _pairs(numbers, offset))
        affinities = pair_affinities(features, offset).flatten()
        matrix[one, other] = affinities
        matrix[other, one] = affinities
    return matrix


def _pairs(values: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(..., h, w) -> the first and the second of all pairs, (..., h - down, w - |right|) each."""
    down, right = offset
    height, width = values.shape[-2:]
    rows, columns = max(height - down, 0), max(width - abs(right), 0)
    left, shifted = max(-right, 0), max(right, 0)
    one = values[..., :rows, left : left + columns]
    other = values[..., down : down + rows, shifted : shifted + columns]
    return one, other
