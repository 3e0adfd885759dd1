"""Mistakes of the simulated annotator: strokes that run on over the border of their region."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from scribblegen.classes import IGNORE_INDEX
from scribblegen.scribbles.strokes import Stroke, rasterise

MAX_ERROR_RATE = 0.03  # more than this the ends of a few strokes cannot carry
_FARTHEST = 4.0  # stroke widths past the border, at most


def add_errors(
    strokes: Sequence[Stroke],
    mask: np.ndarray,
    error_rate: float,
    rasteriser: str,
    rng: np.random.Generator,
) -> list[Stroke]:
    """Lets ends of strokes run over the border until enough drawn pixels are wrong.

    Args:
        strokes: The strokes in drawing order; none of their pixels is wrong yet.
        mask: (H, W) uint8 class ids and `IGNORE_INDEX` (void), on which no pixel is wrong.
        error_rate: How likely a drawn pixel is wrong, up to `MAX_ERROR_RATE`. The number of wrong
            pixels is drawn from the binomial distribution, and met to about a stroke's width.
        rasteriser: How the strokes will be drawn; see `strokes.rasterise`.
        rng: The generator of the number of wrong pixels, which is advanced.

    Returns:
        The strokes in the same order. Fewer pixels are wrong where no stroke has a foreign class
        to run into.
    """
    strokes = list(strokes)
    scribble = rasterise(strokes, mask.shape[0], mask.shape[1], rasteriser)
    missing = int(rng.binomial(np.count_nonzero(scribble != IGNORE_INDEX), error_rate))
    steps = {c: _steps_outward(c, mask) for c in {stroke.class_id for stroke in strokes}}
    # The hand slips where the border is near, most of the time.
    distances = np.array([_nearer_end(stroke, steps[stroke.class_id])[1] for stroke in strokes])
    for index in np.argsort(distances * rng.uniform(0.2, 1.0, len(strokes))):
        if missing <= 0 or not np.isfinite(distances[index]):
            break
        stroke = strokes[index]
        overshoot = min(missing / stroke.width, _FARTHEST * stroke.width * rng.uniform(0.25, 1))
        strokes[index] = _run_over(stroke, steps[stroke.class_id], overshoot)
        missing -= _num_wrong(strokes[index], mask, rasteriser)
    return strokes


def _steps_outward(class_id: int, mask: np.ndarray) -> np.ndarray:
    """(H, W, 2) float64: x and y from each pixel to the nearest one of another class, or inf."""
    own = (mask == class_id) | (mask == IGNORE_INDEX)
    if own.all():
        return np.full((*mask.shape, 2), np.inf)
    rows, columns = distance_transform_edt(own, return_distances=False, return_indices=True)
    y, x = np.indices(mask.shape)
    return np.stack([columns - x, rows - y], axis=2).astype(np.float64)


def _nearer_end(stroke: Stroke, steps: np.ndarray) -> tuple[int, float]:
    """Which end of the stroke, 0 or 1, is nearer to another class, and how far, in pixels."""
    columns, rows = np.rint(stroke.points[[0, -1]]).astype(int).T
    distances = np.hypot(*steps[rows, columns].T)
    distances[distances == 0] = np.inf  # on the very edge, between pixels: no way is outward
    end = int(np.argmin(distances))
    return end, float(distances[end])


def _run_over(stroke: Stroke, steps: np.ndarray, overshoot: float) -> Stroke:
    """The stroke, continued from the end nearer to another class, `overshoot` pixels into it."""
    end, distance = _nearer_end(stroke, steps)
    start = stroke.points[-end]
    column, row = np.rint(start).astype(int)
    outward = steps[row, column] / distance
    tip = start + outward * (distance + max(overshoot - 1, 0))
    points = [stroke.points, tip[None]] if end else [tip[None], stroke.points]
    return replace(stroke, points=np.concatenate(points))


def _num_wrong(stroke: Stroke, mask: np.ndarray, rasteriser: str) -> int:
    drawn = rasterise([stroke], mask.shape[0], mask.shape[1], rasteriser) == stroke.class_id
    return int(np.count_nonzero(drawn & (mask != stroke.class_id) & (mask != IGNORE_INDEX)))
