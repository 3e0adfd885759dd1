"""Each loss against its formula, written out."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from scribblegen.trainers.segmentation.losses import (
    absent_class_loss,
    dense_crf_loss,
    gated_crf_loss,
    partial_cross_entropy,
)

B, K, H, W = 2, 3, 6, 8


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(B, K, H, W, generator=random, dtype=torch.float32)
    images = torch.randint(0, 256, (B, 3, H, W), generator=random).float()
    labels = torch.randint(0, K, (B, H, W), generator=random)
    labels[torch.rand(B, H, W, generator=random) < 0.7] = 255
    return logits.requires_grad_(), images, labels


def test_partial_cross_entropy_is_the_mean_over_labelled_pixels(batch):
    logits, _, labels = batch
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    assert torch.allclose(partial_cross_entropy(logits, labels), expected)


def test_parts_with_the_common_count_sum_to_the_whole(batch):
    logits, _, labels = batch
    count = (labels != 255).sum()
    parts = sum(
        partial_cross_entropy(logits[i : i + 1], labels[i : i + 1], count=count) for i in range(B)
    )
    assert torch.allclose(parts, partial_cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("loss", "nothing"),
    [
        (partial_cross_entropy, torch.full((B, H, W), 255)),
        (absent_class_loss, torch.zeros(B, K, dtype=torch.bool)),
    ],
)
def test_a_batch_without_a_label_is_a_zero_loss(batch, loss, nothing):
    logits, _, _ = batch
    value = loss(logits, nothing)
    value.backward()
    assert value == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


def test_absent_classes_are_those_no_stroke_names(batch):
    logits, _, _ = batch
    drawn = torch.ones(B, K, dtype=torch.bool)
    drawn[0, 2], drawn[1] = False, False
    p = torch.softmax(logits, dim=1)
    expected = -torch.log(1 - p[0, 2]).mean()  # the second image says nothing
    assert torch.allclose(absent_class_loss(logits, drawn), expected, atol=1e-6)


def test_a_certain_absent_class_gives_a_finite_gradient():
    logits = torch.tensor([50.0, -50.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2).clone()
    logits.requires_grad_()
    value = absent_class_loss(logits, torch.tensor([[False, True]]))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(logits.grad).all()


def exact_energy(logits, images, valid, sigma_rgb, sigma_xy):
    """The sum over all pairs, one pair after the other."""
    s = torch.softmax(logits, dim=1) * valid[:, None]
    places = list(itertools.product(range(H), range(W)))
    total = 0
    for image, probabilities in zip(images, s, strict=True):
        for (y, x), (v, u) in itertools.product(places, places):
            colour = (image[:, y, x] - image[:, v, u]).square().sum() / sigma_rgb**2
            place = ((y - v) ** 2 + (x - u) ** 2) / sigma_xy**2
            affinity = torch.exp(-0.5 * (colour + place))
            total = total + affinity * (probabilities[:, y, x] * probabilities[:, v, u]).sum()
    return -total / len(images)


def test_the_dense_crf_loss_is_the_exact_sum(batch, monkeypatch):
    logits, images, _ = batch
    valid = torch.ones(B, H, W, dtype=torch.bool)
    valid[0, :, -2:] = False
    expected = exact_energy(logits, images, valid, 60.0, 4.0)
    (gradient,) = torch.autograd.grad(expected, logits)
    monkeypatch.setattr("scribblegen.segmenting.affinity_sums._AFFINITIES_AT_ONCE", 5 * H * W)
    options = {"sigma_rgb": 60.0, "sigma_xy": 4.0, "scale": 1.0}
    value = dense_crf_loss(logits, images, valid, **options)
    value.backward()
    assert torch.allclose(value, expected, rtol=1e-5)
    assert torch.allclose(logits.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_dense_crf_loss_at_half_size_is_that_of_the_reduced_inputs(batch):
    logits, images, _ = batch
    p = F.interpolate(torch.softmax(logits, dim=1), scale_factor=0.5, mode="bilinear")
    small = images[:, :, ::2, ::2]
    whole = dense_crf_loss(logits, images, sigma_xy=4.0)
    again = dense_crf_loss(torch.log(p), small, sigma_xy=2.0, scale=1.0)
    assert torch.allclose(whole, again, rtol=1e-5)


def test_the_gated_crf_loss_is_the_exact_sum(batch):
    logits, images, _ = batch
    gate = torch.ones(B, H, W, dtype=torch.bool)
    gate[1, :3] = False
    p = torch.softmax(logits, dim=1)
    total = 0
    for n in range(B):
        for y, x, dy, dx in itertools.product(range(H), range(W), range(-2, 3), range(-2, 3)):
            v, u = y + dy, x + dx
            if (dy, dx) == (0, 0) or not (0 <= v < H and 0 <= u < W):
                continue
            if gate[n, y, x] and gate[n, v, u]:
                colour = (images[n, :, y, x] - images[n, :, v, u]).square().sum() / 80.0**2
                affinity = torch.exp(-0.5 * (colour + (dy**2 + dx**2) / 3.0**2))
                total = total + affinity * (1 - (p[n, :, y, x] * p[n, :, v, u]).sum())
    value = gated_crf_loss(logits, images, gate, radius=2, sigma_rgb=80.0, sigma_xy=3.0)
    assert torch.allclose(value, total / gate.sum(), rtol=1e-5)


def test_no_loss_changes_its_inputs(batch):
    logits, images, labels = batch
    before = [tensor.detach().clone() for tensor in batch]
    partial_cross_entropy(logits, labels)
    drawn = torch.eye(B, K, dtype=torch.bool)
    absent_class_loss(logits, drawn)
    assert torch.equal(drawn, torch.eye(B, K, dtype=torch.bool))
    dense_crf_loss(logits, images)
    gated_crf_loss(logits, images)
    assert all(torch.equal(a, b) for a, b in zip(batch, before, strict=True))
