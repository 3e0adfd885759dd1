"""A segmentor that looks at twins: its agreement is recorded, shown, and chosen by."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import load_dataset
from PIL import Image
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    pipeline,
)

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.cli import main as scribblegen
from scribblegen.commands.build import build, open_build
from scribblegen.configs import to_arguments, to_dict
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.folder import RunError
from scribblegen.runs.loop import synthesize
from scribblegen.trainers.judge import Judge, share_found
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.data import open_rows
from scribblegen.trainers.segmentation.row_selection import recorded_scores
from scribblegen.trainers.segmentation.run import train_segmentation
from tests.forks import run_ranks

SIZE = 48
SOURCE = ScenesConfig(ids="0:4", scene_size=SIZE)
GRID = ScribbleGenConfig(
    guidance_scales=[1.0],
    encode_ratios=[0.5, 1.0],
    num_inference_steps=2,
    rows=4,
    pipeline="random",
)
OUTPUT = OutputConfig(sources_per_shard=2)
SUBSETS = ("guidance1-encode0.5", "guidance1-encode1")


def save_segmentor(folder: Path, names: tuple[str, ...], seed: int = 0) -> str:
    """An untrained segmentor that sees pictures at twice their size."""
    torch.manual_seed(seed)
    config = SegformerConfig(
        depths=[1] * 4,
        hidden_sizes=[8, 16, 16, 16],
        num_attention_heads=[1] * 4,
        decoder_hidden_size=16,
        id2label=dict(enumerate(names)),
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    processor = SegformerImageProcessor(size={"height": 2 * SIZE, "width": 2 * SIZE})
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def segmentor(tmp_path_factory):
    return save_segmentor(tmp_path_factory.mktemp("judge") / "model", SCENE_CLASSES.names)


@pytest.fixture(scope="module")
def repository(segmentor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged") / "scenes"
    build(SOURCE, replace(GRID, agreement_model=segmentor), OUTPUT, output_dir=folder)
    return folder


def test_the_share_is_over_labelled_pixels():
    label = np.full((4, 4), 255, np.uint8)
    found = np.zeros((4, 4), np.int64)
    assert share_found(found, label) == 1, "nothing to find"
    label[0] = [0, 0, 0, 1]
    assert share_found(found, label) == 0.75


def test_a_judge_sees_what_the_stock_pipeline_sees(segmentor):
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    maps = pipeline("image-segmentation", model=segmentor)(Image.fromarray(image))
    label = np.full((40, 56), 255, np.uint8)
    for entry in maps:
        label[np.asarray(entry["mask"]) > 0] = SCENE_CLASSES.names.index(entry["label"])
    judge = Judge(segmentor, SCENE_CLASSES, torch.device("cpu"))
    assert judge.agreement(image, label) == 1
    wrong = np.where(np.arange(56) < 28, label, (label + 1) % 12).astype(np.uint8)
    assert judge.agreement(image, wrong) == 0.5


def test_every_twin_has_its_agreement_and_the_card_the_mean(repository, segmentor):
    judge = Judge(segmentor, SCENE_CLASSES, torch.device("cpu"))
    card = (repository / "README.md").read_text()
    assert "| source distance | agreement | MB |" in card
    for subset in SUBSETS:
        twins = load_dataset(str(repository), subset, split="train")
        recorded = [scores["agreement"] for scores in twins["scores"]]
        measured = [judge.agreement(np.asarray(t["image"]), np.asarray(t["label"])) for t in twins]
        assert recorded == pytest.approx(measured, abs=1e-6)
        (line,) = (line for line in card.splitlines() if line.startswith(f"| `{subset}`"))
        assert f"| {np.mean(recorded):.3f} |" in line


def test_without_a_segmentor_nothing_is_claimed(tmp_path):
    build(SOURCE, GRID, output_dir=tmp_path / "run")
    twins = load_dataset(str(tmp_path / "run"), SUBSETS[0], split="train")
    assert {scores["agreement"] for scores in twins["scores"]} == {None}
    assert "agreement | MB" not in (tmp_path / "run/README.md").read_text()
    config = segmentation(tmp_path / "run", tmp_path / "model", min_agreement=0.5)
    with pytest.raises(ValueError, match="need an `agreement_model`: guidance1-encode0.5 has no"):
        train_segmentation(config)


def test_two_processes_write_the_same_bytes(repository, segmentor, tmp_path):
    judged = replace(GRID, agreement_model=segmentor)
    options = {
        **to_dict(SOURCE, judged, OUTPUT),
        "output_dir": str(tmp_path / "scenes"),
        "num_processes": 2,
    }
    run_ranks(tmp_path / "said", 2, scribblegen, ["build", *to_arguments(options)])
    one, two = (
        {str(p.relative_to(f)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files(f)}
        for f in (repository, tmp_path / "scenes")
    )
    assert one == two


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_another_segmentor_is_another_run(repository, tmp_path):
    other = save_segmentor(tmp_path / "other", SCENE_CLASSES.names, seed=1)
    judged = replace(GRID, agreement_model=other)
    with pytest.raises(RunError, match="agreement model"):
        synthesize(open_build(SOURCE, judged, OUTPUT, repository))


def test_a_segmentor_of_other_classes_is_refused_before_any_work(tmp_path):
    other = save_segmentor(tmp_path / "other", ("cat", "dog"))
    judged = replace(GRID, agreement_model=other)
    with pytest.raises(ValueError, match="know the 12 classes .* 12 differ: 0: 'sky' and 'cat', "):
        open_build(SOURCE, judged, OUTPUT, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_names_of_classes_may_be_spelled_otherwise(tmp_path):
    spelled = tuple(f"{name.upper()} " for name in SCENE_CLASSES.names)
    Judge(save_segmentor(tmp_path / "a", spelled), SCENE_CLASSES, torch.device("cpu"))
    swapped = (*spelled[1::-1], *spelled[2:])
    name = save_segmentor(tmp_path / "b", swapped)
    with pytest.raises(ValueError, match="2 differ: 0: 'sky' and 'GRASS ', 1: 'grass' and 'SKY '"):
        Judge(name, SCENE_CLASSES, torch.device("cpu"))


def test_pickled_weights_and_missing_models_are_refused_by_the_option_s_name(segmentor, tmp_path):
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for path in Path(segmentor).glob("*.json"):
        (pickled / path.name).write_bytes(path.read_bytes())
    weights = SegformerForSemanticSegmentation.from_pretrained(segmentor).state_dict()
    torch.save(weights, pickled / "pytorch_model.bin")
    for name in (str(pickled), str(tmp_path / "none")):
        with pytest.raises(OSError, match=f"`agreement_model` {name} cannot be loaded"):
            Judge(name, SCENE_CLASSES, torch.device("cpu"))


def test_twins_are_chosen_by_what_was_recorded(repository, segmentor, tmp_path):
    rows = open_rows(str(repository), [f"{repository}:{name}" for name in SUBSETS])
    recorded = recorded_scores(rows, "agreement")
    assert len(recorded) == 2 * 4
    middle = float(np.median(list(recorded.values())))
    kept = sum(value >= middle for value in recorded.values())
    assert 0 < kept < 8
    for number, judge in enumerate((None, segmentor)):
        folder = tmp_path / str(number)
        train_segmentation(
            segmentation(repository, folder, min_agreement=middle, agreement_model=judge)
        )
        assert f'"twins": {kept}' in (folder / "run.json").read_text()


def segmentation(repository, output_dir, **options):
    return SegmentationConfig(
        real=str(repository),
        synthetic=[f"{repository}:{name}" for name in SUBSETS],
        scheme="uniform",
        eval_split="",
        output_dir=str(output_dir),
        crop_size=SIZE,
        max_steps=1,
        per_device_train_batch_size=2,
        save_strategy="no",
        disable_tqdm=True,
        report_to="none",
        **options,
    )
