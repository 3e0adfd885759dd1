"""A method with a loss of its own: it says which columns it reads, and the loss; nothing else."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.data import open_rows
from scribblegen.trainers.segmentation.losses import at_size_of
from scribblegen.trainers.segmentation.maps import LabelMap, WeightMap
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from scribblegen.trainers.segmentation.views import SchemeSampler, Views
from tests.subset_files import encoded, save, write_card

SIZE = 24


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Bright squares: strokes in `label`, squares in `pseudo_label`, weights in `distance_map`."""
    folder = tmp_path_factory.mktemp("maps")
    rng = np.random.default_rng(0)
    for subset, number in (("real", 4), ("synthetic", 2)):
        rows = {
            key: [] for key in ("image", "label", "pseudo_label", "distance_map", "classes")
        } | {"source_id": [f"{subset} {i}" for i in range(number)]}
        for _ in range(number):
            square = np.zeros((SIZE, SIZE), np.uint8)
            top, left = rng.integers(2, 10, 2)
            square[top : top + 10, left : left + 10] = 1
            image = rng.integers(90, 120, (SIZE, SIZE, 3)).astype(np.uint8)
            image[square == 1] += 100
            rows["image"].append(encoded(image))
            rows["label"].append(encoded(np.where(rng.random(square.shape) < 0.1, square, 255)))
            rows["pseudo_label"].append(encoded(square))
            rows["distance_map"].append(encoded(square * 255))
            rows["classes"].append([0, 1])
        save(folder, subset, rows)
    write_card(folder, "real", "synthetic")
    return str(folder)


@dataclass
class ToyConfig(SegmentationConfig):
    def maps(self):
        return {**super().maps(), "pseudo_label": LabelMap(), "distance_map": WeightMap()}


class ToyTrainer(SegmentationTrainer):
    shown: list = []

    def segmentation_loss(self, outputs, batch):
        self.shown.append({key: batch[key] for key in ("labels", "pseudo_label", "distance_map")})
        logits = at_size_of(batch["pseudo_label"], outputs.logits)
        found = F.cross_entropy(logits, batch["pseudo_label"], ignore_index=255, reduction="none")
        weight = batch["distance_map"].float() / 255
        return super().segmentation_loss(outputs, batch) + (weight * found).mean()


def options(repository, folder, **changes):
    return {
        "real": repository,
        "eval_split": "",
        "output_dir": str(folder),
        "crop_size": SIZE,
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-3,
        "jitter": 0.1,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": True,
        **changes,
    }


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_every_map_of_the_rows_reaches_the_batch(repository, tmp_path):
    config = ToyConfig(**options(repository, tmp_path))
    rows = open_rows(repository, [f"{repository}:synthetic"], maps=config.maps())
    scheme = Scheme(name="uniform", num_real=4, twin_sets=rows.twin_sets)
    views = Views(rows, config.augmentation(), seed=0)
    for batch in DataLoader(views, batch_size=4, sampler=SchemeSampler(scheme)):
        shown = {"pixel_values", "labels", "inside", "drawn", "pseudo_label", "distance_map"}
        assert batch.keys() == shown
        assert batch["labels"].dtype == batch["pseudo_label"].dtype == torch.int64
        assert batch["distance_map"].dtype == torch.uint8
        drawn = batch["labels"] != 255
        assert torch.equal(batch["labels"][drawn], batch["pseudo_label"][drawn])
        assert (batch["pseudo_label"] == 255)[~batch["inside"]].all()
        assert (batch["distance_map"] == 0)[~batch["inside"]].all()
        plain = (batch["distance_map"] == 255) | (batch["distance_map"] == 0)
        agree = (batch["distance_map"] == 255)[plain] == (batch["pseudo_label"] == 1)[plain]
        assert agree.float().mean() > 0.95, "but for borders, where weights are blended"


def test_a_loss_of_a_few_lines_trains_on_two_labels_and_a_weight(repository, tmp_path):
    ToyTrainer.shown.clear()
    sets = {"synthetic": [f"{repository}:synthetic"], "scheme": "uniform"}
    config = ToyConfig(**options(repository, tmp_path / "toy", **sets))
    train_segmentation(config, ToyTrainer)
    assert len(ToyTrainer.shown) == 4
    assert all(shown["distance_map"].any() for shown in ToyTrainer.shown)
    plain = SegmentationConfig(**options(repository, tmp_path / "plain", **sets))
    train_segmentation(plain)
    one, other = weights(tmp_path / "toy"), weights(tmp_path / "plain")
    assert max(float((one[k] - other[k]).abs().max()) for k in one) > 1e-6


class PlainMean(SegmentationTrainer):
    def segmentation_loss(self, outputs, batch):
        logits = at_size_of(batch["labels"], outputs.logits)
        return F.cross_entropy(logits, batch["pseudo_label"], ignore_index=255)


def test_a_mean_stays_a_mean_when_calls_accumulate(repository, tmp_path):
    trained = []
    for batch, calls in ((4, 1), (2, 2), (1, 4)):
        config = ToyConfig(
            **options(
                repository,
                tmp_path / str(calls),
                optim="sgd",
                learning_rate=0.05,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=calls,
                max_grad_norm=0.0,
                max_steps=2,
                scale_min=1.0,
                scale_max=1.0,
            )
        )
        train_segmentation(config, PlainMean)
        trained.append(weights(tmp_path / str(calls)))
    for found in trained[1:]:
        assert max(float((found[k] - trained[0][k]).abs().max()) for k in found) < 1e-5


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (np.zeros((SIZE, 8), np.uint8), r"pseudo_label` of \(24, 8\) over an image of \(24, 24\)"),
        (np.full((SIZE, SIZE), 7, np.uint8), r"holds \[7\] in `pseudo_label`, outside the 2 cl"),
    ],
)
def test_a_map_that_does_not_fit_its_image_is_refused_by_name(tmp_path, fault, message):
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    rows = {
        "image": [encoded(image)],
        "label": [encoded(image[..., 0])],
        "pseudo_label": [encoded(fault)],
        "classes": [[0]],
        "source_id": ["a"],
    }
    save(tmp_path, "real", rows)
    write_card(tmp_path, "real")
    maps = {"label": LabelMap(), "pseudo_label": LabelMap()}
    with pytest.raises(ValueError, match=message):
        open_rows(str(tmp_path), [], maps=maps).read(0)
