"""Geometry of polylines: (N, 2) float64 points, x then y, in pixels with centres at integers."""

import numpy as np
from scipy.ndimage import gaussian_filter1d


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
