"""The paper's segmentor preset is what RLoss does: rates, momentum, and the loss of a batch."""

import math

import numpy as np
import pytest
import torch

from scribblegen.configs import parse_configs
from scribblegen.trainers.segmentation.augmentation import Augmentation, centre_crop
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.models import open_model
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NAMES = ("ground", "dark", "bright")


@pytest.fixture
def trainer(tmp_path):
    options = [
        "--config",
        "paper-voc-segmentation",
        "--synthetic",
        "a:b",
        "--output_dir",
        str(tmp_path),
    ]
    (config,) = parse_configs((SegmentationConfig,), options, program="p", description="d")
    model = open_model(NAMES, architecture="deeplabv3plus")
    return SegmentationTrainer(model, config, mean=MEAN, std=STD)


def test_the_rate_falls_as_one_minus_progress_to_the_power_of_0_9(trainer):
    steps = 40
    trainer.create_optimizer_and_scheduler(steps)
    optimizer, schedule = trainer.optimizer, trainer.lr_scheduler
    assert isinstance(optimizer, torch.optim.SGD)
    for group in optimizer.param_groups:
        assert group["momentum"] == 0.9 and group["weight_decay"] == 5e-4
    for step in range(steps):
        rates = [group["lr"] for group in optimizer.param_groups]
        expected = 0.003 * (1 - step / steps) ** 0.9
        assert rates == pytest.approx([expected, 10 * expected])
        optimizer.step()
        schedule.step()


def test_the_loss_of_a_batch_is_that_of_the_formulas(trainer):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 3, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 3, (2, 16, 16))
    labels[rng.random(labels.shape) < 0.9] = 255
    labels[:, :, 12:] = 255
    inside = np.ones((2, 16, 16), bool)
    inside[:, :, 12:] = False  # padding
    logits = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    class Fixed(torch.nn.Module):
        def forward(self, pixel_values):
            return type("Output", (), {"logits": logits})

    trainer.config.dense_crf_weight = 1e-3  # the paper's weighs nothing on so few pixels
    loss = trainer.compute_loss(
        Fixed(),
        {
            "pixel_values": torch.from_numpy(pixels).to(torch.uint8),
            "labels": torch.from_numpy(labels),
            "inside": torch.from_numpy(inside),
        },
    )

    log_p = torch.log_softmax(logits, dim=1).numpy()
    drawn = [(b, y, x) for b, y, x in np.argwhere(labels != 255)]
    cross_entropy = -np.mean([log_p[b, labels[b, y, x], y, x] for b, y, x in drawn]) / 2
    regular = 0.0
    small = torch.nn.functional.interpolate(
        torch.exp(torch.from_numpy(log_p)), size=(8, 8), mode="bilinear"
    ).numpy()
    for b in range(2):
        colour = pixels[b, :, ::2, ::2].reshape(3, 64) / 15
        kept = inside[b, ::2, ::2].reshape(64)
        place = np.array([(y, x) for y in range(8) for x in range(8)]).T / (100 * 0.5)
        for i in range(64):
            for j in range(64):
                distance = ((colour[:, i] - colour[:, j]) ** 2).sum()
                distance += ((place[:, i] - place[:, j]) ** 2).sum()
                s = small[b].reshape(3, 64)
                regular -= math.exp(-distance / 2) * kept[i] * kept[j] * (s[:, i] @ s[:, j])
    assert float(loss) == pytest.approx(cross_entropy + 1e-3 * regular / 2, rel=1e-5)
    assert abs(1e-3 * regular / 2) > 0.01 * cross_entropy, "both terms count"


def test_crops_are_513_and_padded_with_what_does_not_count(trainer):
    augmentation = trainer.config.augmentation()
    assert augmentation == Augmentation(crop_size=513, scale=(0.5, 2.0), flip=0.5, blur=0.5)
    row = {
        "image": np.full((300, 500, 3), 9, np.uint8),
        "label": np.ones((300, 500), np.uint8),
    }
    for seed in range(6):
        view = augmentation(row, np.random.default_rng(seed))
        classes, inside = view["label"], view["inside"]
        assert view["image"].shape == (513, 513, 3) and classes.shape == (513, 513)
        assert (classes[inside] == 1).all() and (classes[~inside] == 255).all()


def test_what_is_measured_is_the_centre_of_513(trainer):
    image = np.zeros((300, 500, 3), np.uint8)
    label = np.repeat(np.arange(5, dtype=np.uint8), 100)[None].repeat(300, axis=0)
    shown, classes = centre_crop(image, label, 513)
    assert shown.shape == (513, 513, 3) and classes.shape == (513, 513)
    # 300 x 500 becomes 513 x 855; the crop shows columns 171 to 683 of it.
    assert classes[0, 0] == 1 and classes[0, 256] == 2 and classes[0, -1] == 3
    assert np.array_equal(classes, classes[:1].repeat(513, axis=0))
