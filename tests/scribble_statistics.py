"""What can be measured of a scribble against the dense mask."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import label as connected_pieces
from skimage.morphology import skeletonize

from scribblegen.classes import IGNORE_INDEX, present_classes


@dataclass(frozen=True)
class ScribbleStatistics:
    """Figures of one scribble. Shares are in [0, 1], and NaN where nothing is drawn.

    Args:
        labelled_fraction: drawn pixels / all pixels.
        coverage: for each class of the mask, its pixels drawn with its own label / its pixels.
        agreement: drawn pixels that carry the mask's label / drawn pixels off void.
        on_void: drawn pixels on void / drawn pixels.
        pieces: for each class drawn, its connected pieces (8 neighbours).
        mean_width: drawn pixels / length of their skeleton, in pixels; NaN where nothing is drawn.
    """

    labelled_fraction: float
    coverage: dict[int, float]
    agreement: float
    on_void: float
    pieces: dict[int, int]
    mean_width: float


def measure_scribbles(scribble: np.ndarray, mask: np.ndarray) -> ScribbleStatistics:
    """Measures `scribble` against `mask`, both (H, W) uint8 class ids and `IGNORE_INDEX`."""
    if scribble.shape != mask.shape:
        raise ValueError(
            f"`scribble` must have the shape of `mask`, {mask.shape}. Got {scribble.shape}."
        )
    drawn = scribble != IGNORE_INDEX
    known = mask != IGNORE_INDEX
    right = drawn & known & (scribble == mask)
    coverage = {
        c: float(np.count_nonzero(right & (mask == c)) / np.count_nonzero(mask == c))
        for c in present_classes(mask)
    }
    labels, lengths = {}, 0.0
    for class_id in present_classes(scribble):
        piece_labels = connected_pieces(scribble == class_id, connectivity=2)
        labels[class_id] = int(piece_labels.max())
        lengths += _skeleton_length(scribble == class_id)
    return ScribbleStatistics(
        labelled_fraction=float(drawn.mean()),
        coverage=coverage,
        agreement=_share(np.count_nonzero(right), np.count_nonzero(drawn & known)),
        on_void=_share(np.count_nonzero(drawn & ~known), np.count_nonzero(drawn)),
        pieces=labels,
        mean_width=_share(np.count_nonzero(drawn), lengths),
    )


def _share(count: float | np.integer, total: float | np.integer) -> float:
    return float(count / total) if total else float("nan")


def _skeleton_length(region: np.ndarray) -> float:
    """Pixels of the skeleton, with a diagonal step counting sqrt(2)."""
    thin = np.pad(skeletonize(region), 1)
    straight = np.count_nonzero(thin[:, 1:] & thin[:, :-1]) + np.count_nonzero(thin[1:] & thin[:-1])
    # A diagonal step only where no straight way leads around the corner.
    falling = thin[1:, 1:] & thin[:-1, :-1] & ~thin[1:, :-1] & ~thin[:-1, 1:]
    rising = thin[1:, :-1] & thin[:-1, 1:] & ~thin[1:, 1:] & ~thin[:-1, :-1]
    diagonal = np.count_nonzero(falling) + np.count_nonzero(rising)
    return straight + 2**0.5 * diagonal
