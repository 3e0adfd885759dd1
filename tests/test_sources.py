"""Every source: its own config, its own kind of item, the same item at the same position."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import (
    FolderConfig,
    HubConfig,
    PascalScribbleConfig,
    ScenesConfig,
    SubsetConfig,
)
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.builders.sources import (
    SOURCES,
    open_source,
    open_sources,
    source_config_type,
    source_name,
    source_options,
)
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.prompts import Prompt
from scribblegen.records import Rejection, Sample
from scribblegen.runs.config import OutputConfig
from scribblegen.sources import require_items, select_fraction

# The table


def test_every_source_is_found_by_its_config_and_back() -> None:
    for name in SOURCES:
        config = source_config_type(name)()
        assert source_name(config) == name
        assert "source" not in {f.name for f in fields(config)}
        assert list(source_options(config))[0] == "source"
        assert source_options(config)["source"] == name
    with pytest.raises(TypeError, match="`config` must be the config of a source. Got OutputC"):
        source_name(OutputConfig())


def test_the_table_and_the_configs_load_no_library_of_pictures_or_networks() -> None:
    code = (
        "import sys; from scribblegen.builders.sources import *\n"
        "for name in SOURCES: source_config_type(name)()\n"
        "print({'torch', 'datasets', 'transformers', 'scipy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("config_type", "option"),
    [
        (ScenesConfig, "max_side"),
        (ScenesConfig, "classes"),
        (FolderConfig, "scene_size"),
        (PascalScribbleConfig, "mask_dir"),
        (HubConfig, "data_dir"),
        (SubsetConfig, "label_convention"),
        (PromptsConfig, "ids"),
        (FolderConfig, "source"),
    ],
)
def test_an_option_of_another_source_is_refused_in_python_too(config_type: type, option: str):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        config_type(**{option: 1})


def test_open_sources_opens_every_split_that_is_named() -> None:
    assert list(open_sources(ScenesConfig(ids="0:3"))) == ["train"]
    found = open_sources(ScenesConfig(ids="0:3", test_ids="5:7", train_fraction=0.3))
    assert {split: len(source) for split, source in found.items()} == {"train": 1, "test": 2}


def test_a_source_says_what_it_gives_and_another_kind_is_refused() -> None:
    scenes = open_source(ScenesConfig(ids="0:8"))
    prompts = open_source(PromptsConfig(classes="cat,dog"))
    assert scenes.item is select_fraction(scenes, 0.5).item is Sample and prompts.item is Prompt
    require_items(scenes, Sample, "method toy")
    with pytest.raises(ValueError, match="kind Prompt for method toy. Got SceneSource.* Sample"):
        require_items(scenes, Prompt, "method toy")


# Photographs that are too large, in every source of files


def _large(kind: type, folder: Path, **options: Any) -> Any:
    """A photograph of 80 x 60 with a mask of two classes and a scribble."""
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 40:] = 1
    scribble = np.full_like(mask, 255)
    scribble[30:33, 10:70] = mask[30:33, 10:70]
    for name in ("JPEGImages", "masks", "scribbles"):
        (folder / name).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "JPEGImages" / "a.jpg")
    for name, label in (("masks", mask), ("scribbles", scribble)):
        Image.fromarray(label).save(folder / name / "a.png")
    if kind is not HubConfig:
        return kind(data_dir=str(folder), classes="sky,wall", **options)
    files = {
        "image": folder / "JPEGImages" / "a.jpg",
        "label": folder / "scribbles" / "a.png",
        "mask": folder / "masks" / "a.png",
    }
    row = {name: {"bytes": file.read_bytes(), "path": None} for name, file in files.items()}
    features = datasets.Features({name: datasets.Image() for name in row})
    (folder / "table").mkdir(exist_ok=True)
    table = datasets.Dataset.from_list([row], features)
    table.to_parquet(folder / "table" / "train.parquet")
    columns = {"label_column": "label", "mask_column": "mask"}
    name = str(folder / "table")
    return kind(dataset_name=name, classes="sky,wall", **columns, **options)


@pytest.mark.parametrize("scribbles", ["files", "simulate", "mask"])
@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
def test_large_photographs_are_reduced_with_their_labels(
    tmp_path: Path, kind: type, scribbles: str
) -> None:
    whole = open_source(_large(kind, tmp_path, scribbles=scribbles)).read(0)
    assert whole.image.shape == (60, 80, 3) and whole.image_file is not None
    small = open_source(_large(kind, tmp_path, scribbles=scribbles, max_side=40)).read(0)
    assert small.image.shape == (30, 40, 3) and small.image_file is None
    assert small.mask.shape == small.scribble.shape == (30, 40)
    assert np.array_equal(small.mask[:, 20:], np.ones((30, 20)))
    assert set(np.unique(small.scribble)) == set(np.unique(whole.scribble))
    fitting = open_source(_large(kind, tmp_path, scribbles=scribbles, max_side=80)).read(0)
    assert fitting.image_file == whole.image_file
    assert np.array_equal(fitting.scribble, whole.scribble)


def test_strokes_of_a_reduced_photograph_are_reduced_with_it(tmp_path: Path) -> None:
    config = _large(PascalScribbleConfig, tmp_path, max_side=40)
    (tmp_path / "scribbles" / "a.png").unlink()
    (tmp_path / "scribbles" / "a.txt").write_text("0,5,10,30,10\n1,45,10,75,10\n")
    small = open_source(config).read(0)
    assert small.scribble.shape == (30, 40) and small.scribble[5, 8] == 0
    assert small.scribble[5, 30] == 1 and small.scribble[20, 20] == 255


# Rows of a subset

SCENES = ScenesConfig(ids="0:3", test_ids="50:51", scene_size=48)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subset") / "twins"
    method = ScribbleGenConfig(
        guidance_scales=[1],
        encode_ratios=[0.5],
        num_inference_steps=2,
        rows=4,
        replicates=2,
        pipeline="random",
    )
    output = OutputConfig(sources_per_shard=2)
    build(SCENES, method, output, output_dir=folder)
    return folder


def open_subset(folder: Path, subset: str, **options: Any) -> Any:
    return open_source(SubsetConfig(subset=f"{folder}:{subset}", **options))


def test_the_real_subset_of_a_run_gives_its_photographs_again(run: Path) -> None:
    config = SubsetConfig(subset=str(run), test_ids="test")
    for split, source in open_sources(config).items():
        photographs = open_source(SCENES, split)
        assert source.source_ids == photographs.source_ids and source.classes.names == (
            photographs.classes.names
        )
        assert source.classes.palette == photographs.classes.palette
        for i in range(len(source)):
            found, made = source.read(i), photographs.read(i)
            assert np.array_equal(found.image, made.image) and found.prompt
            assert np.array_equal(found.scribble, made.scribble)
            assert np.array_equal(found.mask, made.mask)


def test_twins_have_ids_that_tell_the_replicates_apart(run: Path) -> None:
    source = open_subset(run, "guidance1-encode0.5")
    assert source.source_ids == tuple(
        f"scene-00000{number}{replicate}" for number in range(3) for replicate in ("", "-r1")
    )
    first, second = source.read(0), source.read(1)
    assert isinstance(first, Sample) and first.mask is None
    assert not np.array_equal(first.image, second.image)
    assert np.array_equal(first.scribble, second.scribble)


def test_a_part_of_a_subset_is_read_like_that_of_a_data_set(run: Path) -> None:
    whole = open_subset(run, "guidance1-encode0.5")
    part = open_subset(run, "guidance1-encode0.5", ids="train[2:5]", max_samples=2)
    assert part.source_ids == whole.source_ids[2:4]
    assert np.array_equal(part.read(0).image, whole.read(2).image)
    assert len(open_subset(run, "guidance1-encode0.5", train_fraction=0.5)) == 3


def test_a_folder_without_a_manifest_is_read_by_load_dataset(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "downloaded")
    shutil.rmtree(tmp_path / "downloaded" / "run")
    there = open_subset(run, "guidance1-encode0.5")
    here = open_subset(tmp_path / "downloaded", "guidance1-encode0.5")
    assert here.source_ids == there.source_ids and here.classes.names == there.classes.names
    assert np.array_equal(here.read(3).image, there.read(3).image)
    assert open_subset(tmp_path / "downloaded", "guidance1-encode0.5").fingerprint() == (
        here.fingerprint()
    )


def test_the_fingerprint_follows_the_shards_and_not_their_place(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    before = open_subset(run, "real").fingerprint()
    assert open_subset(moved, "real").fingerprint() == before
    manifest = json.loads((moved / "run" / "manifest.json").read_text())
    manifest["units"][0]["files"]["real"]["sha256"] = "0" * 64
    (moved / "run" / "manifest.json").write_text(json.dumps(manifest))
    assert open_subset(moved, "real").fingerprint() != before


def test_a_run_at_work_gives_what_it_has_finished(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "at-work")
    path = tmp_path / "at-work" / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["units"] = manifest["units"][:1]
    path.write_text(json.dumps(manifest))
    assert len(open_subset(tmp_path / "at-work", "guidance1-encode0.5")) == 4


def test_what_a_subset_lacks_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`subset` must be given for source subset"):
        open_source(SubsetConfig())
    with pytest.raises(FileNotFoundError, match="of guidance1-encode0.5, real in .* Got 'guidanc"):
        open_subset(run, "guidance9-encode0.5")
    with pytest.raises(ValueError, match=r"`ids` must be a split of .*twins:real \(train, test\)"):
        open_subset(run, "real", ids="validation")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_subset(tmp_path / "nowhere", "real")
    features = datasets.Features(
        {"image": datasets.Image(), "classes": datasets.List(datasets.ClassLabel(names=["a"]))}
    )
    table = datasets.Dataset.from_list([{"image": None, "classes": [0]}], features)
    table.to_parquet(tmp_path / "bare" / "train.parquet")
    with pytest.raises(ValueError, match="lacks label, source_id"):
        open_subset(tmp_path / "bare", "default")
    table.remove_columns("classes").to_parquet(tmp_path / "plain" / "train.parquet")
    with pytest.raises(ValueError, match="`subset` must have a column `classes` of class labels"):
        open_subset(tmp_path / "plain", "default")
    with pytest.raises(ValueError, match="`subset` must be one of .*Got 'other'"):
        open_subset(tmp_path / "plain", "other")


def test_twins_of_twins(run: Path, tmp_path: Path) -> None:
    """A subset feeds `build` like any photographs."""
    config = SubsetConfig(subset=f"{run}:guidance1-encode0.5", max_samples=2)
    method = ScribbleGenConfig(
        guidance_scales=[1],
        encode_ratios=[1.0],
        num_inference_steps=2,
        rows=4,
        pipeline="random",
    )
    build(config, method, output_dir=tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "run" / "manifest.json").read_text())
    assert manifest["identity"]["source"] == "subset" and "subset" not in manifest["identity"]
    assert str(run.parent) not in (tmp_path / "run" / "run" / "config.yaml").read_text()
    again = open_subset(tmp_path / "run", "real")
    assert again.source_ids == ("scene-000000", "scene-000000-r1")
    assert not isinstance(again.read(0), Rejection)
