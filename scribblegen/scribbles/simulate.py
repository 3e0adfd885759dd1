"""Scribbles drawn by a simulated annotator on a dense mask.

The constants are calibrated on human scribbles: ScribbleSup (natural images, about 3 % of the
pixels drawn, stroke width 3 at 500 pixels, 2-7 % of a large object) and GrabCut's.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import label as connected_pieces

from scribblegen.classes import IGNORE_INDEX
from scribblegen.scribbles.drawing import draw_stroke, narrow_stroke
from scribblegen.scribbles.errors import MAX_ERROR_RATE, add_errors
from scribblegen.scribbles.strokes import Stroke, arc_length, rasterise
from scribblegen.scribbles.styles import STYLES, Region

DEFAULT_STYLES: Mapping[str, float] = {
    "longest_path": 0.4,
    "line": 0.2,
    "branch": 0.2,
    "arc": 0.2,
}

_REFERENCE_SIDE = 500  # pixels: the longer side of the images that the constants are for
_REFERENCE_WIDTH = 3.0
_MIN_WIDTH = 1.5
_MIN_AREA, _MIN_AREA_SHARE = 20, 80 / (500 * 375)
# A region gets strokes until they cover a share of it drawn from this range, 3 at most. Small
# regions are past it with one stroke, and large ones, the background too, rarely are.
_COVERAGE = (0.015, 0.04)
_MOST_STROKES = 3


def default_width(height: int, width: int) -> float:
    """Stroke width in pixels: 3 for a picture of 500 pixels, in proportion, and at least 1.5."""
    return max(_MIN_WIDTH, round(_REFERENCE_WIDTH * max(height, width) / _REFERENCE_SIDE, 2))


def simulate_scribbles(
    mask: np.ndarray,
    *,
    seed: int,
    styles: Mapping[str, float] = DEFAULT_STYLES,
    width: float | None = None,
    error_rate: float = 0.0,
    rasteriser: str = "polyline",
) -> tuple[np.ndarray, list[Stroke]]:
    """Draws on each region of `mask` what an annotator might draw.

    Every connected region of at least 20 pixels, and 80 at 500 x 375, gets a stroke, and a large
    one up to 3; background is a class like any other. Where a region is too narrow for the pen,
    the stroke is thinner than `width`.

    Args:
        mask: (H, W) uint8 class ids; `IGNORE_INDEX` (void) is left alone.
        seed: The seed of this picture, e.g. `seeds.derive_seed(root, source_id, "scribble")`.
        styles: The weight of each style of `styles.STYLES`.
        width: The width of the strokes, in pixels. Defaults to `default_width`.
        error_rate: The share of the drawn pixels that carry a wrong label, void aside: strokes run
            over the border of their region. Humans: about 0.01. At 0 every pixel is right.
        rasteriser: How the strokes are drawn; see `strokes.rasterise`.

    Returns:
        The scribble, (H, W) uint8 with `IGNORE_INDEX` where nobody drew, and the strokes that it
        is the raster of, in drawing order.
    """
    weights = _check(mask, styles, width, error_rate)
    height, picture_width = mask.shape
    pen = default_width(height, picture_width) if width is None else width
    rng = np.random.Generator(np.random.PCG64(seed))
    strokes: list[Stroke] = []
    for region in _regions(mask):
        strokes += _region_strokes(region, styles, weights, pen, max(mask.shape), rasteriser, rng)
    strokes = [strokes[i] for i in rng.permutation(len(strokes))]
    if error_rate > 0:
        strokes = add_errors(strokes, mask, error_rate, rasteriser, rng)
    return rasterise(strokes, height, picture_width, rasteriser), strokes


def _regions(mask: np.ndarray) -> Iterator[Region]:
    """Connected regions of one class above the area floor, in reading order."""
    labels = connected_pieces(mask.astype(np.int16), background=IGNORE_INDEX, connectivity=1)
    areas = np.bincount(labels.ravel())
    floor = max(_MIN_AREA, _MIN_AREA_SHARE * mask.size)
    counts: dict[int, int] = {}
    for number, window in enumerate(find_objects(labels), start=1):
        if areas[number] < floor:
            continue
        rows, columns = window
        inside = np.pad(labels[window] == number, 1)
        row, column = np.argwhere(inside)[0]
        class_id = int(mask[rows.start + row - 1, columns.start + column - 1])
        component = counts.get(class_id, 0)
        counts[class_id] = component + 1
        yield Region(class_id, component, inside, (columns.start - 1, rows.start - 1))


def _region_strokes(
    region: Region,
    styles: Mapping[str, float],
    weights: np.ndarray,
    pen: float,
    side: int,
    rasteriser: str,
    rng: np.random.Generator,
) -> list[Stroke]:
    """At least one stroke, and more, each where the others are not, up to the wanted coverage."""
    wanted = rng.uniform(*_COVERAGE) * region.area
    strokes: list[Stroke] = []
    free: Region | None = region
    while free is not None and wanted > 0 and len(strokes) < _MOST_STROKES:
        style = str(rng.choice(list(styles), p=weights))
        stroke = draw_stroke(free, style, pen, side, rasteriser, rng)
        if stroke is None:
            break
        strokes.append(stroke)
        wanted -= stroke.width * arc_length(stroke)
        if wanted > 0:
            free = free.away_from(stroke.points - region.corner)
    return strokes or [narrow_stroke(region, pen, rasteriser)]


def _check(
    mask: np.ndarray, styles: Mapping[str, float], width: float | None, error_rate: float
) -> np.ndarray:
    """The weights of `styles`, summing to 1."""
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"`mask` must be (H, W) uint8. Got {mask.shape} {mask.dtype}.")
    unknown = sorted(set(styles) - set(STYLES))
    if unknown:
        raise ValueError(f"`styles` must be among {list(STYLES)}. Got {unknown}.")
    weights = np.array(list(styles.values()), np.float64)
    if not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise ValueError(
            f"`styles` must have weights of 0 or more, and not all 0. Got {dict(styles)}."
        )
    if width is not None and not 1 <= width < np.inf:
        raise ValueError(f"`width` must be 1 pixel or more, or None. Got {width}.")
    if not 0 <= error_rate <= MAX_ERROR_RATE:
        raise ValueError(f"`error_rate` must be in [0, {MAX_ERROR_RATE}]. Got {error_rate}.")
    return weights / weights.sum()
