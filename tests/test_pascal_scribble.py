"""The source over PASCAL VOC's folders: files, lists, low-data subsets, rejections."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import PascalScribbleConfig
from scribblegen.builders.pascal_lists import low_data_subset
from scribblegen.builders.pascal_scribble import PascalScribble
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX
from scribblegen.records import Rejection, Sample
from scribblegen.sources import Source

HEIGHT, WIDTH = 24, 40
XML = """<annotation><size><width>40</width><height>24</height><depth>3</depth></size>
<polygon><tag>aeroplane</tag><point><X>5</X><Y>6</Y></point><point><X>35</X><Y>6</Y></point></polygon>
<polygon><tag>background</tag><point><X>5</X><Y>18</Y></point><point><X>35</X><Y>18</Y></point>
</polygon></annotation>"""
TEXT = "1,5,6,35,6\n0,5,18,35,18\n"


def scribble_array(class_id: int = 1) -> np.ndarray:
    scribble = np.full((HEIGHT, WIDTH), IGNORE_INDEX, np.uint8)
    scribble[5:8, 5:36], scribble[17:20, 5:36] = class_id, 0
    return scribble


def mask_array() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:12] = 1
    mask[11:13] = IGNORE_INDEX
    return mask


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def add_photograph(root: Path, *names: str) -> None:
    for i, name in enumerate(names):
        save(root / "JPEGImages" / f"{name}.jpg", np.full((HEIGHT, WIDTH, 3), 40 + i, np.uint8))


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Photographs a to d with scribbles and masks; d is in val, and e has no scribble."""
    root = tmp_path / "VOC2012"
    add_photograph(root, "a", "b", "c", "d", "e")
    for name in "abcd":
        save(root / "pascal_2012_scribble" / f"{name}.png", scribble_array())
        save(root / "SegmentationClassAug" / f"{name}.png", mask_array())
    write(root / "ImageSets/Segmentation/val.txt", "d\n")
    return root


def open_pascal(data_dir: Path, **options: Any) -> Source:
    source = open_source(PascalScribbleConfig(data_dir=str(data_dir), **options))
    assert source is not None
    return source


def first(source: Source) -> Sample:
    sample = source.read(0)
    assert isinstance(sample, Sample), sample
    return sample


@pytest.mark.parametrize("suffix", [".xml", ".txt", "_scribble.txt"])
def test_stroke_files_are_drawn_three_pixels_wide(tmp_path: Path, suffix: str) -> None:
    add_photograph(tmp_path, "a")
    write(tmp_path / "ScribbleSup" / f"a{suffix}", XML if suffix == ".xml" else TEXT)
    sample = first(open_pascal(tmp_path))
    assert np.array_equal(sample.scribble, scribble_array())
    assert sample.mask is None and sample.source_id == "a"


def test_a_png_scribble_is_used_as_it_is(voc: Path) -> None:
    sample = first(open_pascal(voc))
    assert np.array_equal(sample.scribble, scribble_array())
    assert sample.mask is not None and np.array_equal(sample.mask, mask_array())
    assert sample.image_file == (voc / "JPEGImages/a.jpg").read_bytes()


def test_shrinking_strokes_is_exact(tmp_path: Path) -> None:
    add_photograph(tmp_path, "a")
    write(tmp_path / "scribbles/a.txt", "1,4.5,6,34.5,6\n")
    scribble = first(open_pascal(tmp_path, scribble_shrink=0.5)).scribble
    columns = np.flatnonzero((scribble == 1).any(axis=0))
    assert (columns.min(), columns.max()) == (12, 27)  # 15 of 30 pixels, half a pixel at each end


