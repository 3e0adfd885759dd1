"""Losses over pseudo labels and over doubt, against values worked out by hand."""

import math

import pytest
import torch

from scribblegen.trainers.segmentation.losses import partial_cross_entropy
from scribblegen.trainers.segmentation.pseudo_label_losses import (
    distance_entropy,
    entropy_loss,
    smoothed_cross_entropy,
)

K = 21


def logits_of(probabilities, size=(2, 3)):
    """(1, K, *size), of the same probabilities everywhere."""
    logits = torch.tensor(probabilities).log().view(1, -1, 1, 1)
    return logits.expand(1, len(probabilities), *size)


def labels_of(value, size=(2, 3)):
    return torch.full((1, *size), value)


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 8, generator=random)
    labels = torch.randint(0, 3, (2, 6, 8), generator=random)
    labels[torch.rand(2, 6, 8, generator=random) < 0.4] = 255
    weight = torch.rand(2, 6, 8, generator=random)
    weight[weight < 0.3] = 0
    return logits.requires_grad_(), labels, weight


def test_even_probabilities_cost_the_log_of_the_classes():
    logits, ones = logits_of([1 / K] * K), torch.ones(1, 2, 3)
    for value in (
        distance_entropy(logits, ones),
        entropy_loss(logits),
        smoothed_cross_entropy(logits, labels_of(4)),
    ):
        assert value.item() == pytest.approx(math.log(21), abs=1e-5)
        assert value.item() == pytest.approx(3.0445, abs=1e-4)


def test_smoothing_is_that_of_the_formula():
    logits = logits_of([0.9] + [0.005] * 20)
    assert float(smoothed_cross_entropy(logits, labels_of(0), 0.0)) == pytest.approx(0.10536, 1e-4)
    assert float(smoothed_cross_entropy(logits, labels_of(0), 0.1)) == pytest.approx(0.59993, 1e-5)


def test_the_entropy_is_weighed_pixel_by_pixel():
    logits = logits_of([0.5, 0.25, 0.25], (1, 4))
    entropy = 1.5 * math.log(2)
    weight = torch.tensor([[[1.0, 0.5, 0.0, 0.0]]])
    assert float(distance_entropy(logits, weight)) == pytest.approx(1.5 * entropy / 2)
    assert float(distance_entropy(logits, weight, count=torch.tensor(4))) == pytest.approx(
        1.5 * entropy / 4
    )
    assert float(entropy_loss(logits, weight > 0)) == pytest.approx(entropy)


def test_a_certain_pixel_counts_where_the_count_is_known():
    logits = torch.tensor([[[[200.0, 0.0]], [[0.0, 0.0]]]])
    ones = torch.ones(1, 1, 2)
    assert float(distance_entropy(logits, ones)) == pytest.approx(math.log(2)), "as the reference"
    assert float(entropy_loss(logits)) == pytest.approx(math.log(2) / 2)


LOSSES = {
    "smoothed": lambda logits, labels, weight, **o: smoothed_cross_entropy(logits, labels, **o),
    "distance": lambda logits, labels, weight, **o: distance_entropy(logits, weight, **o),
    "entropy": lambda logits, labels, weight, **o: entropy_loss(logits, weight > 0, **o),
}
COUNTED = {
    "smoothed": lambda labels, weight: labels != 255,
    "distance": lambda labels, weight: weight > 0,
    "entropy": lambda labels, weight: weight > 0,
}


@pytest.mark.parametrize("name", LOSSES)
def test_parts_with_the_common_count_sum_to_the_whole(batch, name):
    logits, labels, weight = batch
    count = COUNTED[name](labels, weight).sum()
    parts = sum(
        LOSSES[name](logits[i : i + 1], labels[i : i + 1], weight[i : i + 1], count=count)
        for i in range(2)
    )
    assert torch.allclose(parts, LOSSES[name](logits, labels, weight))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("count", [None, torch.tensor(0), torch.tensor(0.0)])
def test_where_nothing_counts_the_loss_and_its_gradient_are_zero(batch, name, count):
    logits, labels, weight = batch
    value = LOSSES[name](
        logits, torch.full_like(labels, 255), torch.zeros_like(weight), count=count
    )
    value.backward()
    assert value == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSSES)
def test_certain_pixels_give_a_finite_gradient(name):
    logits = torch.tensor([1e4, -1e4, 0.0]).view(1, 3, 1, 1).expand(1, 3, 6, 8).clone()
    logits.requires_grad_()
    LOSSES[name](logits, torch.ones(1, 6, 8, dtype=torch.long), torch.ones(1, 6, 8)).backward()
    assert torch.isfinite(logits.grad).all()


def test_no_smoothing_is_the_partial_cross_entropy(batch):
    logits, labels, _ = batch
    plain = partial_cross_entropy(logits, labels)
    assert torch.allclose(smoothed_cross_entropy(logits, labels, 0.0), plain)


def test_a_count_below_one_is_divided_by():
    """An average call of a step may hold less than a whole pixel."""
    logits, labels = logits_of([0.5, 0.5], (1, 1)), torch.zeros(1, 1, 1, dtype=torch.long)
    half = torch.tensor(0.5)
    found = smoothed_cross_entropy(logits, labels, count=half)
    assert float(found) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_changes_its_inputs(batch, name):
    before = [tensor.detach().clone() for tensor in batch]
    LOSSES[name](*batch).backward()
    assert all(torch.equal(a, b) for a, b in zip(batch, before, strict=True))
