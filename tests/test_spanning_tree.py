"""Sums along a tree over the pixels, against every path walked."""

import itertools

import numpy as np
import pytest

from scribblegen.segmenting.spanning_tree import spanning_tree, tree_sums

B, H, W, SIGMA = 3, 5, 6, 40.0


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    inside = np.ones((B, H, W), bool)
    inside[1, :, -2:] = inside[2, 3:] = False
    return rng.integers(0, 256, (B, H, W, 3)).astype(np.float32), inside


def grid_edges(height, width):
    for y, x in itertools.product(range(height), range(width)):
        for v, u in ((y + 1, x), (y, x + 1)):
            if v < height and u < width:
                yield y * width + x, v * width + u


def least_tree(colours, inside):
    """Kruskal's, one edge after the other: neighbours of every pixel, and their affinities."""
    flat, within = colours.reshape(-1, 3).astype(float), inside.ravel()
    edges = sorted(
        (not (within[a] and within[b]), ((flat[a] - flat[b]) ** 2).sum(), a, b)
        for a, b in grid_edges(*inside.shape)
    )
    part = list(range(len(flat)))
    joined = {a: {} for a in range(len(flat))}
    for outside, square, a, b in edges:
        if part[a] != part[b]:
            part = [part[a] if p == part[b] else p for p in part]
            joined[a][b] = joined[b][a] = 0.0 if outside else np.exp(-square / (2 * SIGMA**2))
    return joined


def all_products(joined):
    """(P, P): the product of the affinities on the path between every two pixels."""
    products = np.zeros((len(joined), len(joined)))
    for start in joined:
        reached = {start: 1.0}
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for there, affinity in joined[here].items():
                if there not in reached:
                    reached[there] = reached[here] * affinity
                    waiting.append(there)
        products[start, list(reached)] = list(reached.values())
    return products


def test_two_passes_sum_what_all_paths_multiply_to(images):
    colours, inside = images
    values = np.random.default_rng(1).normal(size=(B * H * W, 4))
    found = tree_sums(values, spanning_tree(colours, inside, sigma_rgb=SIGMA))
    for n, part in enumerate(np.split(found, B)):
        products = all_products(least_tree(colours[n], inside[n]))
        assert np.allclose(part, products @ np.split(values, B)[n], rtol=1e-4, atol=1e-5)


def test_the_tree_is_one_of_least_total_difference(images):
    colours, inside = images
    tree = spanning_tree(colours, inside, sigma_rgb=SIGMA)
    for n in range(B):
        expected = {
            (min(a, b), max(a, b))
            for a, near in least_tree(colours[n], inside[n]).items()
            for b in near
            if inside[n].ravel()[a] and inside[n].ravel()[b]
        }
        own = tree.nodes // (H * W) == n
        pairs = np.sort(np.stack([tree.nodes, tree.nodes[tree.parents]])[:, own] % (H * W), axis=0)
        assert expected <= set(map(tuple, pairs.T.tolist()))


def test_nothing_comes_from_padding_or_goes_to_it(images):
    colours, inside = images
    tree = spanning_tree(colours, inside, sigma_rgb=SIGMA)
    within = inside.ravel()
    sums = tree_sums(np.where(within, 0.0, 1.0)[:, None], tree)[:, 0]
    assert (sums[within] == 0).all() and (sums[~within] == 1).all()


def test_an_image_has_the_sums_that_it_has_alone(images):
    colours, inside = images
    values = np.random.default_rng(1).normal(size=(B * H * W, 4)).astype(np.float32)
    together = tree_sums(values, spanning_tree(colours, inside, sigma_rgb=SIGMA))
    before = [a.copy() for a in (colours, inside, values)]
    for n in range(B):
        tree = spanning_tree(colours[n : n + 1], inside[n : n + 1], sigma_rgb=SIGMA)
        alone = tree_sums(values[n * H * W : (n + 1) * H * W], tree)
        assert np.array_equal(alone, together[n * H * W : (n + 1) * H * W])
    assert all(np.array_equal(a, b) for a, b in zip((colours, inside, values), before, strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_lines_and_single_pixels_have_trees(shape):
    tree = spanning_tree(np.zeros((2, *shape, 3)), np.ones((2, *shape), bool), sigma_rgb=1.0)
    size = shape[0] * shape[1]
    assert np.allclose(tree_sums(np.ones((2 * size, 1)), tree), size)
