"""One stroke in one region: a path of some style, drawn by an unsteady hand that stays inside."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from scribblegen.scribbles.pen import covered_pixels
from scribblegen.scribbles.polylines import arc_positions, part, resample, smooth
from scribblegen.scribbles.skeletons import skeleton_of
from scribblegen.scribbles.strokes import Stroke
from scribblegen.scribbles.styles import STYLES, Region

_TRIES = 20
_MARGIN = 0.05  # strokes keep this times sqrt(area) from the border, as far as there is room
_LENGTH = 1.0  # times sqrt(area): what the first try has to reach; later tries less
_KEPT = (0.75, 1.0)  # share of the arc length, about its centre
_SPACING = 2.0  # pixels between the points that the hand moves
_POINT_SPACING = 3.0  # pixels between the points of the stroke

# The unsteady hand, in shares of the picture's longer side (ScribblePrompt's, which are for 128
# pixels): how far along the stroke a deviation reaches, and how large it is.
_DEVIATION_REACH = (4 / 128, 16 / 128)
_DEVIATION_SIZE = (1 / 128, 6 / 128)
# Limits of that size: a share of its reach, lest the line tremble; and of the region's depth.
_STEEPEST = 0.25
_DEEPEST = 0.35
_CORNER_REACH = 0.02  # share of the longer side over which corners are rounded


def draw_stroke(
    region: Region, style: str, width: float, side: int, rasteriser: str, rng: np.random.Generator
) -> Stroke | None:
    """Draws a stroke that lies inside `region` with every pixel.

    Args:
        region: The connected region of one class that the stroke crosses.
        style: The style of the path, a key of `styles.STYLES`.
        width: The pen's width, in pixels.
        side: The longer side of the picture, in pixels: the scale of the hand's deviations.
        rasteriser: How the stroke will be drawn; see `strokes.rasterise`.
        rng: The generator of the path and the hand, which is advanced.

    Returns:
        The stroke, in coordinates of the picture; None where 20 tries gave none, which happens
        in regions hardly wider than the pen.
    """
    deepest = float(region.depth.max())
    margin = max(min(_MARGIN * region.area**0.5, deepest / 2), width / 2 + 1)
    for attempt in range(_TRIES if deepest > margin else 0):
        path = _by_hand(STYLES[style](region, rng), deepest, side, rng)
        path = _longest_stretch(path, region.depth_at(path) >= margin)
        path = _centre(path, rng.uniform(*_KEPT))
        shortest = _LENGTH * _KEPT[0] * region.area**0.5 * (1 - attempt / _TRIES) ** 3
        if arc_positions(path)[-1] < shortest:
            continue
        path = resample(path, _POINT_SPACING)
        if _fits(path, width, region, rasteriser):
            return _stroke(path, width, style, region)
    return None


def narrow_stroke(region: Region, width: float, rasteriser: str) -> Stroke:
    """The middle of the longest path, `width` pixels thick or as thick as fits; else a dot.

    It always fits: the last resort is a single pixel, in the deepest place.
    """
    path = skeleton_of(region.inside).longest_path
    if len(path) > 2:
        path = resample(_centre(smooth(path, 3.0), _KEPT[0]), _POINT_SPACING)
        for pen in (width, (width + 1) / 2, 1.0):
            if _fits(path, pen, region, rasteriser):
                return _stroke(path, pen, "longest_path", region)
    row, column = np.unravel_index(np.argmax(region.depth), region.depth.shape)
    dot = np.floor(region.to_window(np.array([[column, row]], np.float64)))  # a pixel's centre
    for pen in (width, (width + 1) / 2):
        if _fits(dot, pen, region, rasteriser):
            return _stroke(dot, pen, "dot", region)
    return _stroke(dot, 1.0, "dot", region)


def _by_hand(path: np.ndarray, deepest: float, side: int, rng: np.random.Generator) -> np.ndarray:
    """`path` with round corners and a smooth deviation, as points `_SPACING` apart."""
    path = resample(path, _SPACING)
    path = smooth(path, min(_CORNER_REACH * side, deepest) / _SPACING)
    reach = rng.uniform(*_DEVIATION_REACH) * side
    size = min(rng.uniform(*_DEVIATION_SIZE) * side, _STEEPEST * reach, _DEEPEST * deepest)
    sigma = reach / _SPACING
    noise = gaussian_filter1d(rng.standard_normal(path.shape), sigma, axis=0, mode="wrap")
    unit = (2 * sigma * np.pi**0.5) ** 0.5  # of white noise after that filter, one over its std
    return path + size * unit * noise


def _longest_stretch(path: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The longest run of points (N, 2) where `good` (N,) holds; the first point if none is."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    if edges.size == 0:
        return path[:1]
    longest = np.argmax(edges[1::2] - edges[::2])
    return path[edges[2 * longest] : edges[2 * longest + 1]]


def _centre(path: np.ndarray, share: float) -> np.ndarray:
    total = arc_positions(path)[-1]
    return part(path, total * (1 - share) / 2, total * (1 + share) / 2)


def _fits(path: np.ndarray, width: float, region: Region, rasteriser: str) -> bool:
    rows, columns = covered_pixels(path, width, region.inside.shape, rasteriser == "polyline_discs")
    return bool(region.inside[rows, columns].all())


def _stroke(path: np.ndarray, width: float, style: str, region: Region) -> Stroke:
    return Stroke(region.class_id, path + region.corner, width, style, region.component)
