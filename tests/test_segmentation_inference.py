"""Images of any size through a network of any stride."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scribblegen.trainers.segmentation.inference import Inference


class Local(nn.Module):
    """A network that looks at single pixels: however an image is cut, it says the same."""

    def __init__(self, pool=1):
        super().__init__()
        self.pool, self.sizes = pool, []

    def forward(self, pixel_values):
        self.sizes.append(tuple(pixel_values.shape[-2:]))
        logits = torch.cat([pixel_values, -pixel_values.sum(dim=1, keepdim=True)], dim=1)
        return SimpleNamespace(logits=nn.functional.avg_pool2d(logits, self.pool))


@pytest.fixture
def image():
    return torch.randn(3, 70, 101, generator=torch.Generator().manual_seed(0))


def test_the_answer_has_the_size_of_the_image(image):
    found = Inference().probabilities(Local(pool=4), image)
    assert found.shape == (4, 70, 101)
    assert torch.allclose(found.sum(dim=0), torch.ones(70, 101), atol=1e-5)


@pytest.mark.parametrize("options", [{"window": 48}, {"window": 64, "stride": 0.5}, {"flip": True}])
def test_windows_and_mirrors_agree_where_the_network_is_local(image, options):
    plain = Inference().probabilities(Local(), image)
    assert torch.allclose(Inference(**options).probabilities(Local(), image), plain, atol=1e-5)


def test_a_window_is_always_of_one_size(image):
    net = Local()
    Inference(window=64, scales=(0.5, 1.0, 1.5)).probabilities(net, image)
    assert set(net.sizes) == {(64, 64)}
    assert len(net.sizes) == 1 + 2 * 2 + 2 * 4


def test_an_image_is_shown_at_the_asked_size_and_answered_at_its_own(image):
    net = Local()
    found = Inference(size=35, scales=(1.0, 2.0)).probabilities(net, image)
    assert net.sizes == [(35, 50), (70, 101)] and found.shape == (4, 70, 101)


@pytest.mark.parametrize(
    ("options", "named"), [({"window": 8}, "eval_window"), ({"scales": ()}, "eval_scales")]
)
def test_bad_options_are_refused(options, named):
    with pytest.raises(ValueError, match=f"`{named}`"):
        Inference(**options)
