"""Losses that spread strokes, in a training: learned, accumulated, resumed, said in the card."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from safetensors.torch import load_file

from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.configs import parse_configs
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from tests.subset_files import encoded, write_card

LOSSES = {
    "self_labelling": {"self_labelling_weight": 0.3, "potts_weight": 2.0},
    "tree_energy": {"tree_energy_weight": 0.4},
    "both": {"self_labelling_weight": 0.3, "tree_energy_weight": 0.4},
}
each_loss = pytest.mark.parametrize("terms", LOSSES.values(), ids=LOSSES)


@pytest.fixture(scope="module")
def repository(scenes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    rows = {
        "image": [encoded(np.asarray(s.image, np.uint8)) for s in scenes],
        "label": [encoded(np.asarray(s.scribble, np.uint8)) for s in scenes],
        "classes": [[0] for _ in scenes],
        "source_id": [s.source_id for s in scenes],
    }
    types = {
        "image": Image(),
        "label": Image(),
        "classes": List(ClassLabel(names=list(SCENE_CLASSES.names))),
        "source_id": Value("string"),
    }
    path = folder / "real" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    Dataset.from_dict(rows, Features(types)).to_parquet(path)
    write_card(folder, "real")
    return str(folder)


def options(repository, folder, **changes):
    return {
        "real": repository,
        "eval_split": "",
        "output_dir": str(folder),
        "crop_size": 48,
        "scale_min": 0.5,  # padding, which differs from call to call, makes their counts differ
        "scale_max": 1.0,
        "max_steps": 3,
        "per_device_train_batch_size": 4,
        "optim": "sgd",
        "learning_rate": 0.05,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": True,
        **changes,
    }


def trained(repository, folder, trainer_type=SegmentationTrainer, **changes):
    train_segmentation(SegmentationConfig(**options(repository, folder, **changes)), trainer_type)
    return load_file(folder / "model.safetensors")


def difference(one, other):
    return max(float((one[k].float() - other[k].float()).abs().max()) for k in one)


@each_loss
def test_means_stay_means_when_calls_accumulate(repository, tmp_path, terms):
    found = [
        trained(
            repository,
            tmp_path / str(calls),
            per_device_train_batch_size=4 // calls,
            gradient_accumulation_steps=calls,
            **terms,
        )
        for calls in (1, 2, 4)
    ]
    assert all(difference(found[0], other) < 1e-5 for other in found[1:])
    assert difference(found[0], trained(repository, tmp_path / "plain")) > 1e-4


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(repository, tmp_path):
    one = trained(repository, tmp_path / "one", **LOSSES["both"])
    changes = {"num_processes": 2, "per_device_train_batch_size": 2, **LOSSES["both"]}
    given = options(repository, tmp_path / "two", **changes)
    flags = [f"--{name}={value}" for name, value in given.items()]
    run = subprocess.run(
        [sys.executable, "-m", "scribblegen", "train-segmentation", *flags],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert difference(one, load_file(tmp_path / "two" / "model.safetensors")) < 1e-5


def test_a_killed_training_goes_on_to_the_same_weights(repository, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, **LOSSES["both"]}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = trained(repository, whole, **saving)
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoint-4")
    (cut / "model.safetensors").unlink()
    again = trained(repository, cut, resume_from_checkpoint="latest", **saving)
    assert all(torch.equal(again[name], expected[name]) for name in expected)


class Watching(SegmentationTrainer):
    unchanged: list = []

    def segmentation_loss(self, outputs, batch):
        tensors = {k: v for k, v in batch.items() if isinstance(v, torch.Tensor)}
        before = {k: v.clone() for k, v in tensors.items()}
        loss = super().segmentation_loss(outputs, batch)
        loss.backward(retain_graph=True)
        self.unchanged.append(all(torch.equal(tensors[k], before[k]) for k in before))
        return loss


def test_a_step_in_half_precision_leaves_what_it_was_shown_as_it_was(repository, tmp_path):
    Watching.unchanged.clear()
    found = trained(repository, tmp_path, Watching, bf16=True, **LOSSES["both"])
    assert Watching.unchanged == [True] * 3
    assert all(torch.isfinite(values).all() for values in found.values())


SHORT = {"max_steps": 1, "crop_size": 32, **LOSSES["both"]}


@pytest.fixture(scope="module")
def usual(repository, tmp_path_factory):
    return trained(repository, tmp_path_factory.mktemp("usual"), **SHORT)


@pytest.mark.parametrize(
    "changes",
    [
        {"self_labelling_weight": 0.0},
        {"tree_energy_weight": 0.0},
        {"potts_weight": 0.0},
        {"potts_sigma_rgb": 60.0},
        {"tree_sigma_rgb": 60.0},
        {"self_labelling_steps": 1},
        {"affinity_stride": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_option_reaches_the_weights(repository, tmp_path, usual, changes):
    assert difference(usual, trained(repository, tmp_path, **{**SHORT, **changes})) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"self_labelling_weight": -1.0}, "`self_labelling_weight` must be 0 or more. Got -1.0"),
        ({"tree_energy_weight": float("nan")}, "`tree_energy_weight` must be 0 or more"),
        ({"potts_weight": -0.5}, "`potts_weight` must be 0 or more. Got -0.5"),
        ({"potts_sigma_rgb": 0.0}, "`potts_sigma_rgb` must be above 0. Got 0.0"),
        ({"tree_sigma_rgb": -15.0}, "`tree_sigma_rgb` must be above 0. Got -15.0"),
        ({"self_labelling_steps": 0}, "`self_labelling_steps` must be 1 or more. Got 0"),
        ({"affinity_stride": 0}, "`affinity_stride` must be 1 or more. Got 0"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        SegmentationConfig(**options("none", tmp_path, **changes))


def test_help_and_card_say_what_there_is(repository, tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse_configs([SegmentationConfig], ["--help"], program="train", description="")
    shown = capsys.readouterr().out
    trained(repository, tmp_path, **SHORT)
    card = (tmp_path / "README.md").read_text("utf-8")
    for name in ("self_labelling_weight", "potts_weight", "potts_sigma_rgb", "tree_energy_weight"):
        assert f"--{name}" in shown and name in card
