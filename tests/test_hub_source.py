"""The source over `datasets` repositories, as local folders: columns, ids, classes, null labels."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Features, List, Value
from PIL import Image

from scribblegen.builders.config import HubConfig
from scribblegen.builders.hub import Hub
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import encode_label
from scribblegen.records import Rejection, Sample, real_features, real_row
from scribblegen.sources import Source

SIDE = 24
CLASSES = Classes(("background", "wall", "window"))


def scribble_array(class_id: int = 1) -> np.ndarray:
    scribble = np.full((SIDE, SIDE), IGNORE_INDEX, np.uint8)
    scribble[4:7, 2:20], scribble[16:19, 2:20] = class_id, 0
    return scribble


def mask_array() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:12] = 2
    return mask


def jpeg(grey: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), grey, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def cell(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": None}


def row(index: int, **changes: Any) -> dict[str, Any]:
    return {
        "image": cell(jpeg(90 + index)),
        "label": cell(encode_label(scribble_array(), CLASSES)),
        "mask": cell(encode_label(mask_array(), CLASSES)),
        "number": 100 + index,
        "caption": f"house {index}",
        **changes,
    }


PLAIN = Features(
    {
        "image": datasets.Image(),
        "label": datasets.Image(),
        "mask": datasets.Image(),
        "number": Value("int64"),
        "caption": Value("string"),
    }
)


def save(path: Path, rows: list[dict[str, Any]], features: Features = PLAIN) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=features).to_parquet(path)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Three rows of train and one of test, with id2label.json."""
    folder = tmp_path / "plain"
    save(folder / "train-00000-of-00001.parquet", [row(i) for i in range(3)])
    save(folder / "test-00000-of-00001.parquet", [row(7)])
    (folder / "id2label.json").write_text('{"0": "background", "1": "wall", "2": "window"}')
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A repository as this project publishes it, with two configs; one photograph has no mask."""
    folder = tmp_path / "facade"
    samples = [
        Sample("first", np.full((SIDE, SIDE, 3), 9, np.uint8), scribble_array(), mask_array(), "x"),
        Sample("second", np.full((SIDE, SIDE, 3), 8, np.uint8), scribble_array(2)),
    ]
    rows = [real_row(sample, CLASSES) for sample in samples]
    for config in ("real", "guidance2-encode0.5"):
        save(folder / config / "train-00000-of-00001.parquet", rows, real_features(CLASSES))
    configs = "".join(
        f"- config_name: {name}\n  data_files: [{{split: train, path: {name}/*.parquet}}]\n"
        for name in ("real", "guidance2-encode0.5")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder


def open_hub(folder: Path, split: str = "train", **options: Any) -> Source:
    config = HubConfig(dataset_name=str(folder), **options)
    source = open_source(config, split)
    assert source is not None
    return source


def samples_of(source: Source) -> list[Sample]:
    read = [source.read(i) for i in range(len(source))]
    assert all(isinstance(sample, Sample) for sample in read), read
    return [sample for sample in read if isinstance(sample, Sample)]


def test_a_repository_of_this_project_is_read_back(own: Path) -> None:
    source = open_hub(
        own,
        dataset_config_name="real",
        id_column="source_id",
        label_column="label",
        mask_column="mask",
        caption_column="prompt",
    )
    assert source.source_ids == ("first", "second")
    assert source.classes == CLASSES
    first, second = samples_of(source)
    assert np.array_equal(first.scribble, scribble_array())
    assert first.mask is not None and np.array_equal(first.mask, mask_array())
    assert (first.prompt, second.prompt) == ("x", None)
    assert second.mask is None and np.array_equal(second.scribble, scribble_array(2))
    assert np.array_equal(second.image, np.full((SIDE, SIDE, 3), 8))


def test_a_picture_column_called_label_is_taken_for_scribbles(plain: Path) -> None:
    sample = samples_of(open_hub(plain))[1]
    assert sample.source_id == "train-000001"
    assert np.array_equal(sample.scribble, scribble_array())
    assert sample.mask is None and sample.prompt is None
    assert sample.image_file == jpeg(91)


def test_columns_ids_and_splits_are_chosen_by_name(plain: Path) -> None:
    options = {"id_column": "number", "caption_column": "caption", "validation_ids": "test"}
    source = open_hub(plain, **options)
    assert source.source_ids == ("100", "101", "102")
    assert samples_of(source)[2].prompt == "house 2"
    assert open_hub(plain, "validation", **options).source_ids == ("107",)
    assert len(open_hub(plain, ids="train[:2]")) == 2
    assert len(open_hub(plain, max_samples=1)) == 1


def test_scribbles_are_simulated_where_there_are_only_masks(plain: Path) -> None:
    sample = samples_of(open_hub(plain, mask_column="mask"))[0]
    drawn = sample.scribble != IGNORE_INDEX
    assert drawn.any() and np.array_equal(sample.scribble[drawn], mask_array()[drawn])


def test_null_cells_and_broken_files_are_rejections(plain: Path) -> None:
    bad = [row(0, label=None), row(1, image=None), row(2, label=cell(jpeg())), row(3, mask=None)]
    save(plain / "train-00000-of-00001.parquet", bad)
    source = open_hub(plain, label_column="label", mask_column="mask")
    read = [source.read(i) for i in range(4)]
    reasons = [r.reason for r in read if isinstance(r, Rejection)]
    assert reasons[:2] == ["no scribble", "no image"] and "JPEG" in reasons[2]
    assert isinstance(read[3], Sample) and read[3].mask is None


def test_a_folder_of_files_with_a_table_is_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.jpg").write_bytes(jpeg())
        (folder / f"{name}.png").write_bytes(encode_label(scribble_array(), CLASSES))
    lines = "".join(f"{name}.jpg,{name}.png\n" for name in "ab")
    (folder / "metadata.csv").write_text(f"file_name,label_file_name\n{lines}")
    source = open_hub(folder, classes="background,wall,window")
    (folder / "b.jpg").unlink()
    sample, missing = source.read(0), source.read(1)
    assert isinstance(sample, Sample) and np.array_equal(sample.scribble, scribble_array())
    assert sample.image_file == jpeg()
    assert isinstance(missing, Rejection) and missing.reason == "missing file: b.jpg"
    assert len(source.content_keys()) == 2


def test_classes_come_from_the_option_then_the_column_then_the_file(plain: Path) -> None:
    assert open_hub(plain).classes.names == ("background", "wall", "window")
    assert open_hub(plain, classes="a,b,c").classes.names == ("a", "b", "c")
    named = Features({**PLAIN, "classes": List(ClassLabel(names=["x", "y", "z"]))})
    save(plain / "train-00000-of-00001.parquet", [row(0, classes=[0, 1])], named)
    save(plain / "test-00000-of-00001.parquet", [row(1, classes=[0, 1])], named)
    assert open_hub(plain).classes.names == ("x", "y", "z")


def test_a_data_set_that_does_not_tell_its_classes_is_refused(plain: Path) -> None:
    (plain / "id2label.json").unlink()
    with pytest.raises(FileNotFoundError, match="`classes` must be given"):
        open_hub(plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_column": "photo"}, r"`image_column`.*'photo'.*image \(.*caption \(string\)"),
        ({"mask_column": "caption"}, "`mask_column` must be a column of pictures"),
        ({"caption_column": "number"}, "`caption_column` must be a column of text"),
        ({"id_column": "image"}, "`id_column` must be a column of ids"),
        ({"ids": "dev"}, r"`ids` must be a split .*test.*'dev'"),
        ({"dataset_config_name": "nope"}, r"`dataset_config_name` 'nope'.*default"),
    ],
)
def test_unknown_columns_splits_and_configs_are_refused_with_the_known_ones(
    plain: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_hub(plain, **options)


def test_a_data_set_with_configs_asks_for_one(own: Path) -> None:
    with pytest.raises(ValueError, match=r"(?s)`dataset_config_name` None.*guidance2-encode0.5"):
        open_hub(own)


def test_without_scribbles_and_masks_the_columns_are_listed(tmp_path: Path) -> None:
    features = Features({"image": datasets.Image(), "label": ClassLabel(names=["cat", "dog"])})
    rows = [{"image": cell(jpeg()), "label": 1}]
    save(tmp_path / "cats" / "train.parquet", rows, features)
    with pytest.raises(ValueError, match=r"`label_column`.*`mask_column`.*label \("):
        open_hub(tmp_path / "cats", classes="cat,dog")


def test_ids_must_be_there_and_differ(plain: Path) -> None:
    train = plain / "train-00000-of-00001.parquet"
    save(train, [row(0), row(1, number=None)])
    with pytest.raises(ValueError, match="`id_column` must name every row.*row 1"):
        open_hub(plain, id_column="number")
    save(train, [row(0), row(0)])
    with pytest.raises(ValueError, match="'100'"):
        open_hub(plain, id_column="number")


@pytest.mark.parametrize(
    "changes",
    [
        {"label": cell(encode_label(scribble_array(2), CLASSES))},
        {"mask": cell(encode_label(1 - mask_array() // 2, CLASSES))},
        {"mask": None},
        {"caption": "another"},
        {"image": cell(jpeg() + b"\0")},
    ],
)
def test_the_fingerprint_tells_of_every_change(plain: Path, changes: dict[str, Any]) -> None:
    options = {"label_column": "label", "mask_column": "mask", "caption_column": "caption"}
    before = open_hub(plain, **options).fingerprint()
    assert open_hub(plain, **options).fingerprint() == before
    save(plain / "train-00000-of-00001.parquet", [row(0), row(1), row(2, **changes)])
    assert open_hub(plain, **options).fingerprint() != before


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(
    plain: Path, tmp_path: Path
) -> None:
    moved = plain.rename(tmp_path / "elsewhere")
    after = open_hub(moved).fingerprint()
    moved.rename(plain)
    assert open_hub(plain).fingerprint() == after


def test_the_builder_reads_a_changed_label_anew(plain: Path, tmp_path: Path) -> None:
    def build() -> list[dict[str, Any]]:
        builder = Hub(cache_dir=str(tmp_path / "built"), dataset_name=str(plain))
        builder.download_and_prepare()
        return list(builder.as_dataset("train"))

    rows = build()
    assert [r["source_id"] for r in rows] == ["train-000000", "train-000001", "train-000002"]
    assert rows[0]["classes"] == [0, 1]
    assert np.array_equal(np.asarray(rows[0]["label"]), scribble_array())
    changed = row(0, label=cell(encode_label(scribble_array(2), CLASSES)))
    save(plain / "train-00000-of-00001.parquet", [changed, row(1), row(2)])
    assert build()[0]["classes"] == [0, 2]
