"""Label values of other code bases: read as ours, and nothing passes by mistake."""

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig, HubConfig, PascalScribbleConfig
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.configs import parse_configs
from scribblegen.images import BadImageError
from scribblegen.label_colours import ids_of_colours
from scribblegen.records import Rejection, Sample
from scribblegen.scribbles.label_conventions import CONVENTIONS, remapped, value_table


def picture_file(picture: Image.Image | np.ndarray) -> bytes:
    buffer = io.BytesIO()
    opened = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    opened.save(buffer, "PNG")
    return buffer.getvalue()


COUNTED = [c for c in CONVENTIONS if c not in ("one_based", "binary")]


@pytest.mark.parametrize("num_classes", [1, 2, 21, 150, 254])
@pytest.mark.parametrize("convention", COUNTED)
def test_class_ids_and_255_mean_the_same_wherever_ids_count_from_0(
    convention: str, num_classes: int
) -> None:
    label = np.array([*range(num_classes), IGNORE_INDEX], np.uint8)
    read = value_table(convention, num_classes)[label]
    assert np.array_equal(read, label) and read.dtype == np.uint8


@pytest.mark.parametrize(
    ("convention", "num_classes", "values", "read"),
    [
        ("ids", 21, [20, 21, 22, 254, 255], [20, 21, 22, 254, 255]),
        ("one_based", 21, [0, 1, 21, 22, 254, 255], [255, 0, 20, 21, 253, 255]),
        ("binary", 2, [0, 1, 255, 2, 128, 254], [0, 1, 1, 2, 128, 254]),
        ("rloss", 21, [20, 21, 22, 254, 255], [20, 21, 22, 255, 255]),
        ("agmm", 21, [20, 21, 22, 254, 255], [20, 255, 22, 254, 255]),
        ("agmm", 7, [0, 5, 7], [0, 5, 255]),
        ("agmm", 6, [0, 5, 7], [0, 5, 7]),
    ],
)
def test_each_convention_has_its_own_values(
    convention: str, num_classes: int, values: list[int], read: list[int]
) -> None:
    assert value_table(convention, num_classes)[np.array(values)].tolist() == read


