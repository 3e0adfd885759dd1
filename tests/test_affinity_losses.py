"""Losses that spread strokes over what looks alike, against values worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from scribblegen.trainers.segmentation.cells import cells_of, free_cells, stroke_shares
from scribblegen.trainers.segmentation.self_labelling import (
    collision_cross_entropy,
    neighbour_weights,
    self_labelling_loss,
    soft_labels,
)
from scribblegen.trainers.segmentation.tree_energy import tree_energy_loss, tree_means

K, SIDE = 3, 12


def batch_of(pixels, labels=None, inside=None):
    """A batch of `Views`: pixels (B, 3, H, W), labels and inside (B, H, W)."""
    shape = (len(pixels), *pixels.shape[-2:])
    return {
        "pixel_values": pixels,
        "labels": torch.full(shape, 255) if labels is None else labels,
        "inside": torch.ones(shape, dtype=torch.bool) if inside is None else inside,
    }


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, 3, SIDE, SIDE + 2), generator=random, dtype=torch.uint8)
    labels = torch.randint(0, K, (2, SIDE, SIDE + 2), generator=random)
    labels[torch.rand(labels.shape, generator=random) < 0.95] = 255
    inside = torch.ones_like(labels, dtype=torch.bool)
    inside[1, :, -5:] = False
    labels[~inside] = 255
    return batch_of(pixels, labels, inside)


@pytest.fixture
def logits():
    random = torch.Generator().manual_seed(1)
    return (2 * torch.randn(2, K, SIDE, SIDE + 2, generator=random)).requires_grad_()


LOSSES = {"self_labelling": self_labelling_loss, "tree_energy": tree_energy_loss}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def energy(labels, cells, potts_weight, sigma_rgb):
    """The sum over cells and pairs, one after the other."""
    total = 0.0
    for n, image in enumerate(labels.double()):
        p, colours = cells.probabilities[n].detach().double(), cells.colours[n].double()
        for y, x in itertools.product(*map(range, image.shape[1:])):
            if cells.free[n, y, x]:
                total -= math.log(image[:, y, x] @ p[:, y, x])
            for v, u in ((y, x + 1), (y + 1, x - 1), (y + 1, x), (y + 1, x + 1)):
                if not (v < image.shape[1] and 0 <= u < image.shape[2]):
                    continue
                if cells.inside[n, y, x] and cells.inside[n, v, u]:
                    square = float((colours[:, y, x] - colours[:, v, u]).square().sum())
                    weight = potts_weight * math.exp(-square / (2 * sigma_rgb**2))
                    apart = float((image[:, y, x] - image[:, v, u]).square().sum()) / 2
                    total -= weight * math.log(1.01 - apart)
    return total


def test_cells_are_the_means_of_what_they_show_of_the_image(batch, logits):
    cells, p = cells_of(logits, batch, 4), torch.softmax(logits, dim=1)
    assert cells.colours.shape == (2, 3, 3, 4)
    assert torch.allclose(cells.probabilities[0, :, 1, 2], p[0, :, 4:8, 8:12].mean(dim=(1, 2)))
    assert torch.allclose(cells.probabilities[0, :, 2, 3], p[0, :, 8:, 12:].mean(dim=(1, 2)))
    # The second image ends with column 9, in the middle of a cell.
    shown = batch["pixel_values"][1, :, :4, 8:9].float()
    assert torch.allclose(cells.colours[1, :, 0, 2], shown.mean(dim=(1, 2)))
    assert not cells.inside[1, :, 3].any() and cells.inside[1, :, 2].all()
    assert torch.allclose(cells.probabilities.sum(dim=1), torch.ones(2, 3, 4))


def test_no_stroke_is_too_thin_for_its_cell():
    labels = torch.full((1, 8, 8), 255)
    labels[0, 0, 0], labels[0, 4, 5:8] = 2, torch.tensor([1, 1, 0])
    shares = stroke_shares(labels, K, 4)
    assert shares[0, :, 0, 0].tolist() == [0, 0, 1]
    assert shares[0, :, 1, 1].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert shares.sum() == 2
    free = free_cells(batch_of(torch.zeros(1, 3, 8, 8), labels), 4)
    assert free.tolist() == [[[False, True], [True, False]]]


def test_the_collision_cross_entropy_is_that_of_the_formula():
    y, p = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.6, 0.2, 0.2]])
    assert collision_cross_entropy(y, p).item() == pytest.approx(-math.log(0.4), abs=1e-6)
    assert collision_cross_entropy(p, y).item() == collision_cross_entropy(y, p).item()
    sure = torch.tensor([[1.0, 0.0, 0.0]])
    assert collision_cross_entropy(sure, p).item() == pytest.approx(-math.log(0.6), abs=1e-6)


def test_an_even_label_moves_no_prediction():
    logits = torch.tensor([[1.0, 0.0, -2.0]], requires_grad=True)
    collision_cross_entropy(
        torch.full((1, 3), 1 / 3), torch.softmax(logits, dim=1)
    ).sum().backward()
    assert torch.allclose(logits.grad, torch.zeros(1, 3), atol=1e-7)


def test_without_neighbours_the_label_is_what_is_most_likely(batch, logits):
    # -ln y . p is least where y is all on the largest p.
    cells = cells_of(logits, batch, 4)
    labels = soft_labels(cells, potts_weight=0.0, num_steps=200)
    best = cells.probabilities.argmax(dim=1)
    assert torch.equal(labels.argmax(dim=1)[cells.free], best[cells.free])
    assert labels.max(dim=1).values[cells.free].min() > 0.99
    start = soft_labels(cells, num_steps=0).permute(0, 2, 3, 1)
    predicted = cells.probabilities.permute(0, 2, 3, 1)
    assert torch.allclose(start[cells.free], predicted[cells.free], atol=1e-6)


def test_strokes_are_kept_exactly(batch, logits):
    cells = cells_of(logits, batch, 4)
    drawn = cells.inside & ~cells.free
    assert drawn.any() and cells.free.any()
    labels = soft_labels(cells, potts_weight=5.0)
    strokes = stroke_shares(batch["labels"], K, 4)
    held, kept = (values.permute(0, 2, 3, 1)[drawn] for values in (labels, strokes))
    assert torch.equal(held, kept)
    assert torch.allclose(labels.sum(dim=1), torch.ones_like(labels[:, 0]), atol=1e-6)


@pytest.mark.parametrize("potts_weight", [0.0, 1.0, 50.0])
def test_the_energy_never_rises(batch, logits, potts_weight):
    cells = cells_of(logits, batch, 2)
    energies = [
        energy(
            soft_labels(cells, potts_weight=potts_weight, sigma_rgb=90.0, num_steps=steps),
            cells,
            potts_weight,
            90.0,
        )
        for steps in range(9)
    ]
    assert all(b < a + 1e-4 for a, b in itertools.pairwise(energies))
    assert energies[-1] < energies[0] - 1


def test_the_labels_are_of_least_energy_in_the_end(batch, logits):
    # It is convex: no other labels may have less, wherever they are.
    cells = cells_of(logits, batch, 4)
    found = soft_labels(cells, potts_weight=2.0, sigma_rgb=200.0, num_steps=400)
    least = energy(found, cells, 2.0, 200.0)
    random = torch.Generator().manual_seed(0)
    for share in (0.01, 0.1, 0.5):
        for _ in range(5):
            other = torch.softmax(3 * torch.randn(found.shape, generator=random), dim=1)
            other = torch.lerp(found, other, share)
            tried = torch.where(cells.free[:, None], other, found)
            assert energy(tried, cells, 2.0, 200.0) > least - 1e-3


def test_neighbours_weigh_by_their_colours(batch, logits):
    cells = cells_of(logits, batch, 4)
    weights = neighbour_weights(cells, 70.0)
    square = (cells.colours[0, :, 1, 1] - cells.colours[0, :, 2, 0]).square().sum()
    # Below and to the left is the sixth of the eight; above and to the right the third.
    assert torch.allclose(weights[5, 0, 1, 1], torch.exp(-square / (2 * 70.0**2)))
    assert torch.equal(weights[2, 0, 2, 0], weights[5, 0, 1, 1])
    assert (weights[:3, :, 0] == 0).all() and (weights[:, 1, :, 3] == 0).all()


def halves(right, stroke):
    """Black, with another grey from column 8; one stroke in the first column of cells."""
    pixels = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    pixels[..., 8:] = right
    labels = torch.full((1, 16, 16), 255)
    labels[:, 6, 0] = stroke
    return batch_of(pixels, labels)


@pytest.mark.parametrize("right", [0, 200])
def test_a_stroke_is_learned_as_far_as_the_colour_goes(right):
    logits = torch.tensor([0.0, -0.2, -4.0]).view(1, K, 1, 1).expand(1, K, 16, 16)
    cells = cells_of(logits, halves(right, 1), 2)
    labels = soft_labels(cells, potts_weight=20.0, num_steps=60)
    found = labels[0].argmax(dim=0)
    assert (found[:, :4] == 1).all()
    assert (found[:, 4:] == (1 if right == 0 else 0)).all()


@pytest.mark.parametrize("right", [0, 200])
def test_a_certain_region_spreads_along_the_tree_as_far_as_the_colour_goes(right):
    logits = torch.zeros(1, K, 16, 16)
    logits[:, 1, 4:8, :2] = 50.0
    cells = cells_of(logits, halves(right, 1), 2)
    means = tree_means(cells)[0]
    near = means[:, :, :4]
    share = 2 / (64 if right == 0 else 32)  # of certain cells, where all weigh alike
    assert torch.allclose(near[1], (share + (1 - share) / K) * torch.ones(8, 4), atol=1e-4)
    if right == 0:
        assert torch.allclose(means[:, :, 4:], near, atol=1e-4)
    else:
        assert torch.allclose(means[:, :, 4:], torch.full((K, 8, 4), 1 / K), atol=1e-4)


def test_the_tree_energy_is_what_the_prediction_differs_by(batch, logits):
    cells = cells_of(logits, batch, 4)
    expected = (cells.probabilities - tree_means(cells, sigma_rgb=60.0)).abs().sum(dim=1)
    value = tree_energy_loss(cells, sigma_rgb=60.0)
    assert torch.allclose(value, expected[cells.free].mean()) and value > 0.01
    (gradient,) = torch.autograd.grad(value, cells.probabilities)
    inner = gradient.permute(0, 2, 3, 1)[cells.free] * cells.free.sum()
    assert set(inner.round(decimals=4).unique().tolist()) <= {-1, 0, 1}


@each_loss
def test_parts_with_the_common_count_sum_to_the_whole(batch, logits, loss):
    count = free_cells(batch, 4).sum()
    parts = [
        loss(
            cells_of(logits[n : n + 1], {k: v[n : n + 1] for k, v in batch.items()}, 4), count=count
        )
        for n in range(2)
    ]
    assert torch.allclose(sum(parts), loss(cells_of(logits, batch, 4)), atol=1e-6)


@each_loss
def test_padding_and_strokes_take_no_part(batch, logits, loss):
    value = loss(cells_of(logits, batch, 4))
    value.backward()
    padding = ~batch["inside"][:, None].expand_as(logits)
    assert (logits.grad[padding] == 0).all() and (logits.grad[~padding] != 0).any()
    drawn = (batch["labels"] != 255)[:, None].expand_as(logits)
    assert drawn.any() and (logits.grad[drawn] == 0).all()
    other = {**batch, "pixel_values": torch.where(padding, 77, batch["pixel_values"])}
    assert torch.equal(loss(cells_of(torch.where(padding, 9.0, logits), other, 4)), value)


@each_loss
@pytest.mark.parametrize("nothing", ["free", "inside"])
def test_where_nothing_counts_there_is_no_loss(batch, logits, loss, nothing):
    if nothing == "free":
        batch["labels"] = torch.zeros_like(batch["labels"])
    else:
        batch["inside"] = torch.zeros_like(batch["inside"])
    value = loss(cells_of(logits, batch, 4))
    value.backward()
    assert value == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_are_finite_however_certain_the_prediction(batch, logits, loss, dtype, scale):
    given = (scale * logits.detach()).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        value = loss(cells_of(given, batch, 4))
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value)
    assert torch.isfinite(given.grad).all()


@each_loss
def test_no_loss_changes_its_inputs(batch, logits, loss):
    held = {**batch, "logits": logits}
    before = {name: values.detach().clone() for name, values in held.items()}
    cells = cells_of(logits, batch, 4)
    shown = {name: values.detach().clone() for name, values in vars(cells).items()}
    loss(cells).backward()
    assert all(torch.equal(held[name], before[name]) for name in held)
    assert all(torch.equal(getattr(cells, name), shown[name]) for name in shown)


@each_loss
def test_again_is_the_same_to_the_last_bit(batch, logits, loss):
    values = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        value = loss(cells_of(logits, batch, 4))
        values.append((value, *torch.autograd.grad(value, logits)))
    assert all(torch.equal(a, b) for a, b in zip(*values, strict=True))
