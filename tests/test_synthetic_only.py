"""A segmentor that learns from synthetic images alone, and is measured on photographs."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from scribblegen.cli import main
from scribblegen.trainers.base.dry_run import DryRun
from scribblegen.trainers.base.dry_run_table import table
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.data import open_rows
from scribblegen.trainers.segmentation.opening import open_data
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.schemes import SCHEMES, Scheme, TwinSet
from tests.subset_files import encoded

SIZE = 32
NAMES = ["background", "sky", "tree"]
PARTS = {"diffumask": 5, "more": 4}  # rows of the two synthetic subsets


def picture(number, names):
    """A label of three bands and an image whose colours are its classes."""
    label = np.repeat((np.arange(4) + number) % len(names), SIZE // 4).astype(np.uint8)
    label = label[:, None].repeat(SIZE, axis=1)
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[np.arange(SIZE)[:, None], np.arange(SIZE)[None], label] = 200
    return image, label


def write(folder, parts, names=NAMES, split="train", columns=("label",)):
    lines = []
    for subset, count in parts.items():
        made = [picture(number, names) for number in range(count)]
        rows = {
            "image": [encoded(image) for image, _ in made],
            **{column: [encoded(label) for _, label in made] for column in columns},
            "classes": [[] for _ in made],
            "source_id": [f"{subset}-{number}" for number in range(count)],
        }
        types = {
            **{column: Image() for column in ("image", *columns)},
            "classes": List(ClassLabel(names=names)),
            "source_id": Value("string"),
        }
        path = folder / subset / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        Dataset.from_dict(rows, Features({name: types[name] for name in rows})).to_parquet(path)
        lines.append(
            f"- config_name: {subset}\n  description: {folder}\n  data_files:\n"
            f"  - split: {split}\n    path: {subset}/{split}-*.parquet"
        )
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(lines) + "\n---\n")
    return str(folder)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return write(tmp_path_factory.mktemp("synthetic") / "x", PARTS)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs") / "mine"
    return write(folder, {"real": 3}, split="validation", columns=("label", "mask"))


def options_of(synthetic, photographs, folder, /, **changes):
    return {
        "synthetic": [f"{synthetic}:{subset}" for subset in PARTS],
        "eval_data": photographs,
        "labels": "mask",
        "output_dir": str(folder),
        "crop_size": SIZE,
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": True,
        **changes,
    }


def config_of(*args, **changes):
    return SegmentationConfig(**options_of(*args, **changes))


def test_the_command_needs_no_photographs(synthetic, photographs, tmp_path, capsys):
    options = options_of(synthetic, photographs, tmp_path / "model", max_steps=40)
    options |= {"learning_rate": 1e-2}
    subsets = options.pop("synthetic")
    flags = [f"--{key}={value}" for key, value in options.items()]
    main(["train-segmentation", "--synthetic", *subsets, *flags])
    assert "eval_mean_iou" in capsys.readouterr().out
    results = json.loads((tmp_path / "model/all_results.json").read_text())
    assert results["eval_images"] == 3 and results["eval_mean_iou"] > 0.5
    run = json.loads((tmp_path / "model/run.json").read_text())
    assert run["classes"] == NAMES and run["scheme"] == "synthetic_only"
    assert (run["photographs"], run["twins"], run["unpaired"]) == (0, 0, 9)
    card = ModelCard.load(tmp_path / "model/README.md")
    text = " ".join(card.text.split())
    assert "trained on synthetic images under labels of their own and no photograph, with" in text
    assert "9 synthetic images of x:diffumask, x:more, scheme synthetic_only; 40 opt" in text
    assert "over 3 images of mine, split validation, against their masks" in text
    assert (
        "None" not in text.split("## Trained")[0] and "scribble-supervision" not in card.data.tags
    )
    assert str(tmp_path) not in card.content


def test_all_subsets_are_drawn_together_each_row_once_an_epoch(synthetic, photographs, tmp_path):
    rows = open_data(config_of(synthetic, photographs, tmp_path)).training
    assert rows.num_real == 0 and len(rows) == 9
    assert [twin_set.pool for twin_set in rows.twin_sets] == [tuple(range(5)), tuple(range(5, 9))]
    for matched in (True, False):
        scheme = Scheme(
            name="synthetic_only",
            num_real=0,
            twin_sets=rows.twin_sets,
            iteration_matched=matched,
        )
        epochs = [scheme.epoch(number) for number in range(3)]
        assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
        assert epochs[0] != epochs[1] and scheme.epoch_length == 9
    expected = [picture(n, NAMES)[1] for count in PARTS.values() for n in range(count)]
    for row, label in enumerate(expected):
        assert np.array_equal(rows.read(row)["label"], label)


def test_twins_of_photographs_that_are_not_there_are_a_pool(synthetic):
    rows = open_rows(None, [f"{synthetic}:more"])
    assert rows.twin_sets[0].pool == (0, 1, 2, 3) and rows.twin_sets[0].rows == ()


@pytest.mark.parametrize("name", [name for name in SCHEMES if name != "synthetic_only"])
def test_schemes_that_draw_photographs_need_some(synthetic, photographs, tmp_path, name):
    pool = (TwinSet("pool", 0.0, pool=(0, 1)),)
    with pytest.raises(ValueError, match="`scheme` must be synthetic_only where"):
        Scheme(name=name, num_real=0, twin_sets=pool)
    if name != "none":
        with pytest.raises(ValueError, match=f"`real` must be given for scheme {name}"):
            open_data(config_of(synthetic, photographs, tmp_path, scheme=name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthetic": []}, "`real` must be given.*or `synthetic`"),
        ({"eval_data": None}, "`eval_data` must be given where there is no `real`.*validation"),
        ({"selection_share": 0.5}, "`selection_share` has no effect without `real`.*0.5"),
        ({"best_twins": 1}, "`best_twins` has no effect without `real`"),
        ({"max_source_distance": 0.5}, "`max_source_distance` has no effect without `real`"),
        ({"twins_per_real": 2}, "`twins_per_real` has no effect without `real`"),
    ],
)
def test_what_is_said_of_photographs_needs_some(synthetic, photographs, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train_segmentation(config_of(synthetic, photographs, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


def test_nothing_need_be_reported(synthetic, photographs, tmp_path):
    config = config_of(synthetic, None, tmp_path, eval_split="", max_steps=1)
    assert train_segmentation(config) == {}
    assert "Nothing was measured" in (tmp_path / "README.md").read_text()


def test_classes_are_those_of_the_first_subset(synthetic, photographs, tmp_path):
    other = write(tmp_path / "other", {"real": 2}, ["sky", "background", "tree"], "validation")
    with pytest.raises(ValueError, match="same classes, in the same order.*'sky', 'background'"):
        open_data(config_of(synthetic, other, tmp_path, eval_labels="scribble"))
    more = write(tmp_path / "more", {"set": 2}, ["background", "sky"])
    subsets = [f"{synthetic}:more", f"{more}:set"]
    with pytest.raises(ValueError, match=r"set and .*x:more must have the same classes"):
        open_data(config_of(synthetic, photographs, tmp_path, synthetic=subsets))


def test_a_subset_without_labels_is_named(synthetic, tmp_path):
    other = write(tmp_path / "other", {"set": 2}, columns=("mask",))
    with pytest.raises(ValueError, match="reads `label`, which .*other:set must have"):
        open_rows(None, [f"{other}:set"])


def test_a_dry_run_counts_images(synthetic, photographs, tmp_path):
    config = config_of(synthetic, photographs, tmp_path / "model", dry_run=True)
    found = DryRun(**train_segmentation(config))
    said = " ".join(table(found).split())
    assert not (tmp_path / "model").exists()
    assert "photographs none; 12 rows checked" in said
    assert "twins none, 9 images of no photograph" in said
    assert "classes 3, in so many images: background 9, sky 9, tree 9" in said
    assert "3 steps of 2 images" in said and "None" not in said


# Every kind of augmentation at once.
PAIRED = {
    "splice": True,
    "splice_grids": ["2x2", "1x2", "3x3:0.5"],
    "perspective": 0.5,
    "erase": 0.5,
    "blur": 0.5,
}


def difference(one, other):
    one, other = (load_file(folder / "model.safetensors") for folder in (one, other))
    return max(float((one[key].float() - other[key].float()).abs().max()) for key in one)


@pytest.mark.parametrize("augmented", [{}, PAIRED])
def test_a_killed_run_goes_on_to_the_same_weights(synthetic, photographs, tmp_path, augmented):
    changes = {**augmented, "save_strategy": "steps", "save_steps": 2, "max_steps": 7}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train_segmentation(config_of(synthetic, photographs, whole, **changes))
    shutil.copytree(whole, cut)
    for later in cut.glob("checkpoint-[67]"):
        shutil.rmtree(later)
    changes["resume_from_checkpoint"] = "latest"
    train_segmentation(config_of(synthetic, photographs, cut, **changes))
    assert difference(whole, cut) == 0
    if augmented:
        plain = config_of(synthetic, photographs, tmp_path / "plain", max_steps=7)
        train_segmentation(plain)
        assert difference(whole, tmp_path / "plain") > 0


def test_two_processes_and_two_workers_learn_what_one_learns(synthetic, photographs, tmp_path):
    shared = {**PAIRED, "optim": "sgd", "learning_rate": 0.1, "max_steps": 2}
    one = config_of(
        synthetic, photographs, tmp_path / "one", per_device_train_batch_size=4, **shared
    )
    train_segmentation(one)
    options = options_of(synthetic, photographs, tmp_path / "two", **shared)
    options |= {"num_processes": 2, "dataloader_num_workers": 2}
    lists = {key: options.pop(key) for key in ("synthetic", "splice_grids")}
    flags = [f"--{key}={value}" for key, value in options.items()]
    for key, values in lists.items():
        flags += [f"--{key}", *values]
    run = subprocess.run(
        [sys.executable, "-m", "scribblegen", "train-segmentation", *flags],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert difference(tmp_path / "one", tmp_path / "two") < 1e-5