@pytest.mark.parametrize(
    ("options", "values", "read"),
    [
        ({"label_map": ["7:0", "8:1"]}, [7, 8, 2, 9, 255], [0, 1, 2, 9, 255]),
        ({"label_map": ["7:0 8:1,9:255"]}, [7, 8, 9, 255], [0, 1, 255, 255]),
        ({"label_map": ["1:2", "2:1"]}, [0, 1, 2], [0, 2, 1]),
        ({"ignore_ids": [0, 150]}, [0, 1, 150, 255], [255, 1, 255, 255]),
        ({"label_map": ["3:0"], "ignore_ids": [0]}, [0, 3], [255, 0]),
        # Ids are those that the convention gives, as messages show them.
        ({"label_convention": "one_based", "ignore_ids": [0]}, [0, 1, 2], [255, 255, 1]),
        ({"label_convention": "one_based", "label_map": ["5:2"]}, [0, 3, 6], [255, 2, 2]),
        ({"label_convention": "rloss", "label_map": ["255:0"]}, [254, 255, 1], [0, 0, 1]),
    ],
)
def test_ids_are_renamed_and_ignored(
    options: dict[str, Any], values: list[int], read: list[int]
) -> None:
    reader = LabelReader.of(FolderConfig(**options), Classes(("a", "b", "c")))
    file = picture_file(np.array([values], np.uint8))
    found = reader.read(file)
    assert found is not None and found.tolist() == [read] and found.dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_convention": "coco"}, "`label_convention` must be one of .*Got 'coco'"),
        ({"label_map": ["7"]}, "`label_map` must hold pairs .*Got '7'"),
        ({"label_map": ["7:256"]}, "`label_map` must hold pairs .*Got '7:256'"),
        ({"label_map": ["-1:2"]}, "`label_map` must hold pairs .*Got '-1:2'"),
        ({"label_map": ["7:1", "7:2"]}, "`label_map` must rename each id once. Got 7 twice"),
        ({"label_map": ["7:3"]}, r"`label_map` must lead to class ids, 0..2, or to 255. Got 3"),
        ({"ignore_ids": [256]}, "`ignore_ids` must be in 0..255. Got 256"),
        ({"ignore_ids": [7], "label_map": ["7:1"]}, "must not name what `label_map` renames"),
        ({"label_convention": "binary"}, "binary needs two classes, .* Got 3"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelReader.of(FolderConfig(**options), Classes(("a", "b", "c")))


def test_a_map_in_yaml_must_be_quoted_since_yaml_reads_times(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("label_map: [7:0, 8:1]")
    with pytest.raises(ValueError, match="`label_map` .* must be text. .* Put it in quotes"):
        parse_configs(
            [FolderConfig],
            ["--config", str(tmp_path / "run.yaml")],
            program="build",
            description="",
        )


# Colours

RG = ((255, 0, 0), (0, 128, 0))
RED_AND_GREEN = Classes(("rose", "leaf"), RG)
SEEN = np.array([[[255, 0, 0], [0, 128, 0], [255, 255, 255], [0, 0, 0], [224, 224, 192]]], np.uint8)
IDS = [[0, 1, 255, 255, 255]]


def coloured(mode: str) -> bytes:
    """`SEEN` as a picture of a mode; palettes are sorted as an optimiser may sort them."""
    picture = Image.fromarray(SEEN)
    if mode == "P":
        colours, places = np.unique(SEEN.reshape(-1, 3), axis=0, return_inverse=True)
        picture = Image.fromarray(places.reshape(SEEN.shape[:2]).astype(np.uint8)).convert("P")
        picture.frombytes(places.astype(np.uint8).tobytes())
        picture.putpalette(colours.astype(np.uint8).tobytes())
    return picture_file(picture if mode == "P" else picture.convert(mode))


@pytest.mark.parametrize(
    ("convention", "mode"),
    [("colors", "RGB"), ("colors", "RGBA"), ("colors", "P"), ("palette_colors", "P")],
)
def test_a_colour_says_its_class_however_it_is_stored(convention: str, mode: str) -> None:
    reader = LabelReader.of(FolderConfig(label_convention=convention), RED_AND_GREEN)
    found = reader.read(coloured(mode))
    assert found is not None and found.tolist() == IDS and found.dtype == np.uint8


def test_white_and_black_are_classes_where_a_class_has_them() -> None:
    classes = Classes(("night", "snow", "rose", "leaf"), ((0, 0, 0), (255, 255, 255), *RG))
    reader = LabelReader.of(FolderConfig(label_convention="colors"), classes)
    found = reader.read(coloured("RGB"))
    assert found is not None and found.tolist() == [[2, 3, 1, 0, 255]]


def test_what_is_transparent_was_not_drawn_and_what_is_half_so_is_refused() -> None:
    drawn = np.concatenate([SEEN, np.full((1, 5, 1), 255, np.uint8)], axis=-1)
    drawn[0, 0, 3] = 0
    reader = LabelReader.of(FolderConfig(label_convention="colors"), RED_AND_GREEN)
    found = reader.read(picture_file(drawn))
    assert found is not None and found.tolist() == [[255, 1, 255, 255, 255]]
    drawn[0, 0, 3] = 128
    with pytest.raises(BadImageError, match="half transparent"):
        reader.read(picture_file(drawn))


def test_a_colour_of_no_class_is_named_with_how_often_it_is_there() -> None:
    drawn = np.repeat(SEEN, 3, axis=0)
    drawn[:, 0], drawn[0, 1] = (1, 2, 3), (250, 0, 0)
    reader = LabelReader.of(FolderConfig(label_convention="colors"), RED_AND_GREEN)
    with pytest.raises(BadImageError, match=r"no class has: #010203, #fa0000 \(pixels: 4\)"):
        reader.read(picture_file(drawn))


def test_palette_colours_need_a_palette() -> None:
    reader = LabelReader.of(FolderConfig(label_convention="palette_colors"), RED_AND_GREEN)
    with pytest.raises(BadImageError, match=r"label has no palette \(mode RGB\)"):
        reader.read(coloured("RGB"))


def test_classes_of_one_colour_cannot_be_told_apart() -> None:
    classes = Classes(("rose", "tulip"), ((255, 0, 0), (255, 0, 0)))
    with pytest.raises(ValueError, match=r"a colour for each class .*#ff0000 for \['rose'"):
        LabelReader.of(FolderConfig(label_convention="colors"), classes)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_arguments_are_left_as_they_were(convention: str) -> None:
    table = value_table(convention, 2)
    before = table.copy()
    remapped(table, {0: 1}, [1])
    assert np.array_equal(table, before)
    seen = np.dstack([SEEN, np.full(SEEN.shape[:2], 255, np.uint8)])
    kept = seen.copy()
    ids_of_colours(seen, RED_AND_GREEN)
    assert np.array_equal(seen, kept)


LABEL = np.full((24, 24), 3, np.uint8)  # of three classes: agmm's unlabelled
LABEL[4:8, 4:20] = 1


def _open(kind, folder, convention):
    """A source of one photograph with `LABEL` as its scribble."""
    for name in ("images", "scribbles"):
        (folder / name).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(folder / "images" / "a.jpg")
    Image.fromarray(LABEL).save(folder / "scribbles" / "a.png")
    options = {"classes": "a,b,c", "label_convention": convention}
    if kind is not HubConfig:
        return open_source(kind(data_dir=str(folder), **options))
    files = {"image": folder / "images" / "a.jpg", "label": folder / "scribbles" / "a.png"}
    row = {name: {"bytes": file.read_bytes(), "path": None} for name, file in files.items()}
    features = datasets.Features({name: datasets.Image() for name in row})
    table = folder / "table"
    table.mkdir(exist_ok=True)
    datasets.Dataset.from_list([row], features).to_parquet(table / "train.parquet")
    return open_source(HubConfig(dataset_name=str(table), **options))


@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
def test_every_source_of_label_files_reads_under_the_named_convention(tmp_path, kind) -> None:
    found = _open(kind, tmp_path, "agmm").read(0)
    assert isinstance(found, Sample)
    assert np.array_equal(found.scribble, np.where(LABEL == 3, IGNORE_INDEX, LABEL))
    refused = _open(kind, tmp_path, "ids").read(0)
    assert isinstance(refused, Rejection) and "holds [3], outside the 3 classes" in refused.reason
