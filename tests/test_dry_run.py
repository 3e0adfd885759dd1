"""A dry run says what the training would be, and leaves nothing behind."""

import json
import math
import re
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

from scribblegen.cli import main
from scribblegen.commands.study.plan import read_study
from scribblegen.trainers.base.dry_run import DryRun
from scribblegen.trainers.base.dry_run_table import duration, table
from scribblegen.trainers.base.training_length import training_length
from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.classifier.run import train_classifier
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from tests.test_row_check import GOOD, options, repository_of

NUM = 6
LOSSES = {
    "cross_entropy",
    "pseudo_label",
    "scribble_distance",
    "boundary_distance",
    "rectification",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    labels = [*GOOD, *GOOD][:NUM]
    dense = [np.repeat(np.array([0, 1, 2, 255], np.uint8), 8)[:, None].repeat(32, 1)] * NUM
    folder = tmp_path_factory.mktemp("data") / "mine"
    return repository_of(folder, labels, test=GOOD, pseudo_label=dense, mask=dense)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet")
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 24], "depths": [1] * 4}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(folder)
    ConvNextImageProcessor().save_pretrained(folder)
    return str(folder)


def segmentation(repository, folder, **changes):
    kept = {"eval_split": "test", "eval_labels": "scribble", "max_steps": -1, **changes}
    return SegmentationConfig(**options(repository, folder, **kept))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def paper_flags(repository, resnet, folder):
    """The recipe on a tiny example: without a GPU, with crops that a test has time for."""
    return [
        *("--config", "paper-cdsp", "--real", repository, "--model_name_or_path", resnet),
        *("--output_dir", str(folder), "--fp16", "False", "--crop_size", "64"),
        *("--eval_window", "64", "--per_device_train_batch_size", "2", "--eval_split", "test"),
        *("--eval_labels", "scribble", "--save_strategy", "epoch", "--dry_run", "True"),
    ]


def test_the_recipe_of_cdsp_is_told_line_by_line(repository, resnet, tmp_path, capsys):
    main(["train-segmentation", *paper_flags(repository, resnet, tmp_path / "model")])
    said = capsys.readouterr().out
    print(said)
    assert not (tmp_path / "model").exists()
    text = " ".join(said.split())
    for told in (
        "photographs 6 of mine; 10 rows checked",
        "background 5, sky 4, tree 4",
        "model DeepLabV3PlusForSemanticSegmentation, ",
        "1 call of 2 crops of 64 x 64, on cpu",
        "training 150 steps of 2 photographs, about ",
        "measured on 5)",
        "shown 50 epochs, 300 samples",
        "evaluation 4 images, about ",
        "windows of 64, 7 scales of 0.5 to 2)",
        "checkpoints 50 on the way",
        "nothing was trained and nothing was written",
    ):
        assert told in text
    assert set(re.findall(r"([a-z_]+) [\d.e-]+,? ", text.split("first batch:")[1])) >= LOSSES
    assert max(map(len, said.splitlines())) <= 100 and len(said.splitlines()) < 20


@pytest.mark.parametrize("strategy", ["steps", "epoch", "no"])
@pytest.mark.parametrize("calls", [1, 2])
def test_the_plan_is_what_the_training_then_does(repository, tmp_path, strategy, calls):
    changes = {
        "num_train_epochs": 1.5,
        "gradient_accumulation_steps": calls,
        "save_strategy": strategy,
        "eval_strategy": strategy,
        "save_steps": 2,
        "eval_steps": 2,
        "absent_class_weight": 0.5,
        "selection_share": 0.2,
    }
    shown = []

    class Counting(SegmentationTrainer):
        def prediction_step(self, model, inputs, *args, **kwargs):
            shown.append(len(inputs["pixel_values"]))
            return super().prediction_step(model, inputs, *args, **kwargs)

    tried = segmentation(repository, tmp_path, dry_run=True, **changes)
    found = DryRun(**train_segmentation(tried))
    assert not (tmp_path / "model").exists()
    train_segmentation(segmentation(repository, tmp_path, **changes), Counting)
    folder = tmp_path / "model"
    state = json.loads((folder / "trainer_state.json").read_text())
    assert found.steps == state["global_step"] == math.ceil(1.5 * math.ceil(3 / calls))
    assert found.checkpoints == len(list(folder.glob("checkpoint-*")))
    assert found.images == sum(shown)
    assert found.data.photographs == 5 and found.data.rows_checked == NUM + len(GOOD)
    assert found.losses.keys() == found.loss_weights.keys() == {"cross_entropy", "absent_class"}
    weighed = [found.losses[name] * w for name, w in found.loss_weights.items()]
    assert found.loss == pytest.approx(sum(weighed))
    assert found.parameters == sum(
        p.numel() for p in _trained(folder).parameters() if p.requires_grad
    )
    assert 0 < found.peak_memory < found.memory and found.seconds_per_step > 0


def _trained(folder):
    from scribblegen.trainers.segmentation.models import load_segmentor

    return load_segmentor("model", str(folder))


