"""The output folder is a dataset repository, for `datasets` and for any reader of Parquet."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
from datasets import ClassLabel, List, get_dataset_config_names, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.builders.repository import write_gallery, write_repository
from scribblegen.builders.subset_rows import FinishedShards
from scribblegen.commands.build import build, open_build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.folder import prepare_folder
from scribblegen.runs.generation import generate_parts
from scribblegen.runs.open import run_header
from scribblegen.runs.shares import Part

SOURCE = ScenesConfig(ids="0:6", test_ids="50:52", scene_size=48)
METHOD = ScribbleGenConfig(
    guidance_scales=[1.0, 2.0], encode_ratios=[0.5, 1.0], num_inference_steps=2, rows=4
)
OUTPUT = OutputConfig(sources_per_shard=4, license="cc0-1.0")
SUBSET = "guidance2-encode0.5"


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repository") / "scenes-twins"
    build(SOURCE, METHOD, OUTPUT, output_dir=folder)
    return folder


def pixels(row):
    return np.asarray(row["image"]), np.asarray(row["label"])


def test_every_subset_loads_by_name(repository):
    names = ["real", "guidance1-encode0.5", "guidance1-encode1", SUBSET, "guidance2-encode1"]
    assert get_dataset_config_names(str(repository)) == names
    for name in names:
        assert load_dataset(str(repository), name)["train"].num_rows == 6
    assert load_dataset(str(repository))["test"].num_rows == 2, "`real` is the default"


def test_columns_are_typed_and_rows_are_the_sources(repository):
    real = load_dataset(str(repository), "real", split="train")
    twins = load_dataset(str(repository), SUBSET, split="train")
    names = [
        "sky",
        "grass",
        "water",
        "sand",
        "ball",
        "house",
        "tree",
        "car",
        "boat",
        "fish",
        "balloon",
        "mushroom",
    ]
    assert twins.features["classes"] == List(ClassLabel(names=names))
    assert json.loads((repository / "id2label.json").read_text())["5"] == "house"
    for source, twin in zip(real, twins, strict=True):
        assert twin["source_id"] == source["source_id"]
        assert twin["prompt"] == source["prompt"]
        assert twin["guidance_scale"] == 2 and twin["encode_ratio"] == 0.5
        assert twin["num_inference_steps"] == 1
        assert np.array_equal(np.asarray(twin["label"]), np.asarray(source["label"]))
        assert np.asarray(twin["image"]).shape == np.asarray(source["image"]).shape
        labelled = np.asarray(source["label"])
        mask = np.asarray(source["mask"])
        assert set(np.unique(labelled)) - {255} == set(source["classes"])
        assert np.array_equal(labelled[labelled != 255], mask[labelled != 255])
        assert 0 < twin["scores"]["source_distance"] < 1
        assert twin["label"].mode == "P", "a viewer shows colours"


def test_streaming_gives_the_same_rows(repository):
    whole = load_dataset(str(repository), SUBSET, split="train")
    stream = load_dataset(str(repository), SUBSET, split="train", streaming=True)
    assert stream.num_shards == 2
    for one, other in zip(whole, stream, strict=True):
        assert one["source_id"] == other["source_id"] and one["seed"] == other["seed"]
        assert all(np.array_equal(a, b) for a, b in zip(pixels(one), pixels(other), strict=True))


def test_another_engine_reads_the_same_rows(repository):
    table = polars.read_parquet(repository / SUBSET / "*.parquet")
    rows = load_dataset(str(repository), SUBSET, split="train")
    assert table["source_id"].to_list() == rows["source_id"]
    assert table["seed"].to_list() == rows["seed"]
    assert table["classes"].to_list() == list(rows["classes"])

    first = Image.open(io.BytesIO(table["image"][0]["bytes"]))
    assert np.array_equal(np.asarray(first), np.asarray(rows[0]["image"]))
    assert table["image"][0]["path"] is None


def test_a_fresh_process_loads_it_offline(repository):
    code = (
        "from datasets import load_dataset; import sys; "
        f"print(load_dataset({str(repository)!r}, {SUBSET!r})['train'][0]['source_id'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "scene-000000"


def test_the_builder_reads_a_subset_of_an_unfinished_run(tmp_path):
    run = open_build(SOURCE, METHOD, OUTPUT, tmp_path / "run")
    prepare_folder(run.folder, run_header(run), "license: unknown\npipeline: null\n")
    generate_parts(run.method, run.sources, [Part.whole(run.units[0])], run.folder)
    cache = str(tmp_path / "cache")
    builder = FinishedShards(str(run.folder), SUBSET, cache_dir=cache)
    builder.download_and_prepare()
    assert builder.as_dataset(split="train").num_rows == 4
    generate_parts(run.method, run.sources, [Part.whole(run.units[1])], run.folder)
    builder = FinishedShards(str(run.folder), SUBSET, cache_dir=cache)
    builder.download_and_prepare()
    assert builder.as_dataset(split="train").num_rows == 6, "a stale cache"
    with pytest.raises(FileNotFoundError, match="no finished shard"):
        FinishedShards(str(run.folder), "guidance9-encode1")


def test_an_unfinished_run_can_be_shown(tmp_path):
    run = open_build(SOURCE, METHOD, OUTPUT, tmp_path / "run")
    prepare_folder(run.folder, run_header(run), "license: unknown\npipeline: null\n")
    with pytest.raises(FileNotFoundError, match="no source of .* is finished yet"):
        write_gallery(run.folder)
    generate_parts(run.method, run.sources, [Part.whole(run.units[0])], run.folder)
    write_repository(run.folder)
    assert "This run is not complete" in (run.folder / "README.md").read_text()
    assert load_dataset(str(run.folder), SUBSET, split="train").num_rows == 4


def test_the_gallery_shows_sources_in_rows_and_the_grid_in_columns(repository, tmp_path):
    picture = Image.open(repository / "assets" / "grid.png")
    fewer = Image.open(write_gallery(repository, tmp_path / "two.png", rows=2))
    assert fewer.width == picture.width
    cell = (picture.height - fewer.height) / 4
    assert cell == pytest.approx(124, abs=1), "six rows against two"
    assert picture.width == 6 * 124 + 4, "photograph, scribble and four twins"
    real = load_dataset(str(repository), "real", split="train")
    shown = np.asarray(fewer.convert("RGB"))[-124:-4, 4:124].astype(float)
    second = real[1]["image"].resize((120, 120), Image.Resampling.LANCZOS)
    assert np.abs(shown - np.asarray(second, float)).mean() < 1


def test_the_card_is_valid_and_names_what_a_reader_needs(repository):
    card = DatasetCard.load(repository / "README.md")
    data = card.data.to_dict()
    assert data["license"] == "cc0-1.0"
    assert data["task_categories"] == ["image-segmentation"]
    assert data["size_categories"] == ["n<1K"]
    assert [c["config_name"] for c in data["configs"] if c.get("default")] == ["real"]
    for needed in (
        "2311.17121",
        'load_dataset("scenes-twins", "real")',
        "assets/grid.png",
        "small pipeline that ships",
        "scene-000000",
        "| `guidance2-encode0.5` | 2 | 0.5 | 1 | 6 |",
        "scribblegen build --config run/config.yaml",
    ):
        assert needed in card.content, needed


def test_a_run_is_made_again_from_its_own_config(repository, tmp_path):
    again = tmp_path / "scenes-twins"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "scribblegen.synthesize",
            "--config",
            repository / "run" / "config.yaml",
            "--output_dir",
            again,
        ],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[1],
    )
    for path in sorted(p for p in repository.rglob("*") if p.is_file()):
        assert (again / path.relative_to(repository)).read_bytes() == path.read_bytes(), path
    assert "/" not in (repository / "run" / "config.yaml").read_text()


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_other_image_formats(tmp_path, image_format):
    output = OutputConfig(image_format=image_format)
    build(ScenesConfig(ids="0:2", scene_size=48), METHOD, output, output_dir=tmp_path / "run")
    twins = load_dataset(str(tmp_path / "run"), SUBSET, split="train")
    assert twins[0]["image"].format == image_format.upper()
    real = load_dataset(str(tmp_path / "run"), "real", split="train")
    assert real[0]["image"].format == "PNG", "a photograph is never stored with loss"


def test_another_run_in_a_folder_of_the_same_name_loads_its_own_rows(tmp_path):
    """`datasets` caches a local folder by its name and card, whatever its files hold."""
    loaded = []
    for ids in ("0:2", "2:4"):
        folder = tmp_path / ids.replace(":", "-") / "same-name"
        build(ScenesConfig(ids=ids, scene_size=48), METHOD, output_dir=folder)
        loaded.append(load_dataset(str(folder), SUBSET, split="train")["source_id"])
    assert loaded[0] == ["scene-000000", "scene-000001"]
    assert loaded[1] == ["scene-000002", "scene-000003"]


def test_geometry_and_output_size(tmp_path):
    """Buckets keep the aspect inside; `model` stores what the networks made, label and all."""
    data = tmp_path / "data"
    for name in ("images", "scribbles"):
        (data / name).mkdir(parents=True)
    (data / "classes.json").write_text('["a", "b"]')
    sizes = {"wide": (64, 150), "tall": (150, 64), "square": (90, 90), "wide-2": (66, 150)}
    rng = np.random.default_rng(0)
    for name, (height, width) in sizes.items():
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(picture).save(data / "images" / f"{name}.png")
        label = np.full((height, width), 255, np.uint8)
        label[20:30, 10:40], label[40:44, 10:40] = 0, 1
        Image.fromarray(label).save(data / "scribbles" / f"{name}.png")
    source = FolderConfig(data_dir=str(data))
    shapes = {}
    for geometry in ("square", "bucket"):
        for output_size in ("source", "model"):
            method = ScribbleGenConfig(
                guidance_scales=[2.0],
                encode_ratios=[0.5],
                num_inference_steps=2,
                rows=4,
                geometry=geometry,
                output_size=output_size,
            )
            folder = tmp_path / f"{geometry}-{output_size}"
            build(source, method, output_dir=folder)
            for row in load_dataset(str(folder), SUBSET, split="train"):
                image, label = pixels(row)
                assert image.shape[:2] == label.shape
                assert set(np.unique(label)) == {0, 1, 255}
                shapes[geometry, output_size, row["source_id"]] = label.shape
    for name, size in sizes.items():
        assert shapes["square", "source", name] == shapes["bucket", "source", name] == size
        assert shapes["square", "model", name] == (64, 64)
    assert shapes["bucket", "model", "wide"] == shapes["bucket", "model", "wide-2"] == (40, 104)
    assert shapes["bucket", "model", "tall"] == (104, 40)
    assert shapes["bucket", "model", "square"] == (64, 64)