def test_photographs_may_lie_beside_the_strokes(tmp_path: Path) -> None:
    add_photograph(tmp_path, "other")
    save(tmp_path / "polyline_txt/a.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    write(tmp_path / "polyline_txt/a_scribble.txt", TEXT)
    assert open_pascal(tmp_path, scribble_dir="polyline_txt").source_ids == ("a",)


@pytest.mark.parametrize("inner", ["VOCdevkit/VOC2012", "VOC2012"])
def test_the_folder_above_does_as_well(tmp_path: Path, inner: str) -> None:
    add_photograph(tmp_path / inner, "a", "b")
    save(tmp_path / "pascal_2012_scribble/a.png", scribble_array())
    write(tmp_path / inner / "ImageSets/Segmentation/val.txt", "b\n")
    assert open_pascal(tmp_path).source_ids == ("a",)
    assert open_pascal(tmp_path, ids="val").source_ids == ("b",)


def test_scribbles_can_be_simulated_from_the_masks(voc: Path) -> None:
    sample = first(open_pascal(voc, scribbles="simulate"))
    drawn = sample.scribble != IGNORE_INDEX
    assert drawn.any() and not np.array_equal(sample.scribble, scribble_array())
    assert np.array_equal(sample.scribble[drawn], mask_array()[drawn])


def test_without_a_list_every_scribble_outside_val_trains(voc: Path) -> None:
    assert open_pascal(voc).source_ids == ("a", "b", "c")
    assert open_pascal(voc, ids="val").source_ids == ("d",)


@pytest.mark.parametrize(
    ("file", "ids"),
    [
        ("ImageSets/SegmentationAug/train_aug.txt", None),
        ("ImageSets/Segmentation/trainaug.txt", "train_aug"),
        ("ImageSets/Segmentation/train.txt", "train"),
        ("train.txt", "train"),
        ("my/list.txt", "my/list.txt"),
        ("1_8/labeled.txt", "1_8"),
        ("ImageSets/Segmentation/1_8.txt", "1_8"),
    ],
)
@pytest.mark.parametrize(
    "lines", ["c\na\n", "JPEGImages/c.jpg pascal_2012_scribble/c.png\n/JPEGImages/a.jpg /a.png\n"]
)
def test_lists_of_ids_and_of_pairs_keep_their_order(
    voc: Path, file: str, ids: str | None, lines: str
) -> None:
    write(voc / file, lines)
    assert open_pascal(voc, ids=ids).source_ids == ("c", "a")
    assert open_pascal(voc, ids=str(voc / file)).source_ids == ("c", "a")


def test_an_unknown_list_is_refused_with_those_that_there_are(voc: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`ids`.*'trainn'.*ImageSets/Segmentation/val.txt"):
        open_pascal(voc, ids="trainn")


def test_low_data_subsets_are_made_from_the_train_list(voc: Path) -> None:
    assert len(open_pascal(voc, ids="1_2")) == 2
    assert len(open_pascal(voc, ids="1_16")) == 1


@pytest.mark.parametrize(("denominator", "size"), [(2, 5291), (4, 2646), (8, 1323), (16, 662)])
def test_low_data_subsets_have_the_usual_sizes(denominator: int, size: int) -> None:
    assert len(low_data_subset([f"{i:06d}" for i in range(10582)], denominator)) == size


def test_low_data_subsets_lie_inside_each_other_in_the_order_of_the_list() -> None:
    ids = [f"2007_{i:06d}" for i in range(100)]
    half, quarter, eighth = (low_data_subset(ids, d) for d in (2, 4, 8))
    assert set(eighth) < set(quarter) < set(half) < set(ids)
    assert half == [i for i in ids if i in half]
    assert set(low_data_subset(ids[::-1], 8)) == set(eighth)
    assert low_data_subset(ids[:5], 2) == ["2007_000002", "2007_000003", "2007_000004"]


def test_a_missing_or_broken_file_is_a_rejection_that_tells_no_path(voc: Path) -> None:
    write(voc / "ImageSets/Segmentation/train.txt", "a\nb\nc\ne\nnowhere\nd\n")
    (voc / "JPEGImages/b.jpg").write_bytes(b"no picture")
    (voc / "pascal_2012_scribble/c.png").unlink()
    write(voc / "pascal_2012_scribble/c.xml", XML.replace("aeroplane", "airship"))
    save(voc / "pascal_2012_scribble/d.png", scribble_array(class_id=21))
    source = open_pascal(voc, ids="train")
    read = [source.read(i) for i in range(len(source))]
    assert isinstance(read[0], Sample)
    reasons = [r.reason for r in read[1:] if isinstance(r, Rejection)]
    assert len(reasons) == 5 and not any(str(voc) in reason for reason in reasons)
    expected = ["not a picture", "'airship'", "scribble e", "photograph nowhere.jpg", "[21]"]
    assert all(text in reason for text, reason in zip(expected, reasons, strict=True))


def test_strokes_for_a_picture_of_another_size_are_rejected(voc: Path) -> None:
    write(voc / "pascal_2012_scribble/a.xml", XML.replace("<width>40", "<width>41"))
    assert isinstance(open_pascal(voc).read(0), Rejection)


def test_a_folder_without_labels_or_photographs_is_refused(tmp_path: Path) -> None:
    add_photograph(tmp_path, "a")
    with pytest.raises(FileNotFoundError, match="scribble_dir"):
        open_pascal(tmp_path)
    empty = tmp_path / "empty"
    (empty / "scribbles").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="`data_dir` must be the folder VOC2012"):
        open_pascal(empty)


def test_the_builder_leaves_out_rejected_samples_and_sees_changed_labels(
    voc: Path, tmp_path: Path
) -> None:
    def build() -> list[dict[str, Any]]:
        builder = PascalScribble(
            cache_dir=str(tmp_path / "cache"), data_dir=str(voc), validation_ids="val"
        )
        builder.download_and_prepare()
        assert len(builder.as_dataset("validation")) == 1
        return list(builder.as_dataset("train"))

    (voc / "JPEGImages/b.jpg").write_bytes(b"no picture")
    rows = build()
    assert [row["source_id"] for row in rows] == ["a", "c"]
    assert rows[0]["classes"] == [0, 1]
    assert np.array_equal(np.asarray(rows[0]["label"]), scribble_array())
    save(voc / "pascal_2012_scribble/a.png", scribble_array(class_id=2))
    assert build()[0]["classes"] == [0, 2]


def test_names_are_one_in_any_spelling_and_safe_to_store(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    add_photograph(tmp_path, nfd, "a\nb")
    write(tmp_path / "ScribbleSup" / f"{nfc}.txt", TEXT)
    write(tmp_path / "ScribbleSup" / "a\nb.txt", TEXT)
    write(tmp_path / "ImageSets" / "train_aug.txt", f"{nfd}\na\\nb\nx\0y\n{'n' * 300}\n")
    source = open_pascal(tmp_path)
    assert source.source_ids == (nfc, "a\\nb", "x\\x00y", "n" * 300)
    for index in range(2):
        assert isinstance(source.read(index), Sample)
    for index in (2, 3):
        found = source.read(index)
        assert isinstance(found, Rejection) and found.reason.startswith("missing file: photograph ")


def test_files_of_no_known_kind_are_told(voc: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(voc / "SegmentationClassAug" / "a.tif", mask_array())
    for folder, name in (("JPEGImages", "notes.doc"), ("JPEGImages", ".DS_Store")):
        write(voc / folder / name, "x")
    (voc / "pascal_2012_scribble" / "old").mkdir()
    for _ in range(2):
        open_pascal(voc)
    assert [record.getMessage() for record in caplog.records] == [
        "1 file in JPEGImages is of no kind that is read there (.jfif, .jpe, .jpeg, .jpg): "
        "notes.doc",
        "1 file in SegmentationClassAug is of no kind that is read there (.png): a.tif",
    ]
