"""Where a classifier sees its classes: against a plain loop over scales and flips."""

import pytest
import torch
from torch import nn

from scribblegen.segmenting.activation_maps import activation_maps
from tests.benchmarks.activation_map_speed import activation_map_speed, plain_loop


@pytest.fixture
def case():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU()).eval()
    images = torch.randn(3, 3, 22, 31)
    present = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    return network, torch.randn(4, 6), images, present


@torch.no_grad()
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("scales", [(1.0,), (1.0, 0.5, 1.5)])
def test_a_batch_is_what_the_plain_loop_makes(case, scales, flip):
    network, weight, images, present = case
    kept = images.clone()
    found = activation_maps(network, weight, images, present, scales=scales, flip=flip)
    expected = plain_loop(network, weight, images, present, scales=scales, flip=flip)
    assert found.shape == (3, 4, 22, 31)
    assert float((found - expected).abs().max()) < 1e-5
    assert torch.equal(images, kept)


@torch.no_grad()
def test_maps_reach_from_nothing_to_one_and_absent_classes_have_none(case):
    network, weight, images, present = case
    maps = activation_maps(network, weight, images, present)
    assert float(maps.min()) == 0 and float(maps.max()) <= 1
    assert torch.equal(maps.amax(dim=(2, 3)) > 0.99, present)
    alone = activation_maps(network, weight, images[:1], present[:1])
    torch.testing.assert_close(alone, maps[:1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_mirror_s_maps_are_the_maps_mirrored(case):
    network, weight, images, present = case
    one = activation_maps(network, weight, images, present)
    other = activation_maps(network, weight, images.flip(-1), present)
    torch.testing.assert_close(other.flip(-1), one, rtol=0, atol=1e-5)


def test_what_does_not_fit_is_said(case):
    network, weight, images, present = case
    with pytest.raises(ValueError, match=r"`present` must be \(3, 4\) bool"):
        activation_maps(network, weight, images, present[:, :3])
    with pytest.raises(ValueError, match="`scales` must be positive"):
        activation_maps(network, weight, images, present, scales=())


def test_they_are_timed():
    found = activation_map_speed(count=2, side=32, rounds=2)
    assert found["difference"] < 1e-5
