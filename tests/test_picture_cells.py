"""A picture cell that names a path: nothing of the disk is read but the data set's own files."""

import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value
from PIL import Image

from scribblegen.builders.config import HubConfig, SubsetConfig
from scribblegen.builders.rows import own_folders
from scribblegen.builders.sources import open_source
from scribblegen.classes import Classes
from scribblegen.images import BadImageError, encode_image, encode_label
from scribblegen.picture_cells import cell_file
from scribblegen.records import Rejection, Sample
from scribblegen.trainers.segmentation.data import open_rows

CLASSES = Classes(("background", "wall"))
REFUSED = "a path instead of a picture's bytes, and not of a file of the data set"
LABEL = np.array([[0, 1], [1, 0]], np.uint8)


def cell(data: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": data, "path": path}


PHOTOGRAPH = encode_image(np.full((2, 2, 3), 90, np.uint8), "png")
FEATURES = Features(
    {
        "image": datasets.Image(),
        "label": datasets.Image(),
        "mask": datasets.Image(),
        "classes": List(ClassLabel(names=list(CLASSES.names))),
        "source_id": Value("string"),
    }
)


def save(folder: Path, *changes: dict[str, Any]) -> Path:
    """A data set of a whole row and one for each of `changes`."""
    folder.mkdir(parents=True, exist_ok=True)
    label = cell(encode_label(LABEL, CLASSES))
    whole = {"image": cell(PHOTOGRAPH), "label": label, "mask": label, "classes": [0, 1]}
    rows = [whole | change | {"source_id": str(i)} for i, change in enumerate([{}, *changes])]
    table = datasets.Dataset.from_list(rows, features=FEATURES).data.table
    pq.write_table(table, folder / "train.parquet")  # `to_parquet` would take the files in
    return folder


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture that lies beside the data set, in the folder where the command is run."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "private.png"
    path.write_bytes(encode_image(np.full((2, 2, 3), 7, np.uint8), "png"))
    (tmp_path / "label.png").write_bytes(encode_label(LABEL, CLASSES))
    return path


def paths_out(private: Path, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    (folder / "link.png").symlink_to(private)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    return [
        "private.png",
        "./private.png",
        str(private),
        f"{folder}/../private.png",
        f"{folder}/link.png",
        f"{folder}/loop.png",
        f"{folder}/folder.png",
        f"{folder}/pipe.png",
        f"{folder}/{'n' * 300}.png",
        f"{folder}/a\0b.png",
        "~/private.png",
        private.as_uri(),
        f"{folder}-beside/private.png",
        "http://127.0.0.1:1/private.png",
        "hf://datasets/me/private/private.png",
        "zip://private.png::private.zip",
        "",
    ]


def test_a_path_out_of_the_data_set_is_one_rejection_and_is_not_read(
    private: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photographs"
    paths = paths_out(private, folder)
    changes = [{column: cell(None, path)} for column in ("image", "label") for path in paths]
    save(folder, *changes)
    source = open_source(HubConfig(dataset_name=str(folder), label_convention="ids"), "train")
    assert source is not None
    assert isinstance(source.read(0), Sample)
    for number in range(len(paths)):
        image, label = source.read(1 + number), source.read(1 + len(paths) + number)
        assert isinstance(image, Rejection) and image.reason == f"image is {REFUSED}", paths[number]
        assert isinstance(label, Rejection) and label.reason == f"label is {REFUSED}", paths[number]
    before = source.content_keys()
    private.write_bytes(PHOTOGRAPH * 2)
    assert source.content_keys() == before, "the fingerprint reads nothing else either"


def test_a_subset_s_cells_hold_bytes(private: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    paths = paths_out(private, folder)
    (folder / "inside.png").write_bytes(PHOTOGRAPH)
    paths.append(str(folder / "inside.png"))
    save(folder, *({"image": cell(None, path)} for path in paths))
    source = open_source(SubsetConfig(subset=f"{folder}:default"), "train")
    assert source is not None and isinstance(source.read(0), Sample)
    reasons = {getattr(source.read(1 + i), "reason", None) for i in range(len(paths))}
    assert reasons == {f"image is {REFUSED}"}


@pytest.mark.parametrize("column", ["image", "label", "mask"])
def test_a_training_refuses_a_path_by_name(private: Path, tmp_path: Path, column: str) -> None:
    path = private if column == "image" else tmp_path / "label.png"
    folder = save(tmp_path / "published", {column: cell(None, str(path))})
    labels = "mask" if column == "mask" else "scribble"
    rows = open_rows(f"{folder}:default", [], labels=labels)
    assert np.array_equal(rows.read(0)["label"], LABEL)
    with pytest.raises(ValueError, match=f"^1 has a `{column}` that cannot be read: {REFUSED}"):
        rows.read(1)


def test_a_training_says_where_a_picture_is_empty_or_broken(tmp_path: Path) -> None:
    folder = save(tmp_path / "published", {"image": None}, {"image": cell(b"no picture")})
    rows = open_rows(f"{folder}:default", [])
    with pytest.raises(ValueError, match="1 has a `image` that cannot be read: empty"):
        rows.read(1)
    with pytest.raises(ValueError, match="2 has a `image` that cannot be read: not a picture file"):
        rows.read(2)


def test_files_of_the_data_set_are_read_by_their_path(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "1234"
    blobs = tmp_path / "blobs"
    for part in (folder, blobs):
        part.mkdir(parents=True)
    (blobs / "abcd").write_bytes(PHOTOGRAPH)
    (folder / "a.png").symlink_to(blobs / "abcd")  # as the cache of the Hub keeps a snapshot
    (folder / "b.png").write_bytes(PHOTOGRAPH)
    for name in "ab":
        assert cell_file(cell(None, f"{folder}/{name}.png"), own_folders(str(folder))) == PHOTOGRAPH
    with pytest.raises(FileNotFoundError, match=r"^c\.png$"):
        cell_file(cell(None, f"{folder}/c.png"), own_folders(str(folder)))


def test_files_of_the_hub_s_cache_are_those_of_one_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for owner in ("me", "you"):
        snapshot = tmp_path / f"datasets--{owner}--data" / "snapshots" / "1234"
        blobs = snapshot.parents[1] / "blobs"
        for part in (snapshot, blobs):
            part.mkdir(parents=True)
        (blobs / "abcd").write_bytes(PHOTOGRAPH)
        (snapshot / "a.png").symlink_to(blobs / "abcd")
    folders = own_folders("me/data")
    own, others = (f"{tmp_path}/datasets--{o}--data/snapshots/1234/a.png" for o in ("me", "you"))
    assert cell_file(cell(None, own), folders) == PHOTOGRAPH
    with pytest.raises(BadImageError, match=REFUSED):
        cell_file(cell(None, others), folders)


def test_bytes_are_read_whatever_path_stands_beside_them(private: Path) -> None:
    assert cell_file(cell(b"data", str(private))) == b"data"
    assert cell_file(None) is None and cell_file(cell(None)) is None
    with Image.open(private) as picture:
        assert picture.size == (2, 2)
