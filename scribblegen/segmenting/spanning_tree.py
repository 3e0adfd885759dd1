"""Sums along a tree over the pixels: each sees the others through the fewest edges in the image."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

_FAR = 1e9  # above any squared difference of colours: the tree leaves the image last


@dataclass(frozen=True)
class Tree:
    """A minimum spanning tree of each image of a batch, as one forest of N = B * H * W nodes.

    Nodes stand level by level below the roots, and children of one parent stand together.

    Args:
        nodes: (N,) the pixel of every node, in images laid out flat one after the other.
        parents: (N,) the node above; a root's is itself.
        levels: (depth + 1,) where each level starts; the last is N.
        affinities: (N,) float32 in [0, 1], of every node and the one above; a root's is 0.
    """

    nodes: np.ndarray
    parents: np.ndarray
    levels: np.ndarray
    affinities: np.ndarray


def spanning_tree(colours: np.ndarray, inside: np.ndarray, *, sigma_rgb: float) -> Tree:
    """The trees of least total difference in colour between neighbours, up, down and sideways.

    Args:
        colours: (B, H, W, C), 0 to 255.
        inside: (B, H, W) bool, False on padding: no affinity reaches it or comes from it.
        sigma_rgb: deviation of colours in exp(-|c_i - c_j|^2 / (2 sigma_rgb^2)), the affinity of
            neighbours.
    """
    num_images, height, width = inside.shape
    size = height * width
    places = np.arange(size).reshape(height, width)
    one = np.concatenate([places[:, :-1].ravel(), places[:-1].ravel()])
    other = np.concatenate([places[:, 1:].ravel(), places[1:].ravel()])
    flat = colours.reshape(num_images, size, -1).astype(np.float64)
    within = inside.reshape(num_images, size)
    squares = np.square(flat[:, one] - flat[:, other]).sum(axis=-1)
    # An edge of zero is no edge to scipy.
    lengths = 1 + np.where(within[:, one] & within[:, other], squares, _FAR)
    nodes, parents = [], []
    for image in range(num_images):
        graph = coo_array((lengths[image], (one, other)), shape=(size, size)).tocsr()
        tree = minimum_spanning_tree(graph)
        order, above = breadth_first_order(tree, size // 2, directed=False)
        place = np.empty(size, np.int64)
        place[order] = np.arange(size)
        above[order[0]] = order[0]
        nodes.append(order + image * size)
        parents.append(place[above[order]] + image * size)
    pixels, above = np.concatenate(nodes), np.concatenate(parents)
    depths = _depths(above)
    order = np.argsort(depths, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    pixels, above = pixels[order], place[above[order]]
    below, top = flat.reshape(num_images * size, -1)[pixels], pixels[above]
    squares = np.square(below - flat.reshape(num_images * size, -1)[top]).sum(axis=-1)
    joined = within.ravel()[pixels] & within.ravel()[top] & (above != np.arange(len(above)))
    affinities = np.where(joined, np.exp(-squares / (2 * sigma_rgb**2)), 0).astype(np.float32)
    levels = np.searchsorted(depths[order], np.arange(depths.max() + 2))
    return Tree(pixels, above, levels, affinities)


def tree_sums(values: np.ndarray, tree: Tree) -> np.ndarray:
    """Sums of all values of an image, each times the affinities along the path to it.

    One pass from the leaves to the roots and one back, in time linear in the pixels ("Learnable
    Tree Filter for Structure-preserving Feature Transform", arXiv 1909.12513).

    Args:
        values: (N, K), of pixels laid out flat, one image after the other.
        tree: of these images.

    Returns:
        (N, K) float32.
    """
    sums = values[tree.nodes].astype(np.float32)
    affinities = tree.affinities[:, None]
    spans = list(zip(tree.levels[1:-1], tree.levels[2:], strict=True))
    for start, end in reversed(spans):
        above = tree.parents[start:end]
        first = np.flatnonzero(np.diff(above, prepend=-1))
        carried = affinities[start:end] * sums[start:end]
        sums[above[first]] += np.add.reduceat(carried, first, axis=0)
    for start, end in spans:
        near = affinities[start:end]
        # What came up from here is in the parent's sum: it does not come down again.
        sums[start:end] += near * (sums[tree.parents[start:end]] - near * sums[start:end])
    found = np.empty_like(sums)
    found[tree.nodes] = sums
    return found


def _depths(parents: np.ndarray) -> np.ndarray:
    """(N,) how many nodes stand above each; every pass looks twice as far up."""
    depths = (parents != np.arange(len(parents))).astype(np.int64)
    above = parents
    while True:
        further = depths[above]
        if not further.any():
            return depths
        depths, above = depths + further, above[above]
