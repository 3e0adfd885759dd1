"""Signed distances of the shapes that scenes are drawn with, and repeated patterns of them.

Every function takes coordinates `x`, `y` (float32 arrays that broadcast to (h, w); x to the right,
y down) and returns the distance to the outline in the same unit: negative inside, positive outside.
Union, cut and hole are `np.minimum`, `np.maximum` and a change of sign.
"""

import numpy as np

Point = tuple[float, float]


def circle(x: np.ndarray, y: np.ndarray, centre: Point, radius: float) -> np.ndarray:
    return np.hypot(x - centre[0], y - centre[1]) - radius


def ellipse(x: np.ndarray, y: np.ndarray, centre: Point, radii: Point) -> np.ndarray:
    """First-order distance: exact on the outline, a bound elsewhere."""
    u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
    level = np.hypot(u, v)
    slope = np.hypot(u / radii[0], v / radii[1])
    return level * (level - 1) / np.maximum(slope, 1e-4)


def box(
    x: np.ndarray, y: np.ndarray, centre: Point, half: Point, rounding: float = 0.0
) -> np.ndarray:
    """A box of half sizes `half`; its corners are arcs of radius `rounding`."""
    u = np.abs(x - centre[0]) - (half[0] - rounding)
    v = np.abs(y - centre[1]) - (half[1] - rounding)
    if not rounding:
        return np.maximum(u, v)
    outside = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
    return outside + np.minimum(np.maximum(u, v), 0) - rounding


def convex(x: np.ndarray, y: np.ndarray, *points: Point) -> np.ndarray:
    """A convex polygon, its corners in either order. Exact on the outline and inside."""
    following = points[1:] + points[:1]
    pairs = list(zip(points, following, strict=True))
    turn = 1.0 if sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs) > 0 else -1.0
    distance: np.ndarray | None = None
    for start, end in pairs:
        run, rise = end[0] - start[0], end[1] - start[1]
        scale = turn / max(float(np.hypot(run, rise)), 1e-6)
        side = (x - start[0]) * (rise * scale) - (y - start[1]) * (run * scale)
        distance = side if distance is None else np.maximum(distance, side)
    assert distance is not None
    return distance


def stroke(x: np.ndarray, y: np.ndarray, start: Point, end: Point, radius: float) -> np.ndarray:
    """A line of half width `radius` with round ends."""
    run, rise = end[0] - start[0], end[1] - start[1]
    u, v = x - start[0], y - start[1]
    along = np.clip((u * run + v * rise) / (run * run + rise * rise), 0, 1)
    return np.hypot(u - along * run, v - along * rise) - radius


def stripes(position: np.ndarray, period: float, share: float = 0.5) -> np.ndarray:
    """Bands across the axis `position`, one each `period`, `share` of it wide."""
    offset = position - period * np.floor(position / period)
    return np.abs(offset - period / 2) - share * period / 2


def dots(x: np.ndarray, y: np.ndarray, period: float, radius: float) -> np.ndarray:
    """Discs in staggered rows, `period` apart."""
    row = np.floor(y / period)
    u = x / period + 0.5 * (row % 2)
    return period * np.hypot(u - np.floor(u) - 0.5, y / period - row - 0.5) - radius


def pixel_window(centre: float, half: float, length: int) -> slice:
    """The pixels within `half` of `centre` on an axis of `length` pixels; empty where none is."""
    first = min(max(int(centre - half), 0), length)
    return slice(first, max(min(int(centre + half) + 1, length), first))
