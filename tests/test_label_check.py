"""Labels that are not what they are taken for are refused before any work, with what to say."""

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig, HubConfig, PascalScribbleConfig
from scribblegen.builders.label_check import SAMPLED
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX, voc_palette

SIDE = 8
THREE = "sky,wall,door"


def grey(*values: int) -> np.ndarray:
    """A label that begins with `values`, one each, and goes on with the last."""
    label = np.full(SIDE * SIDE, values[-1], np.uint8)
    label[: len(values)] = values
    return label.reshape(SIDE, SIDE)


def palette(label: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    picture = Image.new("P", (SIDE, SIDE))
    picture.frombytes(label.tobytes())
    picture.putpalette(bytes(value for colour in colours for value in colour))
    return picture


def write(
    folder: Path, labels: Sequence[np.ndarray | Image.Image], kind: str = "masks", **also: str
) -> Path:
    """A folder of photographs with these labels; `also` are texts of further files."""
    for name in ("images", kind):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, label in enumerate(labels):
        photograph = Image.fromarray(np.full((SIDE, SIDE, 3), 128, np.uint8))
        photograph.save(folder / "images" / f"{number:03}.jpg")
        picture = Image.fromarray(label) if isinstance(label, np.ndarray) else label
        picture.save(folder / kind / f"{number:03}.png")
    for name, text in also.items():
        (folder / name.replace("_json", ".json")).write_text(text)
    return folder


def opened(folder: Path, **options: Any) -> Any:
    return open_source(FolderConfig(data_dir=str(folder), **options))


VOC = voc_palette(256)
SWAPPED = [VOC[0], VOC[2], VOC[1], *VOC[3:]]
COLOURS = np.array(VOC, np.uint8)


@pytest.mark.parametrize(
    ("kind", "labels", "classes", "message"),
    [
        (
            "masks",
            [grey(0, 255), grey(0)],
            "ground,thing",
            "masks hold nothing but 0 and 255. binary: 255 is thing; ids: 255 is where nobody "
            r"drew, and nothing but ground is drawn. \(Looked at: 2 masks.\)",
        ),
        ("masks", [grey(0, 255)], THREE, "binary: 255 is the second of two classes"),
        (
            "masks",
            [grey(0, 1, 3), grey(2, 3)],
            THREE,
            "masks hold 0 to 3, for 3 classes. one_based: 0 is where nobody drew, and 1 is sky; "
            "agmm: 3 is where nobody drew",
        ),
        ("masks", [grey(0, 3, 1), grey(3, 2)], THREE, "and 1 is sky; ids, and one more name"),
        (
            "masks",
            [grey(0, 149)],
            "ade20k",
            "`classes` counts from 1, .* one_based: 0 is where nobody drew, and 1 is wall; "
            "ids: 0 is wall",
        ),
        (
            "masks",
            [Image.fromarray(COLOURS[grey(0, 1)]), Image.fromarray(COLOURS[grey(2, 1)])],
            THREE,
            "masks are coloured pictures. colors: the colour of a class says it",
        ),
        (
            "masks",
            [Image.fromarray(COLOURS[grey(0, 7, 9)])],
            THREE,
            "not in the colours of `classes`: label holds colours that no class has: #c00000, "
            "#808080 .*; sky is #000000. colors, and a class list with the colours",
        ),
        (
            "masks",
            [palette(grey(0, 1), VOC), palette(grey(0, 1), SWAPPED)],
            THREE,
            "the palettes of masks differ: value 1 is #008000 in one and #800000 in another. "
            "palette_colors: .*; ids: the values say it",
        ),
        (
            "masks",
            [palette(grey(0, 1), SWAPPED), palette(grey(0, 2), SWAPPED)],
            THREE,
            "but not at their ids: value 1 is #008000, the colour of door .id 2.. palette_colors",
        ),
        (
            "scribbles",
            [grey(1, 2, 0), grey(2, 0)],
            THREE,
            "scribbles label every pixel, most of them sky .0.. Leave it out and give "
            "`ignore_ids` 0: there nobody drew; ids: these are whole masks",
        ),
        (
            "masks",
            [grey(0, 7, 8), grey(1, 33)],
            THREE,
            r"every mask holds ids that are none of the 3 classes, such as \[7, 8, 33\]. .*"
            "`label_map`.*`ignore_ids`",
        ),
    ],
)
def test_what_speaks_for_another_convention_is_refused_with_the_options(
    tmp_path: Path, kind: str, labels: Any, classes: str, message: str
) -> None:
    folder = write(tmp_path, labels, kind)
    with pytest.raises(ValueError, match=f"`label_convention` must be given: .*{message}"):
        opened(folder, classes=classes)
    assert len(opened(folder, classes=classes, label_convention="ids")) == len(labels), "believed"


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ([grey(0, 255)], {"classes": "a,b", "label_convention": "binary"}),
        ([grey(0, 1, 3)], {"classes": THREE, "label_convention": "one_based"}),
        ([grey(0, 1, 3)], {"classes": THREE, "label_convention": "agmm"}),
        ([grey(0, 1, 3)], {"classes": THREE, "ignore_ids": [3]}),
        ([grey(0, 7, 8)], {"classes": THREE, "label_map": ["7:1", "8:2"]}),
        ([Image.fromarray(COLOURS[grey(0, 1)])], {"classes": THREE, "label_convention": "colors"}),
        ([palette(grey(1), SWAPPED)], {"classes": THREE, "label_convention": "palette_colors"}),
        # Nothing speaks against ids
        ([grey(0, 1, 2)], {"classes": THREE}),
        ([grey(0, 1, 255)], {"classes": THREE}),
        ([grey(1, 2)], {"classes": THREE}),
        ([palette(grey(0, 1, 2, 255), VOC), palette(grey(0, 1), VOC)], {"classes": THREE}),
        # Colours of another sequence, and palettes in which all is black, say nothing
        ([palette(grey(0, 1), [(9, 9, 9), (8, 8, 8)])], {"classes": THREE}),
        ([palette(grey(0, 1), [(0, 0, 0)] * 2)] * 2, {"classes": THREE}),
    ],
)
def test_what_was_said_is_not_asked_again(tmp_path: Path, labels: Any, options: Any) -> None:
    source = opened(write(tmp_path, labels), scribbles="mask", **options)
    found = source.load(0)
    assert source.check(found) is None


