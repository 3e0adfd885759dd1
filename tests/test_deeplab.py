"""DeepLabV3+ as a transformers model."""

import pytest
import torch
from transformers import AutoModelForSemanticSegmentation, ResNetConfig, ResNetModel

from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
    dilate,
)

TINY = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 3]}


def model(**changes):
    torch.manual_seed(0)
    options = {"num_labels": 5, "aspp_channels": 16, "low_level_channels": 8}
    config = DeepLabV3PlusConfig(ResNetConfig(**TINY), **{**options, **changes})
    return DeepLabV3PlusForSemanticSegmentation(config).eval()


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_the_last_features_have_the_stride_asked_for(output_stride, layer_type):
    backbone = ResNetModel(ResNetConfig(**TINY, layer_type=layer_type)).eval()
    dilate(backbone, output_stride, [1, 2, 4])
    assert backbone(torch.zeros(1, 3, 96, 64)).last_hidden_state.shape[-2:] == (
        96 // output_stride,
        64 // output_stride,
    )


def test_dilation_samples_what_the_strided_network_saw():
    """Without multi-grid every second feature of the dilated network is the strided one's."""
    torch.manual_seed(0)
    strided = ResNetModel(ResNetConfig(**TINY, layer_type="basic")).eval()
    dilated = ResNetModel(ResNetConfig(**TINY, layer_type="basic")).eval()
    dilated.load_state_dict(strided.state_dict())
    dilate(dilated, 16, [])
    x = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        one, other = (m(x).last_hidden_state for m in (strided, dilated))
    assert torch.allclose(one[..., 2:-2, 2:-2], other[..., ::2, ::2][..., 2:-2, 2:-2], atol=1e-4)


def test_logits_are_a_quarter_and_the_loss_ignores_255():
    net, x = model(), torch.randn(2, 3, 64, 48)
    labels = torch.full((2, 64, 48), 255)
    assert net(x).logits.shape == (2, 5, 16, 12)
    assert net(x, labels=labels).loss == 0
    labels[0, :4] = 3
    assert torch.isfinite(net(x, labels=labels).loss)
    assert len(net(x, labels=labels, return_dict=False)) == 2


def test_it_trains_with_one_image_in_a_batch():
    net = model().train()
    net(torch.randn(1, 3, 64, 64), labels=torch.zeros(1, 64, 64, dtype=torch.long)).loss.backward()
    assert all(p.grad is not None for p in net.parameters())


def test_auto_classes_load_it(tmp_path):
    net, x = model(output_stride=8), torch.randn(1, 3, 64, 64)
    net.save_pretrained(tmp_path)
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).eval()
    assert isinstance(again, DeepLabV3PlusForSemanticSegmentation)
    loaded = again.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in net.state_dict().items())
    with torch.no_grad():  # weights that lie elsewhere in memory may round otherwise
        torch.testing.assert_close(net(x).logits, again(x).logits, rtol=1e-4, atol=1e-4)
    assert (tmp_path / "deeplab.py").is_file(), "for where scribblegen is not installed"


def test_an_unknown_stride_is_refused():
    with pytest.raises(ValueError, match="`output_stride` must be 8, 16 or 32. Got 4"):
        DeepLabV3PlusConfig(output_stride=4)
