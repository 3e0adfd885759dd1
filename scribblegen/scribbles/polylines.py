"""Geometry of polylines: (N, 2) float64 points, x then y, in pixels with centres at integers."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

# Pixels exactly on an edge would make a stroke a pixel too thick or too thin. All points move by
# this much (in pixels, in no lattice direction) before drawing, and no pixel is on an edge.
_TIE_BREAK = np.array([1.0e-6, 1.6180339887e-6])
_PIECE_LENGTH = 4.0


def arc_positions(points: np.ndarray) -> np.ndarray:
    """Arc length from the first point to each point, (N,) float64, in pixels."""
    steps = points[1:] - points[:-1]
    positions = np.zeros(len(points))
    np.cumsum(np.hypot(steps[:, 0], steps[:, 1]), out=positions[1:])
    return positions


def points_at(points: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The points (M, 2) at the arc-length `positions` (M,), in pixels; clamped to the ends."""
    along = arc_positions(points)
    found = np.empty((len(positions), 2))
    found[:, 0] = np.interp(positions, along, points[:, 0])
    found[:, 1] = np.interp(positions, along, points[:, 1])
    return found


def part(points: np.ndarray, start: float, stop: float) -> np.ndarray:
    """The polyline between two arc lengths: the cut points and every vertex between them.

    One point where `start` and `stop` are equal (or the polyline has no length).
    """
    along = arc_positions(points)
    ends = points_at(points, np.array([start, stop]))
    if stop <= start or along[-1] == 0:
        return ends[:1]
    inside = (along > start) & (along < stop)
    return np.concatenate([ends[:1], points[inside], ends[1:]])


def resample(points: np.ndarray, spacing: float) -> np.ndarray:
    """Points about `spacing` pixels apart along the polyline, both ends included."""
    total = arc_positions(points)[-1]
    return points_at(points, np.linspace(0, total, max(2, round(total / spacing) + 1)))


def smooth(points: np.ndarray, sigma: float) -> np.ndarray:
    """Rounds the corners of a polyline of evenly spaced points; `sigma` is in points.

    The ends stay: the polyline is continued by its own reflection through each end point.
    """
    reach = min(len(points) - 1, int(np.ceil(3 * sigma)))
    if reach < 1:
        return points
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    longer = np.concatenate([before, points, after])
    return gaussian_filter1d(longer, sigma, axis=0, mode="nearest")[reach : reach + len(points)]


def covered_pixels(
    points: np.ndarray, width: float, shape: tuple[int, int], round_joints: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels whose centre lies on the polyline drawn `width` pixels wide.

    Args:
        points: (N, 2) float64, N >= 1. A polyline without length is drawn as a disc.
        width: The width of the line, in pixels.
        shape: The picture's (H, W); what lies outside is left out.
        round_joints: Whether joints and ends are discs. Else joints are bevelled, and the ends are
            flat, half a pixel past the end points so that their own pixels belong to the stroke.

    Returns:
        Rows and columns, (M,) int64 each, with repeats. At least the pixel in the middle of the
        polyline, if it is on the picture.
    """
    total = arc_positions(points)[-1]
    if total == 0:
        rows, columns = _disc_pixels(points[0] + _TIE_BREAK, width / 2)
    else:
        rows, columns = _band_pixels(_short_pieces(points) + _TIE_BREAK, width / 2, round_joints)
    if rows.size == 0:
        column, row = np.rint(points_at(points, np.array([total / 2]))[0]).astype(np.int64)
        rows, columns = np.array([row]), np.array([column])
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[inside], columns[inside]


def _short_pieces(points: np.ndarray) -> np.ndarray:
    """The same polyline with vertices added, so that no piece is longer than a few pixels."""
    along = arc_positions(points)
    keep = np.concatenate([[True], np.diff(along) > 0])  # a repeated point has no direction
    points, along = points[keep], along[keep]
    counts = np.ceil(np.diff(along) / _PIECE_LENGTH).astype(int)
    starts = np.repeat(along[:-1], counts)
    steps = np.repeat(np.diff(along) / counts, counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return points_at(points, np.concatenate([starts + steps * within, along[-1:]]))


def _window(low: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, size * size) x and y of the pixels of a square at each corner `low` (N, 2)."""
    offsets = np.arange(size)
    x = low[:, 0, None] + np.tile(offsets, size)
    y = low[:, 1, None] + np.repeat(offsets, size)
    return x, y


def _disc_pixels(centre: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    low = np.floor(centre - radius)[None]
    x, y = _window(low, int(np.ceil(2 * radius)) + 2)
    hit = np.hypot(x - centre[0], y - centre[1]) <= radius
    return y[hit].astype(np.int64), x[hit].astype(np.int64)


def _band_pixels(
    points: np.ndarray, radius: float, round_joints: bool
) -> tuple[np.ndarray, np.ndarray]:
    start, stop = points[:-1], points[1:]
    length = np.hypot(*(stop - start).T)[:, None]  # (S, 1)
    direction = (stop - start) / length  # (S, 2)
    reach = max(radius, 0.5)
    low = np.floor(np.minimum(start, stop) - reach)
    x, y = _window(low, int(np.ceil(_PIECE_LENGTH + 2 * reach)) + 2)  # (S, P)
    from_start = x - start[:, :1], y - start[:, 1:]
    along = from_start[0] * direction[:, :1] + from_start[1] * direction[:, 1:]
    across = from_start[1] * direction[:, :1] - from_start[0] * direction[:, 1:]
    if round_joints:
        past = along - np.clip(along, 0, length)
        hit = across**2 + past**2 <= radius**2
    else:
        first, last = np.zeros_like(length), length.copy()
        first[0], last[-1] = -0.5, last[-1] + 0.5
        hit = (np.abs(across) <= radius) & (along >= first) & (along <= last)
        hit |= _bevels(x, y, stop, direction, along > length, radius)
    return y[hit].astype(np.int64), x[hit].astype(np.int64)


def _bevels(
    x: np.ndarray,
    y: np.ndarray,
    stop: np.ndarray,
    direction: np.ndarray,
    past: np.ndarray,
    radius: float,
) -> np.ndarray:
    """(S, P) bool: pixels in the triangle that fills the outer side of each piece's end joint."""
    following = np.concatenate([direction[1:], direction[-1:]])
    outward = direction - following
    turn = np.hypot(*outward.T)[:, None]
    # The triangle ends `radius * cos(half the turning angle)` outward of the joint.
    limit = radius * np.hypot(*(direction + following).T)[:, None] / 2
    dx, dy = x - stop[:, :1], y - stop[:, 1:]
    before_next = dx * following[:, :1] + dy * following[:, 1:] < 0
    return past & before_next & (dx * outward[:, :1] + dy * outward[:, 1:] <= limit * turn)
