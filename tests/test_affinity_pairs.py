"""Affinities of near places: which pairs there are, what a mask says of them, what they cost."""

import math
from itertools import combinations

import pytest
import torch

from scribblegen.segmenting.affinity import (
    affinity_losses,
    affinity_matrix,
    cell_labels,
    pair_counts,
    pair_offsets,
)

KINDS = ("background", "foreground", "different")


def places(height, width):
    return [(row, column) for row in range(height) for column in range(width)]


def near(height, width, radius):
    """Every pair of places less than a radius apart, one by one."""
    return [
        (one, other)
        for one, other in combinations(places(height, width), 2)
        if math.dist(one, other) < radius
    ]


def by_hand(features, labels, background, radius):
    """The loss of the paper, pair by pair, and the pairs of each kind."""
    costs = {kind: [] for kind in KINDS}
    for image, label in zip(features, labels, strict=True):
        for (a, b), (c, d) in near(*label.shape, radius):
            one, other = int(label[a, b]), int(label[c, d])
            if 255 in (one, other):
                continue
            affinity = float(torch.exp(-(image[:, a, b] - image[:, c, d]).abs().mean()))
            if one != other:
                costs["different"].append(-math.log(1 + 1e-5 - affinity))
            else:
                kind = "background" if one == background else "foreground"
                costs[kind].append(-math.log(affinity + 1e-5))
    weights = dict(zip(KINDS, (0.25, 0.25, 0.5), strict=True))
    there = sum(weights[kind] for kind in KINDS if costs[kind])
    parts = {k: weights[k] / there * sum(c) / len(c) if c else 0.0 for k, c in costs.items()}
    return parts, [len(costs[kind]) for kind in KINDS]


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 3, 5, 7, generator=generator)
    labels = torch.randint(0, 4, (2, 5, 7), generator=generator)
    labels[labels == 3] = 255
    return features, labels


def test_half_a_disc_holds_each_pair_once():
    assert len(pair_offsets()) == 34  # of the 69 places of a disc, but for its middle
    offsets = set(pair_offsets(3))
    assert not offsets & {(-down, -right) for down, right in offsets}
    assert (0, 1) in offsets and (2, -2) in offsets and (0, 3) not in offsets


@pytest.mark.parametrize("background", [0, 2, None])
@pytest.mark.parametrize("radius", [2, 3, 5])
def test_the_loss_is_that_of_all_pairs_one_by_one(drawn, background, radius):
    features, labels = drawn
    expected, counts = by_hand(features, labels, background, radius)
    found = affinity_losses(features, labels, background, radius=radius)
    assert {k: float(v) for k, v in found.items()} == pytest.approx(expected, rel=1e-4)
    assert pair_counts(labels, background, radius).tolist() == counts


def test_a_loss_by_hand():
    labels = torch.tensor([[[0, 0, 1]]])
    features = torch.tensor([[[[0.0, math.log(2), math.log(2)]]]])
    found = affinity_losses(features, labels, 0, radius=2)
    assert float(found["background"]) == pytest.approx(math.log(2) / 3, rel=1e-4)
    assert float(found["foreground"]) == 0
    assert float(found["different"]) == pytest.approx(-math.log(1e-5) * 2 / 3, rel=1e-2)


def test_what_is_not_sure_teaches_nothing(drawn):
    features, labels = drawn
    features = features.requires_grad_()
    sum(affinity_losses(features, labels, 0).values()).backward()
    unsure = (labels == 255)[:, None].expand_as(features)
    assert unsure.any() and not features.grad[unsure].any()
    assert (features.grad[~unsure] != 0).float().mean() > 0.9
    nothing = affinity_losses(features, torch.full_like(labels, 255), 0)
    assert sum(nothing.values()) == 0
    sum(nothing.values()).backward()
    assert torch.isfinite(features.grad).all()


def test_calls_that_share_their_pairs_out_are_one_call(drawn):
    features, labels = drawn
    labels[1] = 0  # which has no pair of two classes
    together = affinity_losses(features, labels, 0)
    counts = pair_counts(labels, 0) / 2
    calls = [
        affinity_losses(features[i : i + 1], labels[i : i + 1], 0, counts=counts) for i in (0, 1)
    ]
    for kind in KINDS:
        torch.testing.assert_close(sum(call[kind] for call in calls) / 2, together[kind])


def test_the_matrix_has_every_pair_and_no_other(drawn):
    features = drawn[0][0]
    matrix = affinity_matrix(features, 3)
    flat = features.flatten(1)
    expected = torch.eye(35)
    number = {place: i for i, place in enumerate(places(5, 7))}
    for one, other in near(5, 7, 3):
        i, j = number[one], number[other]
        expected[i, j] = expected[j, i] = torch.exp(-(flat[:, i] - flat[:, j]).abs().mean())
    torch.testing.assert_close(matrix, expected)
    assert torch.equal(matrix, matrix.T) and matrix.min() == 0


def test_a_grid_smaller_than_the_radius_has_all_its_pairs():
    features = torch.rand(3, 2, 1)
    assert (affinity_matrix(features) > 0).all()
    assert pair_counts(torch.zeros(1, 2, 1, dtype=torch.long), 0).tolist() == [1, 0, 0]


def test_a_cell_is_what_its_middle_is():
    labels = torch.full((1, 8, 12), 255)
    labels[0, 2, 2::4] = torch.tensor([0, 1, 2])
    labels[0, 6, 2::4] = torch.tensor([3, 255, 4])
    assert cell_labels(labels, (2, 3)).tolist() == [[[0, 1, 2], [3, 255, 4]]]
