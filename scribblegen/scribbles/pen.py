"""The pixels that a pen covers along a polyline, however long it is and however far it reaches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scribblegen.scribbles.polylines import arc_positions, points_at

# Pixels exactly on an edge would make a stroke a pixel too thick or too thin. All points move by
# this much (in pixels, in no lattice direction) before drawing, and no pixel is on an edge.
_TIE_BREAK = np.array([1.0e-6, 1.6180339887e-6])
_PIECE_LENGTH = 4.0
_BLOCK = 2**19  # pixels looked at at a time, which is some tens of megabytes


@dataclass(frozen=True, eq=False)
class _Pieces:
    """A polyline with vertices added, so that no piece of it is longer than a few pixels.

    The vertices are made only where they are asked for: there may be billions of them.

    Args:
        points: (N, 2) float64, none of them repeated.
        along: (N,) arc length at each point, in pixels.
        counts: (N - 1,) int64, the number of pieces of each segment, at least 1.
    """

    points: np.ndarray
    along: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> "_Pieces":
        along = arc_positions(points)
        keep = np.concatenate([[True], np.diff(along) > 0])  # a repeated point has no direction
        points, along = points[keep], along[keep]
        return cls(points, along, np.ceil(np.diff(along) / _PIECE_LENGTH).astype(np.int64))

    def blocks_near(
        self, shape: tuple[int, int], margin: float, size: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """The pieces that come nearer than `margin` to a picture, `size` of them at a time.

        Yields:
            The numbers of the pieces, (P,) int64, in order; where each starts and stops, and where
            the piece after it stops, (P, 2) float64 each. The last piece has none after it, and
            its own end instead.
        """
        enter, leave = _shares_inside(self.points, shape, margin)
        first = np.clip(np.floor(enter * self.counts) - 1, 0, self.counts).astype(np.int64)
        last = np.clip(np.ceil(leave * self.counts) + 1, 0, self.counts).astype(np.int64)
        near = np.where(enter <= leave, last - first, 0)
        ends, near_ends = np.cumsum(self.counts), np.cumsum(near)
        along = arc_positions(self.points)
        lengths = np.diff(self.along) / self.counts

        def vertices(numbers: np.ndarray) -> np.ndarray:
            segment = np.minimum(np.searchsorted(ends, numbers, "right"), len(ends) - 1)
            within = numbers - (ends - self.counts)[segment]
            positions = self.along[segment] + lengths[segment] * within
            positions[numbers == ends[-1]] = self.along[-1]
            columns = [np.interp(positions, along, self.points[:, axis]) for axis in (0, 1)]
            return np.stack(columns, axis=1)

        offsets = ends - self.counts + first - (near_ends - near)
        for start in range(0, int(near_ends[-1]), size):
            numbers = np.arange(start, min(start + size, int(near_ends[-1])))
            numbers += offsets[np.searchsorted(near_ends, numbers, "right")]
            if numbers[-1] - numbers[0] < len(numbers):  # nothing left out: each vertex once
                line = vertices(np.minimum(np.arange(numbers[0], numbers[-1] + 3), ends[-1]))
                yield numbers, line[:-2], line[1:-1], line[2:]
            else:
                beyond = np.minimum(numbers + 2, ends[-1])
                yield numbers, vertices(numbers), vertices(numbers + 1), vertices(beyond)


def covered_pixels(
    points: np.ndarray, width: float, shape: tuple[int, int], round_joints: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels whose centre lies on the polyline drawn `width` pixels wide.

    Args:
        points: (N, 2) float64, N >= 1. A polyline without length is drawn as a disc.
        width: The width of the line, in pixels.
        shape: The picture's (H, W); what lies outside is left out, however far it reaches.
        round_joints: Whether joints and ends are discs. Else joints are bevelled, and the ends are
            flat, half a pixel past the end points so that their own pixels belong to the stroke.

    Returns:
        Rows and columns, (M,) int64 each, with repeats. At least the pixel in the middle of the
        polyline, if it is on the picture.
    """
    total = arc_positions(points)[-1]
    if total == 0:
        blocks = iter([_disc_pixels(points[0] + _TIE_BREAK, width / 2, shape)])
    else:
        blocks = _band_pixels(points, width / 2, shape, round_joints)
    drawn = False
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for rows, columns in blocks:
        drawn = drawn or rows.size > 0
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        found.append((rows[inside], columns[inside]))
        if sum(len(rows) for rows, _ in found) > _BLOCK:
            found = [_once(found, shape)]
    if not drawn:
        column, row = np.rint(points_at(points, np.array([total / 2]))[0]).astype(np.int64)
        on_picture = 0 <= row < shape[0] and 0 <= column < shape[1]
        found = [(np.array([row]), np.array([column]))] if on_picture else []
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = (np.concatenate(axis) for axis in zip(*found, strict=True))
    return rows, columns


def length_on(points: np.ndarray, shape: tuple[int, int]) -> float:
    """Length in pixels of what lies on a picture (H, W), and so how long it takes to draw it."""
    enter, leave = _shares_inside(points, shape, 0.5)
    return float(np.diff(arc_positions(points)) @ np.maximum(leave - enter, 0))


