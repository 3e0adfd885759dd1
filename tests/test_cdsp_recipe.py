"""The recipe of CDSP is what the reference does: its rates, its views, its loss of five terms."""

import math

import pytest
import torch
from transformers import ResNetConfig
from transformers.modeling_outputs import SemanticSegmenterOutput

from scribblegen.configs import parse_configs
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
)
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer

K = 3


def read(folder, *flags):
    options = ["--config", "paper-cdsp", "--real", "a", "--output_dir", str(folder), *flags]
    (config,) = parse_configs((SegmentationConfig,), options, program="p", description="d")
    return config


@pytest.fixture
def trainer(tmp_path):
    config = read(tmp_path, "--fp16", "False", "--crop_size", "64")  # of no use without a GPU
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 24], depths=[1] * 4)
    sizes = {"aspp_channels": 16, "low_level_channels": 8, "num_labels": K}
    model = DeepLabV3PlusForSemanticSegmentation(
        DeepLabV3PlusConfig(backbone, output_stride=config.output_stride, **sizes)
    )
    return SegmentationTrainer(model, config, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_its_constants_are_those_of_the_reference(tmp_path):
    config = read(tmp_path)
    assert (config.architecture, config.output_stride) == ("deeplabv3plus", 8)
    assert (config.per_device_train_batch_size, config.num_train_epochs) == (16, 50)
    assert (config.seed, config.fp16, config.labels) == (1000, True, "scribble")
    assert (config.scribble_lambda, config.boundary_lambda) == (math.e, math.e**6)
    for term in ("pseudo_label", "distance_entropy", "rectification"):
        assert getattr(config, f"{term}_weight") == 1
    for term in ("entropy", "absent_class", "dense_crf", "gated_crf"):
        assert getattr(config, f"{term}_weight") == 0
    assert config.pseudo_label_smoothing == 0.1 and config.rectification_temperature == 1
    augmentation = config.augmentation()
    assert augmentation == Augmentation(
        crop_size=465, scale=(0.5, 2.0), flip=0.5, blur=0.5, maps=augmentation.maps
    )
    assert list(augmentation.maps)[2:] == ["scribble_distance", "boundary_distance"]
    inference = config.inference()
    assert (inference.window, inference.stride, inference.flip) == (465, 2 / 3, False)
    assert inference.size is None
    assert list(inference.scales) == [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]


def test_what_the_reference_does_by_accident_is_off(tmp_path):
    config = read(tmp_path)
    assert config.distance_pad_weight == 0 and config.rectification_mask_resize == "nearest"
    assert config.select_on == "selection"
    switches = ("ignore_to_background", "distance_quantise", "rectification_padding")
    assert not any(getattr(config, switch) for switch in switches)


def test_the_rate_warms_up_over_a_tenth_and_falls_as_a_cosine_to_zero(trainer):
    steps = 100
    trainer.create_optimizer_and_scheduler(steps)
    optimizer, schedule = trainer.optimizer, trainer.lr_scheduler
    assert isinstance(optimizer, torch.optim.SGD)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained >= {id(p) for p in trainer.rectification.parameters()}
    for step in range(steps):
        share = (step - 10) / 90
        expected = step / 10 if step < 10 else (1 + math.cos(math.pi * share)) / 2
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(1e-3 * expected)
            assert group["momentum"] == 0.9
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
    assert trainer.rectification.module.query.weight.shape == (24, 24)


def test_the_loss_is_the_sum_of_five_terms(trainer):
    random = torch.Generator().manual_seed(0)
    size = (2, 16, 16)
    batch = {
        "pixel_values": torch.zeros(2, 3, 16, 16, dtype=torch.uint8),
        "labels": torch.randint(0, K, size, generator=random),
        "pseudo_label": torch.randint(0, K, size, generator=random),
        "scribble_distance": torch.rand(size, generator=random),
        "boundary_distance": torch.rand(size, generator=random),
        "inside": torch.ones(size, dtype=torch.bool),
    }
    batch["labels"][torch.rand(size, generator=random) < 0.9] = 255
    batch["pseudo_label"][torch.rand(size, generator=random) < 0.3] = 255
    batch["inside"][:, 12:] = False
    for name, padding in (("labels", 255), ("pseudo_label", 255)):
        batch[name][:, 12:] = padding
    for name in ("scribble_distance", "boundary_distance"):
        batch[name][:, 12:] = 0
    logits = torch.randn(2, K, 16, 16, generator=random)
    features = torch.randn(2, 24, 4, 4, generator=random)

    class Fixed(torch.nn.Module):
        def forward(self, pixel_values, output_hidden_states):
            return SemanticSegmenterOutput(logits=logits, hidden_states=(features,))

    found = trainer.compute_loss(Fixed(), batch).item()

    log_p = torch.log_softmax(logits, dim=1)
    drawn, dense, entropies = [], [], []
    for b, y, x in torch.cartesian_prod(*(torch.arange(n) for n in size)).tolist():
        at = log_p[b, :, y, x]
        label, pseudo = (batch[name][b, y, x].item() for name in ("labels", "pseudo_label"))
        if label != 255:
            drawn.append(-at[label].item())
        if pseudo != 255:
            dense.append((-0.9 * at[pseudo] - 0.1 * at.mean()).item())
        if y < 12:
            entropy = -(at.exp() * at).sum().item()
            weights = [batch[f"{of}_distance"][b, y, x].item() for of in ("scribble", "boundary")]
            entropies.append([weight * entropy for weight in weights])
    mean = [sum(values) / len(values) for values in (drawn, dense)]
    mean += [sum(values) / len(values) for values in zip(*entropies, strict=True)]
    module = trainer.rectification.module
    total = number = 0
    for b in range(2):
        x = features[b, :, :3].flatten(1).T  # rows of padding are left out
        ids = batch["pseudo_label"][b, 2::4, 2::4][:3].flatten()
        q, k = (torch.nn.functional.normalize(of(x), dim=1) for of in (module.query, module.key))
        attention = torch.softmax(q @ k.T, dim=1)
        rectified = ((ids > 0) & (ids != 255))[:, None] * module.gamma * (attention @ x)
        total = total + (x - rectified).square().sum().item()
        number += x.numel()
    assert found == pytest.approx(sum(mean) + total / number, rel=1e-5)
    assert min(*mean, total / number) > 0.1, "every term counts"


def test_the_module_learns_at_the_rate_of_the_backbone(trainer):
    trainer.config.head_learning_rate_factor = 10.0
    trainer.create_optimizer()
    trainer.create_optimizer()  # as the Trainer may
    groups = trainer.optimizer.param_groups
    assert [group["lr"] for group in groups] == [1e-3, 1e-2, 1e-3]
    assert {id(p) for p in groups[-1]["params"]} == {
        id(p) for p in trainer.rectification.parameters()
    }
