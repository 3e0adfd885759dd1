"""The styles in which an annotator may cross a region: each draws one path through it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.measure import find_contours
from skimage.measure import label as connected_pieces

from scribblegen.scribbles.polylines import arc_positions, part, resample
from scribblegen.scribbles.skeletons import Skeleton, skeleton_of

# Paths are found on a grid no larger than this, in cells along the longer side, and smoothed: a
# finer one costs time (quadratic) and gives skeletons with a branch to every dent of the border.
_GRID_SIZE = 96
# An arc runs this deep in the region, as a share of the greatest depth.
_ARC_DEPTH = (0.25, 0.55)
_ARC_SHARE = (0.5, 0.9)
# A second stroke keeps this share of the greatest depth from the first.
_APART = 0.3


@dataclass(frozen=True, eq=False)
class Region:
    """A connected region of one class.

    Args:
        class_id: The class of the region.
        component: The number of the region among those of its class, from 0.
        inside: (h, w) bool, a window of the picture; false on its outermost rows and columns.
        corner: x and y of the window's first pixel in the picture.
    """

    class_id: int
    component: int
    inside: np.ndarray
    corner: tuple[int, int]

    @cached_property
    def area(self) -> int:
        return int(np.count_nonzero(self.inside))

    @cached_property
    def step(self) -> int:
        """Pixels in a cell of the grid, along each axis. A narrow region keeps the fine grid."""
        step = -(-max(self.inside.shape) // _GRID_SIZE)
        while step > 1 and 4 * np.count_nonzero(_whole_cells(self.inside, step)) * step**2 < (
            self.area
        ):
            step -= 1
        return step

    @cached_property
    def depth(self) -> np.ndarray:
        """Grid of float64: distance in pixels to the nearest outside, a little underestimated."""
        cells = np.pad(_whole_cells(self.inside, self.step), 1)
        return distance_transform_edt(cells)[1:-1, 1:-1] * self.step

    @cached_property
    def skeleton(self) -> Skeleton:
        """Of the largest part of the region whose depth is at least a quarter of the greatest.

        Without the shallow rest the skeleton has no branches into corners.
        """
        return skeleton_of(self.depth >= self.depth.max() / 4)

    def to_window(self, cells: np.ndarray) -> np.ndarray:
        """Points of the grid (N, 2) -> points of the window, in pixels."""
        return cells * self.step + (self.step - 1) / 2

    def depth_at(self, points: np.ndarray) -> np.ndarray:
        """(N,) depth in pixels at points (N, 2) of the window; 0 outside."""
        column, row = np.floor((points + 0.5) / self.step).astype(int).T
        height, width = self.depth.shape
        within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        depth = self.depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.where(within, depth, 0.0)

    def away_from(self, path: np.ndarray) -> "Region | None":
        """The largest part of the region that is not near `path` (N, 2), a line in the window.

        None where less than a quarter of the region is left.
        """
        drawn = np.zeros(self.depth.shape, bool)
        column, row = np.floor((resample(path, self.step) + 0.5) / self.step).astype(int).T
        drawn[row, column] = True
        far = distance_transform_edt(~drawn) * self.step > _APART * self.depth.max()
        fine = np.repeat(np.repeat(far, self.step, axis=0), self.step, axis=1)
        height, width = self.inside.shape
        labels = connected_pieces(self.inside & fine[:height, :width], connectivity=1)
        areas = np.bincount(labels.ravel())[1:]
        if areas.size == 0 or areas.max() < self.area / 4:
            return None
        return replace(self, inside=labels == np.argmax(areas) + 1)


def longest_path(region: Region, rng: np.random.Generator) -> np.ndarray:
    """The longest path along the skeleton; the same at each call."""
    return region.to_window(region.skeleton.longest_path)


def branch(region: Region, rng: np.random.Generator) -> np.ndarray:
    """The way along the skeleton between two of its ends, at random."""
    start, stop = rng.choice(region.skeleton.ends(), 2)
    return region.to_window(region.skeleton.path(int(start), int(stop)))


def line(region: Region, rng: np.random.Generator) -> np.ndarray:
    """A straight line between two pixels of the region's deeper part, at random."""
    cells = np.argwhere(region.depth >= region.depth.max() / 4)[:, ::-1]
    pairs = cells[rng.integers(len(cells), size=(3, 2))].astype(np.float64)
    lengths = np.linalg.norm(pairs[:, 1] - pairs[:, 0], axis=1)
    return region.to_window(pairs[np.argmax(lengths)])


def arc(region: Region, rng: np.random.Generator) -> np.ndarray:
    """Part of a line of equal depth: along the border, but well away from it."""
    level = rng.uniform(*_ARC_DEPTH) * region.depth.max()
    contours = [c[:, ::-1] for c in find_contours(region.depth, level)]
    lengths = np.array([arc_positions(contour)[-1] for contour in contours])
    if not lengths.sum() > 0:
        return longest_path(region, rng)
    chosen = int(rng.choice(len(contours), p=lengths / lengths.sum()))
    ring, length = contours[chosen], lengths[chosen]
    share = length * rng.uniform(*_ARC_SHARE)
    if np.array_equal(ring[0], ring[-1]):
        start = rng.uniform(0, length)
        ring = np.concatenate([ring, ring[1:]])
    else:
        start = rng.uniform(0, length - share)
    return region.to_window(part(ring, start, start + share))


STYLES: dict[str, Callable[[Region, np.random.Generator], np.ndarray]] = {
    "longest_path": longest_path,
    "line": line,
    "branch": branch,
    "arc": arc,
}


def _whole_cells(inside: np.ndarray, step: int) -> np.ndarray:
    """Grid of bool: cells of `step` x `step` pixels that lie inside as a whole."""
    if step == 1:
        return inside
    height, width = (-(-side // step) * step for side in inside.shape)
    padded = np.zeros((height, width), bool)
    padded[: inside.shape[0], : inside.shape[1]] = inside
    cells = padded.reshape(height // step, step, width // step, step)
    return np.logical_and.reduce(cells, axis=(1, 3))