def _once(
    found: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The same pixels without repeats."""
    canvas = np.zeros(shape, bool)
    for rows, columns in found:
        canvas[rows, columns] = True
    rows, columns = np.nonzero(canvas)
    return rows, columns


def _shares_inside(
    points: np.ndarray, shape: tuple[int, int], margin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where each segment enters and leaves a picture that is `margin` larger on all sides.

    (N - 1,) float64 each, as shares of the segment in [0, 1]; it enters after it leaves where it
    stays outside.
    """
    start, step = points[:-1], points[1:] - points[:-1]
    low, high = -margin, np.array([shape[1], shape[0]]) - 1 + margin
    still = step == 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        to_low, to_high = (low - start) / step, (high - start) / step
    enter = np.where(still, 0, np.minimum(to_low, to_high)).max(axis=1)
    leave = np.where(still, 1, np.maximum(to_low, to_high)).min(axis=1)
    beside = (still & ((start < low) | (start > high))).any(axis=1)
    outside = beside | (enter > leave) | (leave < 0) | (enter > 1)
    return (
        np.where(outside, 1, np.clip(enter, 0, 1)),
        np.where(outside, 0, np.clip(leave, 0, 1)),
    )


def _window(low: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, size * size) x and y of the pixels of a square at each corner `low` (N, 2)."""
    offsets = np.arange(size)
    x = low[:, 0, None] + np.tile(offsets, size)
    y = low[:, 1, None] + np.repeat(offsets, size)
    return x, y


def _disc_pixels(
    centre: np.ndarray, radius: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    low, side = np.floor(centre - radius)[None], int(np.ceil(2 * radius)) + 2
    if radius > max(shape):  # a pen wider than the picture: only the picture is looked at
        low, side = np.zeros_like(low), max(shape)
    x, y = _window(low, side)
    hit = np.hypot(x - centre[0], y - centre[1]) <= radius
    return y[hit].astype(np.int64), x[hit].astype(np.int64)


def _band_pixels(
    points: np.ndarray, radius: float, shape: tuple[int, int], round_joints: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns, block by block, of every pixel of the band that lies on the picture.

    Pieces are drawn as if the whole polyline was; only those that cannot reach the picture are
    never made, so a point far outside costs nothing and changes no pixel.
    """
    pieces = _Pieces.of(points)
    reach = max(radius, 0.5)
    wide = radius > max(shape)  # as of a disc
    side = max(shape) if wide else int(np.ceil(_PIECE_LENGTH + 2 * reach)) + 2
    blocks = pieces.blocks_near(shape, reach + _PIECE_LENGTH, max(1, _BLOCK // side**2))
    final = int(pieces.counts.sum()) - 1
    for numbers, *vertices in blocks:
        start, stop, after = (vertex + _TIE_BREAK for vertex in vertices)
        length, direction = _directions(start, stop)
        following = np.where((numbers == final)[:, None], direction, _directions(stop, after)[1])
        low = np.zeros_like(start) if wide else np.floor(np.minimum(start, stop) - reach)
        # Pieces are often shorter than they may be; one more pixel leaves room for the ends.
        x, y = _window(low, min(side, int(np.ceil(length.max() + 2 * reach)) + 3))  # (S, P)
        from_start = x - start[:, :1], y - start[:, 1:]
        along = from_start[0] * direction[:, :1] + from_start[1] * direction[:, 1:]
        across = from_start[1] * direction[:, :1] - from_start[0] * direction[:, 1:]
        if round_joints:
            past = along - np.clip(along, 0, length)
            hit = across**2 + past**2 <= radius**2
        else:
            begin = np.where(numbers == 0, -0.5, 0.0)[:, None]
            end = length + np.where(numbers == final, 0.5, 0.0)[:, None]
            hit = (np.abs(across) <= radius) & (along >= begin) & (along <= end)
            hit |= _bevels(x, y, stop, direction, following, along > length, radius)
        yield y[hit].astype(np.int64), x[hit].astype(np.int64)


def _directions(start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (S, 1) and unit directions (S, 2); NaN, which covers nothing, without length."""
    length = np.hypot(*(stop - start).T)[:, None]
    with np.errstate(invalid="ignore"):
        return length, (stop - start) / length


def _bevels(
    x: np.ndarray,
    y: np.ndarray,
    stop: np.ndarray,
    direction: np.ndarray,
    following: np.ndarray,
    past: np.ndarray,
    radius: float,
) -> np.ndarray:
    """(S, P) bool: pixels in the triangle that fills the outer side of each piece's end joint."""
    outward = direction - following
    turn = np.hypot(*outward.T)[:, None]
    # The triangle ends `radius * cos(half the turning angle)` outward of the joint.
    limit = radius * np.hypot(*(direction + following).T)[:, None] / 2
    dx, dy = x - stop[:, :1], y - stop[:, 1:]
    before_next = dx * following[:, :1] + dy * following[:, 1:] < 0
    return past & before_next & (dx * outward[:, :1] + dy * outward[:, 1:] <= limit * turn)
