"""How well affinities tell pairs of one class from pairs of two."""

import math

import numpy as np
import torch
from torch import Tensor

from scribblegen.segmenting.affinity import (
    KINDS,
    RADIUS,
    pair_affinities,
    pair_kinds,
    pair_offsets,
)


def pair_measures(
    features: Tensor, labels: Tensor, background: int | None, radius: int = RADIUS
) -> Tensor:
    """Sums over the pairs of each kind.

    Args:
        features: (B, C, h, w).
        labels: (B, h, w) class ids of the cells, `IGNORE_INDEX` where nothing is said.
        background: id of the background, or None.
        radius: pairs are less than so many cells apart.

    Returns:
        (3, 3) float32, a row for each of `KINDS`: how many pairs there are, their affinities, and
        how many are on the right side of 1/2.
    """
    total = torch.zeros(len(KINDS), 3, device=features.device)
    for offset in pair_offsets(radius):
        affinities = pair_affinities(features, offset)
        near = affinities > 0.5
        for row, kind in enumerate(pair_kinds(labels, offset, background)):
            right = ~near if KINDS[row] == "different" else near
            total[row] += torch.stack([kind.sum(), affinities[kind].sum(), (right & kind).sum()])
    return total


def pair_scores(measures: np.ndarray) -> dict[str, float]:
    """Sums as of `pair_measures`, (3, 3) -> mean affinity of each kind, and `pair_accuracy`, the
    mean of the shares of pairs of one class and of two that are on the right side of 1/2; NaN where
    there is no pair."""
    counts, affinities, right = np.asarray(measures, np.float64).T
    found = {
        f"affinity_{kind}": float(total / count) if count else math.nan
        for kind, total, count in zip(KINDS, affinities, counts, strict=True)
    }
    alike, apart = counts[:2].sum(), counts[2]
    both = alike and apart
    shares = (right[:2].sum() / alike + right[2] / apart) / 2 if both else math.nan
    return {**found, "pair_accuracy": float(shares)}
