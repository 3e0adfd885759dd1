"""Paths along the skeleton of a region."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize

_FORWARD_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # row, column; the others by symmetry


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A region's skeleton as a graph of its pixels.

    Args:
        points: (N, 2) float64, x then y of each pixel of the skeleton; N >= 1.
        graph: (N, N) sparse, symmetric: the distance between neighbours, 1 or sqrt(2).
    """

    points: np.ndarray
    graph: csr_array

    def ends(self) -> np.ndarray:
        """Indices of the pixels where a branch ends; all pixels where none does (a ring)."""
        degree = np.diff(self.graph.indptr)
        ends = np.flatnonzero(degree <= 1)
        return ends if ends.size else np.arange(len(self.points))

    def path(self, start: int, stop: int | None = None) -> np.ndarray:
        """The shortest path, (M, 2), from pixel `start` to `stop` (default: the farthest one)."""
        distances, previous = dijkstra(self.graph, indices=start, return_predecessors=True)
        if stop is None or not np.isfinite(distances[stop]):
            stop = int(np.argmax(np.where(np.isfinite(distances), distances, -1)))
        visited = [stop]
        while visited[-1] != start:
            visited.append(int(previous[visited[-1]]))
        return self.points[visited[::-1]]

    @cached_property
    def longest_path(self) -> np.ndarray:
        """The longest of the shortest paths, (M, 2): the farthest pixel, and the farthest from it.

        Exact where the skeleton is a tree; with rings it is a long path, not always the longest.
        """
        distances = dijkstra(self.graph, indices=0)
        far = int(np.argmax(np.where(np.isfinite(distances), distances, -1)))
        return self.path(far)


def skeleton_of(region: np.ndarray) -> Skeleton:
    """Thins `region` (H, W) bool, one connected component with at least one pixel."""
    thin = skeletonize(np.pad(region, 1))
    if not thin.any():  # thinning may eat a blob of a few pixels whole
        thin[tuple(np.argwhere(np.pad(region, 1))[0])] = True
    rows, columns = np.nonzero(thin)
    index = np.full(thin.shape, -1)
    index[rows, columns] = np.arange(rows.size)
    pairs, weights = [], []
    for down, right in _FORWARD_NEIGHBOURS:
        neighbour = index[rows + down, columns + right]  # the padding keeps this inside
        here = np.flatnonzero(neighbour >= 0)
        pairs.append(np.stack([here, neighbour[here]]))
        weights.append(np.full(here.size, np.hypot(down, right)))
    first, second = np.concatenate(pairs, axis=1)
    weight = np.concatenate(weights)
    graph = csr_array(
        (
            np.concatenate([weight, weight]),
            (np.concatenate([first, second]), np.concatenate([second, first])),
        ),
        shape=(rows.size, rows.size),
    )
    points = np.stack([columns, rows], axis=1).astype(np.float64) - 1.0
    return Skeleton(points, graph)