@pytest.mark.parametrize("bad", [grey(0, 3), grey(0, 9), Image.fromarray(COLOURS[grey(0, 1)])])
def test_one_bad_label_among_good_ones_stops_nothing(tmp_path: Path, bad: Any) -> None:
    good = [grey(0, 1, 2), grey(0, 2)]
    source = opened(write(tmp_path, [*good, bad]), classes=THREE, scribbles="mask")
    assert [hasattr(source.read(i), "reason") for i in range(3)] == [False, False, True]


def test_what_may_count_from_one_and_may_be_one_bad_label_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        opened(write(tmp_path, [grey(0, 1, 2), grey(0, 3)]), classes=THREE)
    (record,) = caplog.records
    assert "one of 2 masks that were looked at holds 3" in record.getMessage()
    assert "`label_convention` one_based: 0 is where nobody drew" in record.getMessage()


def test_scribbles_that_mark_where_nobody_drew_speak_for_their_masks(tmp_path: Path) -> None:
    write(tmp_path, [grey(0, 1, 255), grey(2, 1, 255)] * 2, "scribbles")
    write(tmp_path, [grey(0, 3, 1), grey(0, 3, 2), grey(0, 1)])
    assert len(opened(tmp_path, classes=THREE)) == 4


def test_a_convention_by_which_no_label_can_be_read_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, [grey(0, 7), grey(0, 9)])
    with pytest.raises(
        ValueError, match=r"Got one_based, and none of 2 masks .* can: label holds \[6\], outside"
    ):
        opened(folder, classes=THREE, label_convention="one_based")
    with pytest.raises(ValueError, match="Got palette_colors, .* can: label has no palette"):
        opened(folder, classes=THREE, label_convention="palette_colors")


