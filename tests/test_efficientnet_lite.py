"""EfficientNet-Lite is the published network, and a backbone of transformers."""

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoBackbone, AutoModelForImageClassification

from scribblegen.trainers.segmentation.efficientnet_lite import (
    EfficientNetLiteBackbone,
    EfficientNetLiteConfig,
    EfficientNetLiteForImageClassification,
)

# First blocks of the stages that halve the picture, by the number of blocks of all.
HALVING = {16: (1, 3, 5, 11), 21: (1, 4, 7, 15)}
LAST = {16: (0, 2, 4, 10, 15), 21: (0, 3, 6, 14, 20)}
TINY = {"width": 0.25, "depth": 0.5}


def network(seed=0, **options):
    """A classifier with weights and statistics that are drawn."""
    torch.manual_seed(seed)
    net = EfficientNetLiteForImageClassification(EfficientNetLiteConfig(**options))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.8, 1.2)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.uniform_(tensor, -0.2, 0.2)
    return net.eval()


def padded(x, kernel, stride):
    """`SAME` of TensorFlow, written out."""
    for axis in (3, 2):
        outputs = -(-x.shape[axis] // stride)
        needed = max((outputs - 1) * stride + kernel - x.shape[axis], 0)
        before, after = needed // 2, needed - needed // 2
        x = F.pad(x, (before, after) if axis == 3 else (0, 0, before, after))
    return x


def forward(tensors, x):
    """(maps, logits) from nothing but the tensors of a classifier."""

    def unit(x, name, stride=1):
        weight = tensors[f"{name}.convolution.weight"]
        groups = x.shape[1] if weight.shape[1] == 1 and x.shape[1] > 1 else 1
        x = padded(x, weight.shape[-1], stride)
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        mean, var, scale, offset = (
            tensors[f"{name}.norm.{part}"][None, :, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-3) * scale + offset

    count = 1 + max(int(k.split(".")[2]) for k in tensors if k.startswith("backbone.blocks."))
    x, maps = unit(x, "backbone.stem", 2).clamp(0, 6), []
    for number in range(count):
        name, before = f"backbone.blocks.{number}", x
        if f"{name}.expand.convolution.weight" in tensors:
            x = unit(x, f"{name}.expand").clamp(0, 6)
        x = unit(x, f"{name}.depthwise", 2 if number in HALVING[count] else 1).clamp(0, 6)
        x = unit(x, f"{name}.project")
        if x.shape == before.shape and number not in HALVING[count]:
            x = x + before
        if number in LAST[count]:
            maps.append(x)
    features = unit(x, "head").clamp(0, 6)
    return maps, features.mean(dim=(2, 3)) @ tensors["classifier.weight"].T + tensors[
        "classifier.bias"
    ]


def same_as_written_out(net, side):
    """In 64 bits, where rounding leaves nothing to explain."""
    net = net.double()
    x = torch.randn(2, 3, *side, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        maps, logits = forward(net.state_dict(), x)
        found = net.backbone(x, output_hidden_states=True).hidden_states
        assert len(found) == len(maps) == 5
        for one, other in zip(found, maps, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(net(x).logits, logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [1.0, 1.1])
@pytest.mark.parametrize("side", [(64, 96), (75, 61)])
def test_it_computes_what_is_published(depth, side):
    same_as_written_out(network(depth=depth, num_labels=7), side)


def test_the_three_sizes_are_those_that_are_published():
    sizes = {}
    for width, depth in ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2)):
        with torch.device("meta"):
            config = EfficientNetLiteConfig(width=width, depth=depth, num_labels=1000)
            net = EfficientNetLiteForImageClassification(config)
        count = sum(p.numel() for p in net.parameters())
        sizes[width, depth] = (round(count / 1e6, 1), config.hidden_sizes)
    assert sizes == {
        (1.0, 1.0): (4.7, [24, 40, 112, 320]),
        (1.0, 1.1): (5.4, [24, 40, 112, 320]),
        (1.1, 1.2): (6.1, [24, 48, 120, 352]),
    }


def test_maps_are_at_strides_4_to_32_for_any_side():
    names = ["stage1", "stage2", "stage3", "stage4"]
    net = EfficientNetLiteBackbone(EfficientNetLiteConfig(**TINY, out_features=names)).eval()
    found = net(torch.zeros(1, 3, 100, 65))
    assert [m.shape[-2:] for m in found.feature_maps] == [(25, 17), (13, 9), (7, 5), (4, 3)]
    assert [m.shape[1] for m in found.feature_maps] == net.channels == net.config.hidden_sizes
    assert found.hidden_states is None
    (maps,) = net(torch.zeros(1, 3, 32, 32), return_dict=False)
    assert len(maps) == 4


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilation_sees_what_the_strided_network_saw(output_stride):
    """Of the dilated map the last of every few places is the strided one, over the same weights."""
    strided, dilated = network(**TINY), network(**TINY, output_stride=output_stride)
    x, every = torch.randn(1, 3, 512, 512), 32 // output_stride
    with torch.no_grad():
        one, other = (net.backbone(x).feature_maps[0] for net in (strided, dilated))
    assert other.shape[-1] == 512 // output_stride
    other = other[..., every - 1 :: every, every - 1 :: every]
    inner = (..., slice(5, -5), slice(5, -5))  # a dilated network pads more
    assert torch.allclose(one[inner], other[inner], atol=1e-5)


def test_features_of_the_classifier_average_to_its_logits():
    net, x = network(**TINY, output_stride=16, num_labels=3), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = net.features(x)
        assert features.shape == (2, 1280, 4, 4)
        maps = F.conv2d(features, net.classifier.weight[..., None, None], net.classifier.bias)
        torch.testing.assert_close(maps.mean(dim=(2, 3)), net(x).logits, rtol=1e-4, atol=1e-5)


def test_a_picture_may_be_of_one_class_or_of_many():
    net, x = network(**TINY, num_labels=3), torch.randn(2, 3, 32, 32)
    logits = net(x).logits
    one = net(x, labels=torch.tensor([0, 2])).loss
    assert torch.allclose(one, F.cross_entropy(logits, torch.tensor([0, 2])))
    marked = torch.tensor([[1, 0, 1], [0, 0, 0]])
    many = net(x, labels=marked, return_dict=False)[0]
    assert torch.allclose(many, F.binary_cross_entropy_with_logits(logits, marked.float()))


def test_auto_classes_load_backbone_and_classifier(tmp_path):
    net, x = network(**TINY, num_labels=3), torch.randn(1, 3, 48, 48)
    net.save_pretrained(tmp_path)
    again = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    backbone = EfficientNetLiteBackbone.from_pretrained(tmp_path, out_indices=[2, 4]).eval()
    with torch.no_grad():
        assert torch.equal(again(x).logits, net(x).logits)
        states = net.backbone(x, output_hidden_states=True).hidden_states
        for found, expected in zip(backbone(x).feature_maps, (states[2], states[4]), strict=True):
            assert torch.equal(found, expected)
    backbone.save_pretrained(tmp_path / "backbone")
    alone = EfficientNetLiteBackbone.from_pretrained(tmp_path / "backbone").eval()
    assert type(AutoBackbone.from_config(alone.config)) is EfficientNetLiteBackbone
    assert alone.out_features == ["stage2", "stage4"]
    assert torch.equal(alone(x).feature_maps[1], states[4])
    assert (tmp_path / "efficientnet_lite.py").is_file(), "for where scribblegen is not installed"


def test_an_unknown_stride_is_refused():
    with pytest.raises(ValueError, match="`output_stride` must be 8, 16 or 32. Got 4"):
        EfficientNetLiteConfig(output_stride=4)
