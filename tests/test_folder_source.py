"""The source over any folder: what it reads, what it leaves out and why, what it refuses."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig
from scribblegen.builders.files import read_ids
from scribblegen.builders.folder import Folder
from scribblegen.builders.sources import open_source, source_config_type
from scribblegen.classes import IGNORE_INDEX
from scribblegen.records import Rejection, Sample, real_features
from scribblegen.sources import Source

HEIGHT, WIDTH = 48, 64
NAMES = ("background", "cat", "dog")


def photograph(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def scribble(class_id: int = 1) -> np.ndarray:
    drawn = np.full((HEIGHT, WIDTH), IGNORE_INDEX, np.uint8)
    drawn[10:13, 8:50], drawn[38:41, 5:60] = class_id, 0
    return drawn


def mask(class_id: int = 1) -> np.ndarray:
    dense = np.zeros((HEIGHT, WIDTH), np.uint8)
    dense[3:28, 4:60] = class_id
    dense[27:29, 4:60] = IGNORE_INDEX
    return dense


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A PNG is not compressed, so that another label has the same size.
    Image.fromarray(array).save(path, compress_level=0)


def make(root: Path, ids: str = "abc", *, scribbles: str = "abc", masks: str = "abc") -> Path:
    """A folder with photographs, and labels of some of them."""
    for i, name in enumerate(ids):
        save(root / "images" / f"{name}.jpg", photograph(i))
    for name in scribbles:
        save(root / "scribbles" / f"{name}.png", scribble(1 + ord(name) % 2))
    for name in masks:
        save(root / "masks" / f"{name}.png", mask(1 + ord(name) % 2))
    rows = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    (root / "classes.json").write_text(json.dumps({"classes": rows}))
    return root


def open_folder(root: Path, split: str = "train", **options: Any) -> Source:
    source = open_source(FolderConfig(data_dir=str(root), **options), split)
    assert source is not None
    return source


def sample_of(source: Source, index: int = 0) -> Sample:
    sample = source.read(index)
    assert isinstance(sample, Sample), sample
    return sample


def reason_of(source: Source, index: int = 0) -> str:
    rejection = source.read(index)
    assert isinstance(rejection, Rejection), rejection
    assert rejection.source_id == source.source_ids[index] and rejection.subset is None
    return rejection.reason


# What is read


def test_photographs_scribbles_and_masks_of_one_name_belong_together(tmp_path: Path) -> None:
    source = open_folder(make(tmp_path))
    assert source.source_ids == ("a", "b", "c") and source.classes.names == NAMES
    for index, name in enumerate("abc"):
        sample = sample_of(source, index)
        data = (tmp_path / "images" / f"{name}.jpg").read_bytes()
        assert sample.source_id == name and sample.image_file == data and sample.prompt is None
        assert np.array_equal(sample.image, np.asarray(Image.open(io.BytesIO(data))))
        assert np.array_equal(sample.scribble, scribble(1 + ord(name) % 2))
        assert sample.mask is not None
        assert np.array_equal(sample.mask, mask(1 + ord(name) % 2))


def test_scribbles_are_simulated_where_there_are_only_masks(tmp_path: Path) -> None:
    source = open_folder(make(tmp_path, scribbles=""))
    sample = sample_of(source)
    drawn = sample.scribble != IGNORE_INDEX
    assert 0 < drawn.mean() < 0.3
    assert np.array_equal(sample.scribble[drawn], mask(2)[drawn])
    again = sample_of(open_folder(tmp_path))
    assert np.array_equal(sample.scribble, again.scribble)
    other = sample_of(open_folder(tmp_path, scribble_seed=1))
    assert not np.array_equal(sample.scribble, other.scribble)


def test_no_mask_is_needed_beside_a_scribble(tmp_path: Path) -> None:
    source = open_folder(make(tmp_path, masks="a"))
    assert sample_of(source, 0).mask is not None and sample_of(source, 1).mask is None
    shutil.rmtree(tmp_path / "masks")
    assert sample_of(open_folder(tmp_path)).mask is None


@pytest.mark.parametrize(
    ("images", "scribbles", "masks"),
    [
        ("JPEGImages", "SegmentationScribble", "SegmentationClassAug"),
        ("img", "scribbles_v2", "labels"),
        ("photos", "scribble", "annotations"),
    ],
)
def test_folders_are_known_by_their_usual_names(
    tmp_path: Path, images: str, scribbles: str, masks: str
) -> None:
    make(tmp_path)
    for old, new in (("images", images), ("scribbles", scribbles), ("masks", masks)):
        (tmp_path / old).rename(tmp_path / new)
    sample = sample_of(open_folder(tmp_path))
    assert np.array_equal(sample.scribble, scribble(2)) and sample.mask is not None


def test_folders_can_be_named(tmp_path: Path) -> None:
    make(tmp_path)
    for name in ("images", "scribbles", "masks"):
        (tmp_path / name).rename(tmp_path / f"my {name}")
    options = {"image_dir": "my images", "scribble_dir": "my scribbles", "mask_dir": "my masks"}
    assert np.array_equal(sample_of(open_folder(tmp_path, **options)).scribble, scribble(2))
    with pytest.raises(FileNotFoundError, match="`mask_dir` 'other' is no folder"):
        open_folder(tmp_path, image_dir="my images", mask_dir="other")


@pytest.mark.parametrize(
    "lines",
    [
        "c\na\n",
        "c.jpg\na.jpg\n",
        "c.png\n\n  a.PNG \r\n",
        "images/c.jpg scribbles/c.png\n/x/a.jpg\n",
        "\ufeffc\na\n",
    ],
)
def test_a_list_file_names_the_sources_and_their_order(tmp_path: Path, lines: str) -> None:
    make(tmp_path)
    (tmp_path / "train.txt").write_text(lines, "utf-8")
    for ids in ("train.txt", str(tmp_path / "train.txt")):
        source = open_folder(tmp_path, ids=ids)
        assert source.source_ids == ("c", "a")
        assert [sample_of(source, i).source_id for i in range(2)] == ["c", "a"]


def test_ids_may_hold_dots(tmp_path: Path) -> None:
    make(tmp_path)
    for folder, suffix in (("images", "jpg"), ("scribbles", "png"), ("masks", "png")):
        (tmp_path / folder / f"a.{suffix}").rename(tmp_path / folder / f"frame.01.{suffix}")
    (tmp_path / "list.txt").write_text("frame.01\n")
    assert sample_of(open_folder(tmp_path, ids="list.txt")).source_id == "frame.01"
    assert "frame.01" in open_folder(tmp_path).source_ids


def test_validation_and_test_splits_have_lists_of_their_own(tmp_path: Path) -> None:
    make(tmp_path)
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(name)
    config = FolderConfig(data_dir=str(tmp_path), ids="a.txt", validation_ids="b.txt")
    validation = open_source(config, "validation")
    assert validation is not None and validation.source_ids == ("b",)
    assert open_source(config, "test") is None


def test_max_samples_takes_the_first(tmp_path: Path) -> None:
    make(tmp_path)
    assert open_folder(tmp_path, max_samples=2).source_ids == ("a", "b")
    assert len(open_folder(tmp_path, max_samples=9)) == 3


def test_every_kind_of_photograph_is_read(tmp_path: Path) -> None:
    make(tmp_path, ids="")
    for name, suffix in (("a", "webp"), ("b", "JPG"), ("c", "bmp")):
        save(tmp_path / "images" / f"{name}.{suffix}", photograph())
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "images" / "._a.jpg").write_bytes(b"x")  # what macOS leaves behind
    source = open_folder(tmp_path)
    assert source.source_ids == ("a", "b", "c")
    files = [sample_of(source, i).image_file for i in range(3)]
    assert files[0] and files[1] and files[2] is None


# What is left out, and why


def test_a_listed_file_that_is_missing_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, scribbles="ac")
    (tmp_path / "train.txt").write_text("a\nnowhere\nb\n")
    source = open_folder(tmp_path, ids="train.txt")
    assert sample_of(source, 0).source_id == "a"
    assert reason_of(source, 1) == "missing file: images/nowhere.jpg"
    assert reason_of(source, 2) == "missing file: scribbles/b.png"
    simulated = open_folder(make(tmp_path / "masks only", scribbles="", masks="a"))
    assert reason_of(simulated, 1) == "missing file: masks/b.png"


def test_a_reason_tells_nothing_of_the_disk(tmp_path: Path) -> None:
    source = open_folder(make(tmp_path, scribbles="c"))
    (tmp_path / "images" / "c.jpg").unlink()
    for index in range(3):
        assert str(tmp_path) not in reason_of(source, index)


def test_auto_never_mixes_simulated_with_drawn_scribbles(tmp_path: Path) -> None:
    source = open_folder(make(tmp_path, scribbles="a"))
    assert np.array_equal(sample_of(source, 0).scribble, scribble(2))
    assert [reason_of(source, i) for i in (1, 2)] == [
        "missing file: scribbles/b.png",
        "missing file: scribbles/c.png",
    ]
    simulated = open_folder(tmp_path, scribbles="simulate")
    for index in range(3):
        assert not np.array_equal(sample_of(simulated, index).scribble, scribble(2))


def broken_photograph(root: Path) -> None:
    path = root / "images" / "a.jpg"
    path.write_bytes(path.read_bytes()[:600])


def no_photograph(root: Path) -> None:
    (root / "images" / "a.jpg").write_bytes(b"<html>not found</html>")


def broken_scribble(root: Path) -> None:
    path = root / "scribbles" / "a.png"
    path.write_bytes(path.read_bytes()[:-50])


def turned_photograph(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photograph()).save(root / "images" / "a.jpg", exif=exif)


def label(folder: str, array: np.ndarray) -> Any:
    return lambda root: save(root / folder / "a.png", array)


def stray(array: np.ndarray, value: int) -> np.ndarray:
    changed = array.copy()
    changed[11, 20] = value
    return changed


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (broken_photograph, "unreadable: "),
        (no_photograph, "not a picture file"),
        (broken_scribble, "unreadable: "),
        (turned_photograph, "mask is 64x48 but image is 48x64 (width x height, after EXIF"),
        (label("scribbles", scribble()[:, :-1]), "label is 63x48 but image is 64x48 (width x "),
        (label("masks", mask()[:-1]), "mask is 64x47 but image is 64x48"),
        (label("scribbles", stray(scribble(), 3)), "label holds [3], outside the 3 classes"),
        (label("scribbles", stray(scribble(), 254)), "label holds [254], outside the 3 classes"),
        (label("masks", stray(mask(), 21)), "mask holds [21], outside the 3 classes"),
        (label("scribbles", np.full((HEIGHT, WIDTH), 255, np.uint8)), "label has no labelled"),
        (label("scribbles", photograph()), "label is coloured (mode RGB)"),
        (label("masks", photograph()), "label is coloured (mode RGB)"),
    ],
)
def test_a_bad_file_leaves_its_source_out_and_no_other(
    tmp_path: Path, damage: Any, reason: str
) -> None:
    source = open_folder(make(tmp_path))
    sample_of(source)
    damage(tmp_path)
    assert reason_of(source).startswith(reason)
    assert sample_of(source, 1) and sample_of(source, 2)


def test_a_class_list_shorter_than_the_labels_leaves_out_what_it_does_not_name(
    tmp_path: Path,
) -> None:
    source = open_folder(make(tmp_path), classes="background,cat")
    assert reason_of(source, 0) == "mask holds [2], outside the 2 classes"
    assert sample_of(source, 1)  # b has class 1 alone


# What is refused


def test_classes_come_from_the_option_then_from_the_folder(tmp_path: Path) -> None:
    make(tmp_path)
    assert open_folder(tmp_path, classes="sky,sea,sand").classes.names == ("sky", "sea", "sand")
    assert len(open_folder(tmp_path, classes="voc").classes) == 21
    (tmp_path / "names.txt").write_text("x\ny\nz\n")
    for spec in ("names.txt", str(tmp_path / "names.txt")):
        assert open_folder(tmp_path, classes=spec).classes.names == ("x", "y", "z")
    many = ",".join(f"quite a long class name {i}" for i in range(100))
    assert len(open_folder(tmp_path, classes=many).classes) == 100
    (tmp_path / "classes.json").unlink()
    (tmp_path / "id2label.json").write_text(json.dumps(dict(enumerate(NAMES))))
    assert open_folder(tmp_path).classes.names == NAMES


def test_without_classes_the_message_says_how_to_give_them(tmp_path: Path) -> None:
    (make(tmp_path) / "classes.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"`classes` must be given: .* no classes\.json"):
        open_folder(tmp_path)


def test_two_photographs_of_one_name_are_refused(tmp_path: Path) -> None:
    save(make(tmp_path) / "images" / "a.png", photograph())
    with pytest.raises(ValueError, match=r"two photographs called 'a': a\.jpg and a\.png"):
        open_folder(tmp_path)


def test_an_id_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    (make(tmp_path) / "train.txt").write_text("a\nb\na.jpg\n")
    with pytest.raises(ValueError, match="`source_ids` must differ .*1 repeated, such as 'a'"):
        open_folder(tmp_path, ids="train.txt")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dataset_name", "some/thing"),
        ("scene_size", 96),
        ("dataset_revision", "main"),
        ("id_column", "id"),
    ],
)
def test_an_option_of_another_source_is_refused(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"FolderConfig.* unexpected keyword argument '{option}'"):
        open_folder(make(tmp_path), **{option: value})


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    make(tmp_path / "full")
    with pytest.raises(FileNotFoundError, match="`data_dir` must be a folder. Nothing at"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`data_dir` must be given for source folder"):
        open_source(FolderConfig())
    with pytest.raises(ValueError, match="`source` must be one of .*Got 'web'"):
        source_config_type("web")
    with pytest.raises(FileNotFoundError, match="`ids` must name a list file.*gone.txt"):
        open_folder(tmp_path / "full", ids="gone.txt")
    (tmp_path / "full" / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="`ids` must lead to at least one item: the train"):
        open_folder(tmp_path / "full", ids="empty.txt")
    with pytest.raises(FileNotFoundError, match="`image_dir` must be given"):
        open_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither scribbles .* nor masks"):
        open_folder(make(tmp_path / "bare", scribbles="", masks=""))
    with pytest.raises(ValueError, match="`scribbles` must be simulate, mask or auto.*Got 'files'"):
        open_folder(make(tmp_path / "masks", scribbles=""), scribbles="files")


# Degraded scribbles


def drawn_pixels(source: Source) -> list[int]:
    return [int((sample_of(source, i).scribble != 255).sum()) for i in range(len(source))]


@pytest.mark.parametrize("scribbles", ["files", "simulate"])
def test_shrunk_scribbles_are_shorter_and_inside_the_whole_ones(
    tmp_path: Path, scribbles: str
) -> None:
    make(tmp_path)
    whole, half, dots = (
        open_folder(tmp_path, scribbles=scribbles, scribble_shrink=share)
        for share in (0.0, 0.5, 1.0)
    )
    for most, less, least in zip(*map(drawn_pixels, (whole, half, dots)), strict=True):
        assert most > less > least > 0
    for index in range(3):
        kept, full = sample_of(half, index).scribble, sample_of(whole, index).scribble
        assert set(np.unique(kept)) == set(np.unique(full))


@pytest.mark.parametrize("scribbles", ["files", "simulate"])
def test_dropped_strokes_are_the_same_every_time_and_never_all(
    tmp_path: Path, scribbles: str
) -> None:
    names = "abcdefgh"
    make(tmp_path, names, scribbles=names, masks=names)
    for name in names:  # two foreground strokes each
        two = scribble(1)
        two[20:23, 8:50] = 2
        save(tmp_path / "scribbles" / f"{name}.png", two)
        dense = mask(1)
        dense[16:27, 4:60] = 2
        save(tmp_path / "masks" / f"{name}.png", dense)
    whole = open_folder(tmp_path, scribbles=scribbles)
    dropped = open_folder(tmp_path, scribbles=scribbles, scribble_drop=0.7)
    again = open_folder(tmp_path, scribbles=scribbles, scribble_drop=0.7)
    other = open_folder(tmp_path, scribbles=scribbles, scribble_drop=0.7, scribble_seed=1)
    for index in range(len(names)):
        kept = sample_of(dropped, index).scribble
        assert np.array_equal(kept, sample_of(again, index).scribble)
        classes = set(np.unique(kept))
        assert 0 in classes and classes & {1, 2}  # background, and some foreground
    assert sum(drawn_pixels(dropped)) < sum(drawn_pixels(whole))
    assert drawn_pixels(dropped) != drawn_pixels(other)


# The fingerprint and the `datasets` builder


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    first = open_folder(make(tmp_path / "one")).fingerprint()
    assert open_folder(tmp_path / "one").fingerprint() == first
    shutil.copytree(tmp_path / "one", tmp_path / "elsewhere" / "two")
    assert open_folder(tmp_path / "elsewhere" / "two").fingerprint() == first


def one_pixel(folder: str) -> Any:
    def change(root: Path) -> None:
        path = root / folder / "b.png"
        array = np.asarray(Image.open(path)).copy()
        array[0, 0] = 0 if array[0, 0] else 1
        save(path, array)

    return change


def other_photograph(root: Path) -> None:
    save(root / "images" / "b.jpg", photograph(99))


def other_name(root: Path) -> None:
    for folder, suffix in (("images", "jpg"), ("scribbles", "png"), ("masks", "png")):
        (root / folder / f"b.{suffix}").rename(root / folder / f"bb.{suffix}")


def other_class(root: Path) -> None:
    path = root / "classes.json"
    path.write_text(path.read_text().replace("dog", "fox"))


@pytest.mark.parametrize(
    "change",
    [
        one_pixel("scribbles"),
        one_pixel("masks"),
        other_photograph,
        other_name,
        other_class,
        lambda root: (root / "masks" / "b.png").unlink(),
        lambda root: (root / "images" / "c.jpg").unlink(),
    ],
)
def test_the_fingerprint_changes_with_everything_that_is_read(tmp_path: Path, change: Any) -> None:
    before = open_folder(make(tmp_path)).fingerprint()
    change(tmp_path)
    assert open_folder(tmp_path).fingerprint() != before


def test_the_fingerprint_changes_with_the_ids(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train.txt").write_text("b\na\nc\n")
    sources = (
        open_folder(tmp_path),
        open_folder(tmp_path, ids="train.txt"),
        open_folder(tmp_path, max_samples=2),
    )
    assert len({source.fingerprint() for source in sources}) == 3


def test_the_builder_has_the_columns_of_real(tmp_path: Path) -> None:
    root = make(tmp_path / "data", masks="ab")
    (root / "train.txt").write_text("a\nc\nnowhere\n")
    (root / "val.txt").write_text("b\n")
    builder = Folder(
        data_dir=str(root),
        ids="train.txt",
        validation_ids="val.txt",
        cache_dir=str(tmp_path / "cache"),
    )
    builder.download_and_prepare()
    loaded = builder.as_dataset()
    assert {split: loaded[split]["source_id"][:] for split in loaded} == {
        "train": ["a", "c"],  # what is missing is left out
        "validation": ["b"],
    }
    train = loaded["train"]
    assert train.features == real_features(open_folder(root).classes)
    assert train[0]["label"].mode == "P"
    assert np.array_equal(np.asarray(train[0]["label"]), scribble(2))
    assert np.array_equal(np.asarray(train[0]["mask"]), mask(2)) and train[1]["mask"] is None
    assert train[0]["classes"] == [0, 2] and train[0]["prompt"] is None
    image = np.asarray(Image.open(root / "images" / "a.jpg"))
    assert np.array_equal(np.asarray(train[0]["image"]), image)


def test_the_builder_s_cache_follows_a_changed_label_and_a_changed_option(tmp_path: Path) -> None:
    root = make(tmp_path / "data")

    def first_label(**options: Any) -> np.ndarray:
        builder = Folder(data_dir=str(root), cache_dir=str(tmp_path / "cache"), **options)
        builder.download_and_prepare()
        return np.asarray(builder.as_dataset("train")[0]["label"])

    before = first_label()
    assert np.array_equal(before, scribble(2))
    save(root / "scribbles" / "a.png", scribble(1))
    assert np.array_equal(first_label(), scribble(1))
    assert (first_label(scribble_shrink=0.5) != 255).sum() < (before != 255).sum()
    save(root / "scribbles" / "a.png", scribble(2))
    assert np.array_equal(first_label(), before)


def test_a_list_holds_ids_file_names_pairs_and_names_with_spaces(tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("a\n\nimages/b.jpg\nimages/c.jpg masks/c.png\nmy photo 1\nmy photo 2.jpg\n")
    assert read_ids(listed) == ["a", "b", "c", "my photo 1", "my photo 2"]


def test_large_photographs_are_reduced_with_their_labels(tmp_path):
    root = make(tmp_path)
    for scribbles in ("files", "simulate", "mask"):
        options = {"data_dir": str(root), "scribbles": scribbles}
        small = open_source(FolderConfig(**options, max_side=32)).read(0)
        assert isinstance(small, Sample)
        assert small.image.shape == (24, 32, 3) and small.image_file is None
        assert small.mask.shape == small.scribble.shape == (24, 32)
        whole = open_source(FolderConfig(**options)).read(0)
        assert set(np.unique(small.scribble)) == set(np.unique(whole.scribble))
        assert set(np.unique(small.mask)) <= set(np.unique(whole.mask))
        untouched = open_source(FolderConfig(**options, max_side=WIDTH)).read(0)
        assert np.array_equal(untouched.image, whole.image)
        assert untouched.image_file == whole.image_file


def test_a_label_of_another_size_is_rejected_though_photographs_are_reduced(tmp_path):
    root = make(tmp_path)
    save(next((tmp_path).rglob("scribbles/a.png")), scribble()[:, :60])
    options = {"data_dir": str(root), "scribbles": "files"}
    found = open_source(FolderConfig(**options, max_side=32)).read(0)
    assert isinstance(found, Rejection) and "is 60x48 but image is 64x48" in found.reason