def test_a_class_list_that_counts_from_one_asks_how_its_labels_count(tmp_path: Path) -> None:
    listed = {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}
    folder = write(tmp_path, [grey(0, 1)], coco_json=json.dumps(listed))
    options: dict[str, Any] = {"classes": "coco.json"}
    with pytest.raises(ValueError, match="one_based: 0 is where nobody drew, and 1 is cat"):
        opened(folder, **options)
    one_based = opened(folder, **options, label_convention="one_based").load(0)
    assert set(np.unique(one_based.mask)) == {0, IGNORE_INDEX}
    ids = opened(folder, **options, label_convention="ids").load(0)
    assert set(np.unique(ids.mask)) == {0, 1}


def test_labels_are_looked_at_all_over_the_source(tmp_path: Path) -> None:
    folder = write(tmp_path, [grey(1, 2)] * 60 + [grey(0, 3)] * 40)
    looked = []

    class Watched(type(opened(folder, classes=THREE, label_convention="ids"))):  # type: ignore[misc]
        def label_files(self, index: int) -> Any:
            looked.append(index)
            return super().label_files(index)

    from scribblegen.builders.label_check import check_labels

    source = Watched(FolderConfig(data_dir=str(folder), classes=THREE), None)
    with pytest.raises(ValueError, match="masks hold 0 to 3"):
        check_labels(source, None)
    assert looked[0] == 0 and looked[-1] == 99 and len(looked) == SAMPLED


def test_missing_and_broken_labels_are_no_matter_of_convention(tmp_path: Path) -> None:
    folder = write(tmp_path, [grey(0, 1, 2)] * 3)
    (folder / "masks" / "001.png").write_bytes(b"nothing")
    (folder / "masks" / "002.png").unlink()
    assert len(opened(folder, classes=THREE)) == 3


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_split_is_looked_at(tmp_path: Path, split: str) -> None:
    folder = write(tmp_path, [grey(0, 1), grey(0, 255)])
    (folder / "train.txt").write_text("000")
    (folder / "other.txt").write_text("001")
    config = FolderConfig(
        data_dir=str(folder), classes="a,b", ids="train.txt", **{f"{split}_ids": "other.txt"}
    )
    assert open_source(config) is not None
    with pytest.raises(ValueError, match="masks hold nothing but 0 and 255"):
        open_source(config, split)


def test_labels_of_the_hub_and_of_voc_are_looked_at_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "photographs", [grey(0, 255)], "scribbles")
    voc = PascalScribbleConfig(data_dir=str(folder))
    with pytest.raises(ValueError, match="scribbles hold nothing but 0 and 255"):
        open_source(voc)

    def cell(picture: Image.Image, kind: str) -> dict[str, Any]:
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        return {"bytes": buffer.getvalue(), "path": None}

    photograph = Image.fromarray(np.full((SIDE, SIDE, 3), 128, np.uint8))
    row = {
        "image": cell(photograph, "JPEG"),
        "mask": cell(Image.fromarray(grey(0, 255)), "PNG"),
    }
    features = datasets.Features({name: datasets.Image() for name in row})
    table = tmp_path / "table"
    table.mkdir()
    datasets.Dataset.from_list([row], features).to_parquet(table / "train.parquet")
    hub = {"dataset_name": str(table), "mask_column": "mask", "classes": "a,b"}
    with pytest.raises(ValueError, match="masks hold nothing but 0 and 255. binary: 255 is b"):
        open_source(HubConfig(**hub))
    source = open_source(HubConfig(**hub, label_convention="binary"))
    assert source is not None and set(np.unique(source.load(0).mask)) == {0, 1}
