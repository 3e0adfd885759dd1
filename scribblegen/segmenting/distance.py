"""How far a pixel is from the strokes and from a pseudo label's boundary, as weights in [0, 1].

Both are made from one exact Euclidean distance transform where they are used, and never stored
(CDSP, arXiv 2402.17555). Distances are in pixels of the map that is given.
"""

import math

import numpy as np
from scipy.ndimage import distance_transform_edt

from scribblegen.classes import IGNORE_INDEX

SCRIBBLE_LAMBDA = math.e
BOUNDARY_LAMBDA = math.e**6
_FULL = 255.0  # a weight of one; where the ramps end, in units of sqrt(lambda) pixels
_BACKGROUND = 0


def scribble_distance_weight(
    scribble: np.ndarray,
    lam: float = SCRIBBLE_LAMBDA,
    *,
    include_background_strokes: bool = False,
    quantise: bool = False,
) -> np.ndarray:
    """1 on the strokes, falling to 0 at 255 / sqrt(lam) pixels from them.

    Args:
        scribble: (H, W) uint8 class ids, `IGNORE_INDEX` where nobody drew.
        lam: multiplies the squared distance.
        include_background_strokes: strokes of class 0 count too; those of objects alone else.
        quantise: to 255ths, rounding the distance down, as files of the reference hold it.

    Returns:
        (H, W) float32 in [0, 1]; 0 everywhere where no stroke counts.

    Raises:
        ValueError: the map is not (H, W) uint8, or `lam` is not a positive number.
    """
    _check(scribble, "scribble", lam)
    strokes = scribble != IGNORE_INDEX
    if not include_background_strokes:
        strokes &= scribble != _BACKGROUND
    return _weights(_FULL - _scaled_distance(strokes, lam, quantise))


def boundary_distance_weight(
    pseudo_label: np.ndarray,
    lam: float = BOUNDARY_LAMBDA,
    *,
    class_wise_contours: bool = False,
    quantise: bool = False,
) -> np.ndarray:
    """0 on the boundary of a pseudo label's objects, rising to 1 at 255 / sqrt(lam) pixels from it.

    Args:
        pseudo_label: (H, W) uint8 class ids; `IGNORE_INDEX` counts as background.
        lam: multiplies the squared distance.
        class_wise_contours: the boundaries between objects of two classes count too; else those
            against the background alone.
        quantise: see `scribble_distance_weight`.

    Returns:
        (H, W) float32 in [0, 1]; 1 everywhere where there is no object, and so no boundary.

    Raises:
        ValueError: the map is not (H, W) uint8, or `lam` is not a positive number.
    """
    _check(pseudo_label, "pseudo_label", lam)
    objects = np.where(pseudo_label == IGNORE_INDEX, _BACKGROUND, pseudo_label)
    if not class_wise_contours:
        objects = objects != _BACKGROUND
    return _weights(_scaled_distance(contour(objects), lam, quantise))


def contour(objects: np.ndarray) -> np.ndarray:
    """The pixels of objects that touch, by a side, what is not theirs, or the frame.

    They are the points of the outer and inner contours as OpenCV's `findContours` walks them.

    Args:
        objects: (H, W) bool, or class ids; 0 is no object.

    Returns:
        (H, W) bool.
    """
    framed = np.pad(objects, 1)
    inner = framed[1:-1, 1:-1]
    neighbours = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    touches = np.zeros(inner.shape, bool)
    for neighbour in neighbours:
        touches |= neighbour != inner
    return touches & (inner != 0)


def _scaled_distance(points: np.ndarray, lam: float, quantise: bool) -> np.ndarray:
    """min(255, sqrt(lam) * distance to the nearest of `points`); 255 where there are none."""
    if not points.any():
        return np.full(points.shape, _FULL)
    scaled = np.minimum(math.sqrt(lam) * distance_transform_edt(~points), _FULL)
    return np.floor(scaled) if quantise else scaled


def _weights(values: np.ndarray) -> np.ndarray:
    return (values / _FULL).astype(np.float32)


def _check(values: np.ndarray, name: str, lam: float) -> None:
    if values.ndim != 2 or values.dtype != np.uint8:
        raise ValueError(
            f"`{name}` must be (H, W) uint8 class ids. Got {values.shape} {values.dtype}."
        )
    if not (math.isfinite(lam) and lam > 0):
        raise ValueError(f"`lam` must be a positive number. Got {lam}.")