def test_a_classifier_is_tried_too(repository, tmp_path, capsys):
    flags = ["--real", repository, "--eval_split", "test", "--crop_size", "32"]
    flags += ["--max_steps", "7", "--per_device_train_batch_size", "4", "--report_to", "none"]
    main(["train-classifier", *flags, "--output_dir", str(tmp_path / "c"), "--dry_run", "True"])
    said = " ".join(capsys.readouterr().out.split())
    assert "training 7 steps of 4 photographs" in said and "multi_label 0." in said
    assert files(tmp_path) == []
    found = train_classifier(
        ClassifierConfig(**options(repository, tmp_path, eval_split="test", dry_run=True))
    )
    assert found.keys() == {field.name for field in fields(DryRun)}
    assert found["images"] == 4 and files(tmp_path) == []


def test_a_folder_that_is_there_stays_as_it_is_and_a_checkpoint_is_checked(repository, tmp_path):
    saving = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    train_segmentation(segmentation(repository, tmp_path, **saving))
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
    going_on = {"resume_from_checkpoint": "latest", "dry_run": True, **saving}
    found = train_segmentation(segmentation(repository, tmp_path, **going_on))
    assert found["checkpoint"] == "checkpoint-2"
    with pytest.raises(ValueError, match="holds another training: learning_rate"):
        train_segmentation(segmentation(repository, tmp_path, learning_rate=0.5, **going_on))
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
    assert after == before
    (tmp_path / "model" / "checkpoint-2" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="checkpoint-2 is damaged"):
        train_segmentation(segmentation(repository, tmp_path, **going_on))


def test_it_is_no_part_of_what_a_training_is(repository, tmp_path):
    tried, done = (segmentation(repository, tmp_path, dry_run=dry) for dry in (True, False))
    assert tried.identity() == done.identity() and "dry_run" not in tried.identity()


def test_a_loss_that_is_not_finite_is_told_by_its_name(repository, tmp_path):
    class Broken(SegmentationTrainer):
        def loss_terms(self, outputs, batch):
            terms = super().loss_terms(outputs, batch)
            return {**terms, "entropy": terms["entropy"] * math.nan}

    config = segmentation(repository, tmp_path, entropy_weight=1.0, dry_run=True)
    with pytest.raises(FloatingPointError, match="on the first batch entropy is nan"):
        train_segmentation(config, Broken)


def test_a_gpu_that_is_too_small_is_told_with_what_to_do(repository, tmp_path):
    class Full(SegmentationTrainer):
        def loss_terms(self, outputs, batch):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(ValueError, match="`per_device_train_batch_size`.*Got 2, with crops of 32"):
        train_segmentation(segmentation(repository, tmp_path, dry_run=True), Full)


def test_a_loss_of_its_own_has_a_value_and_no_names(repository, tmp_path):
    class Own(SegmentationTrainer):
        def segmentation_loss(self, outputs, batch):
            return outputs.logits.square().mean()

    found = train_segmentation(segmentation(repository, tmp_path, dry_run=True), Own)
    assert found["losses"] == {} and found["loss"] > 0
    assert "on the first batch: of its own" in table(DryRun(**found))


def test_what_is_missing_is_refused_as_by_the_training(repository, tmp_path):
    for changes, message in (
        ({"eval_split": "validation"}, "no split validation"),
        ({"eval_labels": "mask"}, "needs a `mask`"),
        ({"architecture": "poem"}, "`architecture` must be"),
    ):
        with pytest.raises(ValueError, match=message):
            train_segmentation(segmentation(repository, tmp_path, dry_run=True, **changes))


def test_several_processes_try_it_and_one_speaks(repository, tmp_path):
    flags = ["--real", repository, "--eval_split", "", "--crop_size", "32"]
    flags += ["--per_device_train_batch_size", "2", "--num_train_epochs", "4", "--report_to"]
    flags += ["none", "--num_processes", "2", "--output_dir", str(tmp_path / "model")]
    command = [sys.executable, "-m", "scribblegen", "train-segmentation", *flags]
    run = subprocess.run([*command, "--dry_run", "True"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count("photographs   6 of mine") == 1
    assert "8 steps of 4 photographs" in run.stdout
    assert "in each of 2 processes" in run.stdout and files(tmp_path) == []


def test_a_study_trains_in_earnest(tmp_path):
    with pytest.raises(ValueError, match="`dry_run` must not be set in a study"):
        flags = ["--config", "study-scenes", "--output_dir", str(tmp_path)]
        read_study([*flags, "--segmentation.dry_run", "True"])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.034, "0.034 s"), (59, "59 s"), (630, "10 min"), (11400, "3 h 10 min"), (190000, "2 d 4 h")],
)
def test_times_are_told_in_plain_words(seconds, said):
    assert duration(seconds) == said


def test_a_length_is_counted_without_a_training(tmp_path):
    config = SegmentationConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=16, num_train_epochs=50, use_cpu=True
    )
    length = training_length(config, 1464)
    assert (length.steps, length.step_size, length.samples) == (4600, 16, 73200)
    assert length.epochs == 50 and length.checkpoints == 10  # every 500 steps, and the last
