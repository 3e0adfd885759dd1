"""Strokes: the polylines behind a scribble, how they are drawn, and how they are taken away.

Shrinking and dropping are exact on strokes. Where only the raster is left, each connected piece of
a class stands for one stroke.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree
from skimage.measure import label as connected_pieces

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.scribbles.pen import covered_pixels
from scribblegen.scribbles.polylines import arc_positions, part
from scribblegen.scribbles.skeletons import skeleton_of

RASTERISERS = ("polyline", "polyline_discs")
_FARTHEST = 1e9  # pixels: float64 still tells a thousandth of a pixel there


@dataclass(frozen=True, eq=False)
class Stroke:
    """One stroke of the pen.

    Args:
        class_id: The class that the stroke labels.
        points: (N, 2) float64, N >= 1, x then y, in pixels with pixel centres at integers; at most
            1e9 from 0. Points outside the picture count in the length, and are not drawn.
        width: The width of the pen, in pixels.
        style: The style in which it was simulated; empty where a human drew it.
        component: The number of the connected region of its class that it lies in, where that is
            known.
    """

    class_id: int
    points: np.ndarray
    width: float
    style: str = ""
    component: int = 0

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2 or len(self.points) == 0:
            raise ValueError(f"`points` must be (N, 2) with N >= 1. Got {self.points.shape}.")
        if not (np.abs(self.points) <= _FARTHEST).all():
            raise ValueError(
                f"`points` must be in pixels, within {_FARTHEST:.0e} of 0. "
                f"Got up to {np.abs(self.points).max()}."
            )
        if not 0 < self.width < np.inf:
            raise ValueError(f"`width` must be above 0 pixels. Got {self.width}.")
        if not 0 <= self.class_id < IGNORE_INDEX:
            raise ValueError(f"`class_id` must be in 0..254. Got {self.class_id}.")


def rasterise(
    strokes: Sequence[Stroke], height: int, width: int, rasteriser: str = "polyline"
) -> np.ndarray:
    """Draws strokes; where two meet, the later one wins.

    Args:
        strokes: The strokes in drawing order. Parts outside the picture are left out.
        height, width: The size of the picture, in pixels.
        rasteriser: `polyline`, bevelled joints and flat ends; or `polyline_discs`, a disc of the
            stroke's width at every joint and end. Equal but for a pixel or so at ends and bends.

    Returns:
        (height, width) uint8 class ids, `IGNORE_INDEX` where nobody drew.
    """
    if rasteriser not in RASTERISERS:
        raise ValueError(f"`rasteriser` must be one of {RASTERISERS}. Got {rasteriser!r}.")
    scribble = np.full((height, width), IGNORE_INDEX, np.uint8)
    discs = rasteriser == "polyline_discs"
    for stroke in strokes:
        scribble[covered_pixels(stroke.points, stroke.width, (height, width), discs)] = (
            stroke.class_id
        )
    return scribble


def arc_length(stroke: Stroke) -> float:
    """Length of the stroke, in pixels; 0 for a single point."""
    return float(arc_positions(stroke.points)[-1])


def shrink_stroke(stroke: Stroke, removed: float) -> Stroke:
    """Keeps the central 1 - `removed` of the arc length; `removed` 1 leaves one disc.

    Args:
        stroke: A stroke of any length. One without length is a disc, and stays one.
        removed: The share of the arc length to take away, in [0, 1]; half of it goes at each end.
    """
    _check_share("removed", removed)
    if removed == 0:
        return stroke
    total = arc_length(stroke)
    kept = part(stroke.points, total * removed / 2, total * (1 - removed / 2))
    return replace(stroke, points=kept)


def shrink_strokes(strokes: Sequence[Stroke], removed: float) -> list[Stroke]:
    """`shrink_stroke` for each: background and foreground alike."""
    return [shrink_stroke(stroke, removed) for stroke in strokes]


def drop_strokes(
    strokes: Sequence[Stroke],
    probability: float,
    seed: int | np.random.Generator,
    keep_at_least_one: bool = True,
    background_id: int | None = 0,
) -> list[Stroke]:
    """Removes each foreground stroke with `probability`, independently of the others.

    Args:
        strokes: The strokes in drawing order, which is kept.
        probability: The probability that a stroke goes, in [0, 1].
        seed: An int (`seeds.derive_seed`), or a generator, which is advanced.
        keep_at_least_one: Whether one stroke, chosen at random, stays where every foreground
            stroke would go.
        background_id: The class whose strokes are never dropped; None where no class is
            background.
    """
    kept = _kept(
        [stroke.class_id for stroke in strokes], probability, seed, keep_at_least_one, background_id
    )
    return [stroke for stroke, stays in zip(strokes, kept, strict=True) if stays]


def strokes_from_scribble(scribble: np.ndarray) -> list[Stroke]:
    """One stroke for each connected piece of each class: the longest path along its skeleton.

    The way back is not exact: pieces that touch become one stroke, and side branches are lost.

    Args:
        scribble: (H, W) uint8 class ids and `IGNORE_INDEX`.

    Returns:
        Strokes by class, `component` counting the pieces of the class from 0. `width` is measured:
        from the area of the piece and the length of the path.
    """
    return [stroke for stroke, _, _ in _pieces(scribble)]


def shrink_scribble(scribble: np.ndarray, removed: float) -> np.ndarray:
    """`shrink_strokes` where only the raster is left.

    A pixel stays if the nearest point of its piece's path is in the central 1 - `removed` of the
    path's length, or is less than half the stroke's width away from that part. So a side branch
    goes with the part of the path that it leaves from, and a stronger shrink keeps a subset.

    Args:
        scribble: (H, W) uint8 class ids and `IGNORE_INDEX`.
        removed: The share of the length to take away, in [0, 1]. 0 changes nothing.

    Returns:
        (H, W) uint8. Every labelled pixel is labelled so in `scribble`.
    """
    _check_share("removed", removed)
    if removed == 0:
        return scribble.copy()
    shrunk = np.full_like(scribble, IGNORE_INDEX)
    for stroke, rows, columns in _pieces(scribble):
        pixels = np.stack([columns, rows], axis=1)
        along = arc_positions(stroke.points)
        nearest = along[cKDTree(stroke.points).query(pixels)[1]]
        kept = np.abs(nearest - along[-1] / 2) < along[-1] * (1 - removed) / 2
        centre = shrink_stroke(stroke, removed).points
        kept |= cKDTree(centre).query(pixels)[0] <= stroke.width / 2
        shrunk[rows[kept], columns[kept]] = stroke.class_id
    return shrunk


def drop_scribble(
    scribble: np.ndarray,
    probability: float,
    seed: int | np.random.Generator,
    keep_at_least_one: bool = True,
    background_id: int | None = 0,
) -> np.ndarray:
    """`drop_strokes` where only the raster is left: drops connected pieces of (H, W) `scribble`."""
    pieces = list(_pieces(scribble))
    kept = _kept(
        [stroke.class_id for stroke, _, _ in pieces],
        probability,
        seed,
        keep_at_least_one,
        background_id,
    )
    dropped = np.full_like(scribble, IGNORE_INDEX)
    for (stroke, rows, columns), stays in zip(pieces, kept, strict=True):
        if stays:
            dropped[rows, columns] = stroke.class_id
    return dropped


def _kept(
    class_ids: Sequence[int],
    probability: float,
    seed: int | np.random.Generator,
    keep_at_least_one: bool,
    background_id: int | None,
) -> np.ndarray:
    """(N,) bool: which strokes stay."""
    _check_share("probability", probability)
    rng = np.random.default_rng(seed)
    background = np.array([class_id == background_id for class_id in class_ids], bool)
    survives = rng.random(len(class_ids)) >= probability
    foreground = np.flatnonzero(~background)
    if keep_at_least_one and foreground.size and not survives[foreground].any():
        survives[rng.choice(foreground)] = True
    return survives | background


def _pieces(scribble: np.ndarray) -> Iterator[tuple[Stroke, np.ndarray, np.ndarray]]:
    """Each connected piece of each class: its stroke, and the rows and columns of its pixels."""
    for class_id in present_classes(scribble):
        labels = connected_pieces(scribble == class_id, connectivity=2)
        for component, window in enumerate(find_objects(labels)):
            piece = np.pad(labels[window] == component + 1, 1)
            path = skeleton_of(piece).longest_path
            # A bar of this width, reaching half its width past both ends of the path, has the
            # piece's area: thinning takes about that much off the ends.
            length = arc_positions(path)[-1]
            width = (np.sqrt(length**2 + 4 * np.count_nonzero(piece)) - length) / 2
            corner = np.array([window[0].start - 1, window[1].start - 1])
            rows, columns = (np.argwhere(piece) + corner).T
            stroke = Stroke(class_id, path + corner[::-1], float(width), component=component)
            yield stroke, rows, columns


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be in [0, 1]. Got {value}.")
