"""The threshold at which a map agrees best with a mask that was found in another way."""

from collections.abc import Sequence

import numpy as np

# DiffuMask's candidates: 0.35, 0.36 .. 0.54.
CANDIDATES = tuple(round(0.35 + 0.01 * step, 2) for step in range(20))


def agreeing_threshold(
    map_: np.ndarray, coarse: np.ndarray, candidates: Sequence[float] = CANDIDATES
) -> tuple[float, float]:
    """The threshold g with the largest IoU of {map > g} and a coarse mask, and that IoU.

    All candidates are counted in one pass over the pixels. The reference orders them by half the
    Dice score, which is the same order.

    Args:
        map_: (H, W) float.
        coarse: (H, W) bool.
        candidates: thresholds, ascending; of equally good ones the first is taken.

    Returns:
        The threshold, and the IoU in [0, 1]: 0 where nothing overlaps at any.

    Raises:
        ValueError: there is no candidate, or they do not ascend.
    """
    edges = np.asarray(candidates, np.float64)
    if not len(edges) or (np.diff(edges) <= 0).any():
        raise ValueError(f"`candidates` must ascend, at least one. Got {list(candidates)}.")
    passed = np.searchsorted(edges, map_.ravel(), side="left")  # candidates below each value
    inside = coarse.ravel()
    size = len(edges) + 1

    def above(values: np.ndarray) -> np.ndarray:
        """How many of the pixels are above each candidate."""
        return np.bincount(values, minlength=size)[::-1].cumsum()[::-1][1:]

    covered, both = above(passed), above(passed[inside])
    overlap = both / np.maximum(covered + inside.sum() - both, 1)
    best = int(overlap.argmax())
    return float(edges[best]), float(overlap[best])
