"""The rectification module against its formula, written out."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scribblegen.trainers.segmentation.rectification import (
    LocalizationRectification,
    at_features,
    foreground_at,
    rectification_loss,
)

B, C, H, W = 2, 6, 5, 4
N = H * W


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    features = torch.randn(B, C, H, W, generator=random).relu().requires_grad_()
    foreground = torch.rand(B, H, W, generator=random) < 0.5
    valid = torch.rand(B, H, W, generator=random) < 0.8
    return features, foreground, valid


def module(channels=C, **options):
    torch.manual_seed(1)
    made = LocalizationRectification(channels, **options)
    torch.nn.init.normal_(made.query.bias)
    torch.nn.init.normal_(made.key.bias)
    with torch.no_grad():
        made.gamma.fill_(0.7)
    return made


def written_out(made, features, foreground, valid, temperature=1.0):
    """Every entry of the N x N matrix, one after the other."""
    total, nonzero = 0, 0
    for x, m, v in zip(features, foreground.flatten(1), valid.flatten(1), strict=True):
        x = x.flatten(1).T
        q = x @ made.query.weight.T + made.query.bias
        k = x @ made.key.weight.T + made.key.bias
        for i in range(N):
            if not v[i]:
                continue
            rectified = torch.zeros(C)
            if m[i]:
                keys = [j for j in range(N) if v[j]]
                e = torch.stack(
                    [(q[i] @ k[j]) / (q[i].norm() * k[j].norm()) / temperature for j in keys]
                )
                a = torch.exp(e) / torch.exp(e).sum()
                rectified = made.gamma * (a[:, None] * x[keys]).sum(dim=0)
            squares = (x[i] - rectified).square()
            total, nonzero = total + squares.sum(), nonzero + (squares != 0).sum()
    return total / nonzero


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_loss_is_that_of_the_formula(batch, temperature):
    features, foreground, valid = batch
    made = module(temperature=temperature)
    expected = written_out(made, features, foreground, valid, temperature)
    found = made(features, foreground, valid)
    assert torch.allclose(found, expected, rtol=1e-5)
    over = [features, *made.parameters()]
    wanted, given = (torch.autograd.grad(value, over) for value in (expected, found))
    for one, other in zip(wanted, given, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_without_foreground_it_is_the_mean_square_of_what_is_not_zero(batch):
    features, foreground, _ = batch
    found = module()(features, torch.zeros_like(foreground))
    squares = features.square()
    assert (features == 0).any()
    assert torch.allclose(found, squares.sum() / (squares != 0).sum())


def test_constant_features_are_their_own_mean(batch):
    _, foreground, _ = batch
    made = LocalizationRectification(C)  # gamma is one
    features = torch.linspace(-2, 2, C).view(1, C, 1, 1).expand(B, C, H, W)
    assert made(features, torch.ones_like(foreground)).item() < 1e-10
    assert made(features, torch.zeros_like(foreground)).item() > 0.1


def test_a_masked_background_gets_no_gradient_at_all(batch):
    features, foreground, _ = batch
    module(mask_background=True)(features, foreground).backward()
    away = ~foreground[:, None].expand_as(features)
    assert (features.grad[away] == 0).all() and (features.grad[~away] != 0).any()
    features.grad = None
    module()(features, foreground).backward()
    assert (features.grad[away & (features > 0)] != 0).all(), "as the reference"


def test_padding_takes_no_part(batch):
    features, foreground, valid = batch
    out = ~valid[:, None].expand_as(features)
    made = module()
    value = made(features, foreground, valid)
    value.backward()
    assert (features.grad[out] == 0).all()
    other = torch.where(out, 9.0, features.detach())
    assert torch.equal(made(other, foreground | ~valid, valid), value)


@pytest.mark.parametrize("mask_background", [False, True])
def test_where_nothing_takes_part_the_loss_and_its_gradient_are_zero(batch, mask_background):
    features, foreground, valid = batch
    nothing = torch.zeros_like(valid)
    value = module(mask_background=mask_background)(features, foreground, nothing)
    value.backward()
    assert value == 0 and torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize("at_once", [1, 7 * N, 10**9])
def test_chunks_equal_the_whole(batch, at_once):
    features, foreground, valid = batch
    flat = features.flatten(2).transpose(1, 2)
    made = module()
    given = (flat, made.query(flat), made.key(flat), made.gamma, foreground.flatten(1))
    over = [features, *made.parameters()]
    found = []
    for size in (N * N, at_once):
        value = rectification_loss(*given, valid=valid.flatten(1), at_once=size)
        found.append((value, *torch.autograd.grad(value, over, retain_graph=True)))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


class Largest(TorchDispatchMode):
    """The most entries that any tensor has."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return made


def test_no_matrix_of_all_pairs_is_made_forward_or_back():
    n, at_once = 400, 4000
    flat = torch.randn(1, n, 8, requires_grad=True)
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.numel()) or t, lambda t: t
    )
    with Largest() as seen, hooks:
        value = rectification_loss(
            flat,
            flat,
            flat,
            torch.ones(()),
            torch.ones(1, n, dtype=torch.bool),
            at_once=at_once,
        )
        value.backward()
    assert seen.entries <= max(at_once, n * 8) < n * n
    assert max(saved) <= n * 8


@pytest.mark.parametrize("channels", [3, 512])
def test_the_channels_are_those_of_the_features(channels):
    made = LocalizationRectification()
    assert [name for name, _ in made.named_parameters()] == ["gamma"]
    features = torch.randn(1, channels, 3, 3)
    made(features, torch.ones(1, 3, 3, dtype=torch.bool)).backward()
    assert made.query.weight.shape == made.key.weight.shape == (channels, channels)
    assert all(parameter.grad is not None for parameter in made.parameters())


def test_the_mask_of_the_reference_is_dilated_and_ours_is_not():
    label = torch.zeros(1, 16, 16, dtype=torch.long)
    label[:, 4:8, 4:8] = 20
    label[:, 12:] = 255
    nearest = foreground_at(label, (4, 4))
    bilinear = foreground_at(label, (4, 4), "bilinear")
    assert nearest.nonzero().tolist() == [[0, 1, 1]]
    wide = foreground_at(label, (7, 7), "bilinear")
    assert wide.sum() >= foreground_at(label, (7, 7)).sum() >= 1
    assert bilinear[0, 1, 1] and not bilinear[0, 3].any(), "255 is background"


def test_padding_of_features_is_what_lies_in_their_middle():
    inside = torch.zeros(1, 16, 16, dtype=torch.bool)
    inside[:, :7] = True
    assert at_features(inside, (4, 4))[0, :, 0].tolist() == [True, True, False, False]


def test_inputs_are_not_changed(batch):
    before = [tensor.detach().clone() for tensor in batch]
    module()(*batch).backward()
    assert all(torch.equal(a, b) for a, b in zip(batch, before, strict=True))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_positive(batch, temperature):
    with pytest.raises(ValueError, match="`temperature` must be a positive number"):
        module(temperature=temperature)(*batch)
