"""How photographs and their labels are found: kinds, names, folders, and what is not used."""

import json
import logging
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, features

from scribblegen.builders.config import FolderConfig
from scribblegen.builders.files import read_ids
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.records import Sample
from scribblegen.runs.config import OutputConfig
from tests.test_folder_source import (
    NAMES,
    make,
    mask,
    open_folder,
    photograph,
    reason_of,
    sample_of,
    save,
    scribble,
)


def classes(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    rows = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    (root / "classes.json").write_text(json.dumps({"classes": rows}))
    return root


def is_first(sample: Sample, dense: bool = True) -> None:
    """The sample has the label of class 1 and nothing else."""
    assert sample.mask is not None if dense else sample.mask is None
    if dense:
        assert np.array_equal(sample.mask, mask(1))  # type: ignore[arg-type]


# Kinds


KINDS = {
    **dict.fromkeys(["jpg", "JPG", "jpeg", "jpe", "jfif", "JFIF"], "JPEG"),
    **dict.fromkeys(["png", "PNG"], "PNG"),
    **dict.fromkeys(["webp", "WebP"], "WEBP"),
    **dict.fromkeys(["tif", "TIFF"], "TIFF"),
    **dict.fromkeys(["bmp"], "BMP"),
    **dict.fromkeys(["avif"], "AVIF"),
    **dict.fromkeys(["jp2", "j2k"], "JPEG2000"),
    **dict.fromkeys(["ppm", "pnm", "PPM"], "PPM"),
}


@pytest.mark.parametrize("suffix", KINDS)
def test_a_photograph_is_found_by_any_of_its_suffixes(tmp_path: Path, suffix: str) -> None:
    if KINDS[suffix] == "AVIF" and not features.check("avif"):
        pytest.skip("PIL without avif")
    (make(tmp_path, ids="") / "images").mkdir()
    Image.fromarray(photograph()).save(tmp_path / "images" / f"a.{suffix}", KINDS[suffix])
    source = open_folder(tmp_path)
    assert source.source_ids == ("a",) and sample_of(source).image.shape == (48, 64, 3)


def test_a_grey_photograph_may_be_a_pgm(tmp_path: Path) -> None:
    save(make(tmp_path, ids="") / "images" / "a.pgm", photograph()[..., 0])
    assert np.array_equal(sample_of(open_folder(tmp_path)).image[..., 1], photograph()[..., 0])


@pytest.mark.parametrize("suffix", ["PNG", "tif", "TIFF", "bmp", "gif", "webp", "ppm", "pgm"])
@pytest.mark.parametrize("ending", ["", "_mask", "-mask", "_MASK", "_gt", "_segmentation"])
def test_a_mask_is_found_by_its_suffix_and_ending(tmp_path: Path, suffix: str, ending: str) -> None:
    make(tmp_path, ids="a", scribbles="", masks="")
    (tmp_path / "masks").mkdir()
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    file_format = {"ppm": "PPM", "pgm": "PPM", "tif": "TIFF"}.get(suffix, suffix)
    path = tmp_path / "masks" / f"a{ending}.{suffix}"
    picture = Image.fromarray(mask(1))
    if suffix == "gif":  # else PIL leaves out the unused colours, and with them the ids
        picture, options = picture.convert("P"), {"optimize": False}
    picture.save(path, file_format, **options)
    is_first(sample_of(open_folder(tmp_path)))


@pytest.mark.parametrize("suffix", ["jpg", "JPEG"])
def test_a_mask_that_is_a_jpeg_is_rejected_for_that(tmp_path: Path, suffix: str) -> None:
    make(tmp_path, ids="ab", scribbles="", masks="b")
    save(tmp_path / "masks" / f"a.{suffix}", mask(1))
    source = open_folder(tmp_path)
    assert reason_of(source, 0) == "label is a JPEG, which changes values; PNG is needed"
    save(tmp_path / "masks" / f"b.{suffix}", mask(2))  # a preview of what b.png holds
    is_first(sample_of(open_folder(tmp_path), 1))


def test_two_files_for_one_label_are_one_rejection_that_names_both(tmp_path: Path) -> None:
    make(tmp_path)
    save(tmp_path / "masks" / "b.tif", mask(2))
    save(tmp_path / "scribbles" / "c_scribble.png", scribble(2))
    (tmp_path / "scribbles" / "c.png").rename(tmp_path / "scribbles" / "c_scribbles.png")
    source = open_folder(tmp_path)
    assert isinstance(source.read(0), Sample)
    assert reason_of(source, 1) == "several files for its label: b.png and b.tif; one is needed"
    assert reason_of(source, 2) == (
        "several files for its label: c_scribble.png and c_scribbles.png; one is needed"
    )
    before = source.fingerprint()
    save(tmp_path / "masks" / "b.tif", mask(1))
    assert open_folder(tmp_path).fingerprint() != before


def test_the_exact_name_comes_before_one_with_an_ending(tmp_path: Path) -> None:
    make(tmp_path, ids="b")
    save(tmp_path / "masks" / "b_mask.png", mask(2))
    is_first(sample_of(open_folder(tmp_path)))
    # And a photograph that is called so keeps its label for itself.
    (tmp_path / "masks" / "b.png").unlink()
    save(tmp_path / "images" / "b_mask.jpg", photograph())
    save(tmp_path / "scribbles" / "b_mask.png", scribble(2))
    source = open_folder(tmp_path)
    assert source.source_ids == ("b", "b_mask") and sample_of(source, 0).mask is None
    found = sample_of(source, 1).mask
    assert found is not None and np.array_equal(found, mask(2))


# Folders


def test_photographs_of_class_folders_have_ids_with_them(tmp_path: Path) -> None:
    make(tmp_path, ids="", scribbles="", masks="")
    for name in ("cat/a", "cat/b", "dog/a", "z"):
        save(tmp_path / "images" / f"{name}.jpg", photograph())
        save(tmp_path / "masks" / f"{name}.png", mask(2 if name == "cat/b" else 1))
    source = open_folder(tmp_path)
    assert source.source_ids == ("cat/a", "cat/b", "dog/a", "z")
    for index in (0, 2, 3):
        is_first(sample_of(source, index))
    (tmp_path / "masks" / "dog" / "a.png").unlink()
    assert reason_of(open_folder(tmp_path), 2) == "missing file: masks/dog/a.png"
    listed = "images/cat/b.jpg masks/cat/b.png\nz\n/x/images/dog/a.jpg\ncat/gone\n"
    (tmp_path / "train.txt").write_text(listed)
    source = open_folder(tmp_path, ids="train.txt")
    assert source.source_ids == ("cat/b", "z", "dog/a", "cat/gone")
    assert reason_of(source, 3) == "missing file: images/cat/gone.jpg"


def test_a_listed_photograph_is_never_taken_for_one_of_another_folder(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("cat/a\nimages/cat/a.jpg\nother/a\n")
    assert read_ids(tmp_path / "ids.txt", {"a", "cat/b"}) == ["cat/a", "cat/a", "a"]
    assert read_ids(tmp_path / "ids.txt", {"a", "b"}) == ["a", "a", "a"]


def test_hidden_folders_are_not_walked_and_each_real_folder_is_once(tmp_path: Path) -> None:
    make(tmp_path, ids="a")
    for folder in (".cache", "__MACOSX", "a.png", "sub"):
        save(tmp_path / "images" / folder / "x.jpg", photograph())
    save(tmp_path / "elsewhere" / "y.jpg", photograph())
    (tmp_path / "images" / "first").symlink_to(tmp_path / "images" / "sub")
    (tmp_path / "images" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "up").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images")
    assert open_folder(tmp_path).source_ids == ("a", "a.png/x", "linked/y", "sub/x")


def test_what_only_looks_like_a_photograph_is_one_rejection(tmp_path: Path) -> None:
    make(tmp_path, ids="a")
    (tmp_path / "images" / "b.jpg").symlink_to("b.jpg")
    os.mkfifo(tmp_path / "images" / "c.jpg")
    (tmp_path / "images" / "d.jpg").symlink_to("nowhere")
    source = open_folder(tmp_path)
    assert source.source_ids == ("a", "b", "c", "d")
    assert reason_of(source, 1) == "images/b.jpg is a link that leads to itself"
    assert reason_of(source, 2) == "images/c.jpg is a FIFO; a file is needed"
    assert reason_of(source, 3) == "missing file: images/d.jpg"


# Names


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_two_spellings_of_one_name_are_one_name(tmp_path: Path, listed: str) -> None:
    nfc, nfd = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert nfc != nfd
    make(tmp_path, ids="", scribbles="", masks="")
    save(tmp_path / "images" / nfd / f"{nfd}.jpg", photograph())
    save(tmp_path / "masks" / nfc / f"{nfc}.png", mask(1))
    is_first(sample_of(open_folder(tmp_path)))
    name = unicodedata.normalize(listed, "café")
    (tmp_path / "train.txt").write_text(f"{name}/{name}.jpg\n", "utf-8")
    source = open_folder(tmp_path, ids="train.txt")
    assert source.source_ids == (f"{nfc}/{nfc}",)
    is_first(sample_of(source))


def test_a_name_that_is_not_utf_8_or_holds_a_line_break_is_escaped(tmp_path: Path) -> None:
    make(tmp_path, ids="", scribbles="", masks="")
    for name in (b"caf\xe9", b"a\nb", b"\x1b[31mred", b"x\xe2\x80\xa8y"):
        for folder, suffix, array in (
            (b"images", b".jpg", photograph()),
            (b"masks", b".png", mask(1)),
        ):
            path = os.fsencode(tmp_path) + b"/" + folder + b"/" + name + suffix
            save(tmp_path / "kept.png", array)
            if folder == b"images":
                save(tmp_path / "kept.jpg", array)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.rename(tmp_path / ("kept.jpg" if folder == b"images" else "kept.png"), path)
    source = open_folder(tmp_path)
    assert source.source_ids == ("\\x1b[31mred", "a\\nb", "caf\\xe9", "x\\u2028y")
    for index in range(4):
        sample = sample_of(source, index)
        is_first(sample)
        assert sample.source_id.encode("utf-8").decode().isprintable()
    os.remove(os.fsencode(tmp_path) + b"/masks/caf\xe9.png")
    assert reason_of(open_folder(tmp_path), 2) == "missing file: masks/caf\\xe9.png"


def test_a_listed_id_that_no_file_can_have_is_missing(tmp_path: Path) -> None:
    (make(tmp_path) / "train.txt").write_text(f"a\nb\0b\n{'n' * 300}\n../../../etc/hosts\n")
    source = open_folder(tmp_path, ids="train.txt")
    assert isinstance(source.read(0), Sample)
    assert reason_of(source, 1) == "missing file: images/b\\x00b.jpg"
    assert reason_of(source, 2).startswith("missing file: images/nnnn")
    assert reason_of(source, 3) == "missing file: images/hosts.jpg"
    source.fingerprint()


# Side by side


def beside(root: Path, *names: str) -> Path:
    for name in names:
        array = photograph() if name.endswith(".jpg") or name.startswith("photo") else mask(1)
        save(classes(root) / name, scribble(1) if "scribble" in name else array)
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("a.jpg", "a.png", "b.jpg", "b.png"),
        ("photo a.png", "photo a_mask.png"),
        ("a.jpg", "a_mask.png", "b.jpg", "b_mask.bmp"),
        ("cat/a.jpg", "cat/a.png"),
        ("a.jpg", "a-mask.tif"),
        ("photo a.png", "photo a.gif"),
    ],
)
@pytest.mark.parametrize("place", [".", "images"])
def test_labels_beside_their_photographs_are_found(
    tmp_path: Path, names: tuple[str, ...], place: str
) -> None:
    for name in names:  # the name says which is which
        is_label = name.endswith((".png", ".bmp", ".tif", ".gif")) and name != "photo a.png"
        path = classes(tmp_path).joinpath(place, name)
        save(path, mask(1) if is_label else photograph())
        if path.suffix == ".gif":  # with a palette of its own, which PIL would leave ids out of
            Image.fromarray(mask(1)).convert("P").save(path, optimize=False)
    options = [{"image_dir": place, "mask_dir": place}]
    if "/" not in names[0] or place != ".":
        options.append({})
    for given in options:
        source = open_folder(tmp_path, **given)
        assert len(source) == len(names) // 2
        for index in range(len(source)):
            is_first(sample_of(source, index))


def test_a_scribble_beside_is_told_from_a_mask_by_its_ending(tmp_path: Path) -> None:
    beside(tmp_path, "a.jpg", "a.png", "a_scribble.png")
    sample = sample_of(open_folder(tmp_path))
    assert np.array_equal(sample.scribble, scribble(1))
    is_first(sample)
    (tmp_path / "a.png").unlink()
    assert np.array_equal(sample_of(open_folder(tmp_path)).scribble, scribble(1))
    (tmp_path / "a_scribble.png").rename(tmp_path / "a.png")
    source = open_folder(tmp_path, image_dir=".", scribble_dir=".")
    assert np.array_equal(sample_of(source).scribble, scribble(1))
    assert sample_of(source).mask is None


def test_photographs_beside_folders_of_labels_are_not_mixed_with_them(tmp_path: Path) -> None:
    beside(tmp_path, "a.jpg", "b.jpg")
    save(tmp_path / "masks" / "a.png", mask(1))
    source = open_folder(tmp_path)
    assert source.source_ids == ("a", "b")
    is_first(sample_of(source))
    assert reason_of(source, 1) == "missing file: masks/b.png"


def test_a_photograph_without_its_label_beside_is_missing_it(tmp_path: Path) -> None:
    source = open_folder(beside(tmp_path, "a.jpg", "a.png", "b.jpg"))
    assert reason_of(source, 1) == "missing file: b.png"


def test_a_picture_beside_the_folders_of_something_else_is_no_source(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "images").rename(tmp_path / "Pictures")
    save(tmp_path / "preview.png", photograph())
    for masks in (True, False):
        with pytest.raises(FileNotFoundError, match="`image_dir` must be given.*no photographs wi"):
            open_folder(tmp_path)
        if masks:
            shutil.rmtree(tmp_path / "masks")
            shutil.rmtree(tmp_path / "scribbles")


def test_a_reason_tells_nothing_of_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "private" / "data")
    (root / "images" / "a.jpg").unlink()
    (root / "images" / "a.jpg").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    source = open_folder(Path("private/data"))
    assert reason_of(source) == "missing file: images/a.jpg"


def test_two_photographs_of_one_name_beside_labels_are_refused(tmp_path: Path) -> None:
    beside(tmp_path, "a.jpg", "a_mask.png", "a.jpeg")
    with pytest.raises(ValueError, match=r"two photographs called 'a': a\.jpeg and a\.jpg"):
        open_folder(tmp_path)


# What is told


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_what_is_not_used_is_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path)
    for name in ("notes.txt", "Thumbs.db", "a.gif", ".DS_Store", "._a.jpg"):
        (tmp_path / "images" / name).write_bytes(b"x")
    for name in "pqrs":
        save(tmp_path / "masks" / f"{name}_mask.png", mask(1))
    save(tmp_path / "masks" / "a_mask.png", mask(1))
    (tmp_path / "scribbles" / "list.csv").write_bytes(b"x")
    for _ in range(2):
        open_folder(tmp_path)
    assert told(caplog) == [
        "3 files in images are no photographs and are not used: Thumbs.db, a.gif, notes.txt",
        "4 files in masks belong to no photograph, such as p_mask.png, q_mask.png, r_mask.png",
        "1 file in masks is not used, for another label of the same photograph comes first: "
        "a_mask.png",
        "1 file in scribbles is no label and is not used: list.csv",
    ]


def test_nothing_is_told_where_everything_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_folder(make(tmp_path / "one"))
    beside(tmp_path / "two", "a.jpg", "a.png")
    (tmp_path / "two" / "train.txt").write_text("a\n")
    open_folder(tmp_path / "two", ids="train.txt")
    assert told(caplog) == []


def test_a_mask_without_its_photograph_beside_others_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = open_folder(beside(tmp_path / "data", "a.jpg", "a_mask.png", "b_mask.png", "c.gif"))
    assert source.source_ids == ("a",)
    assert told(caplog) == ["2 files in data belong to no photograph: b_mask.png, c.gif"]


def test_a_run_over_odd_files_lists_each_and_keeps_the_others(tmp_path: Path) -> None:
    root = make(tmp_path / "data", ids="b", scribbles="b", masks="")
    images, scribbles = (os.fsencode(root / name) for name in ("images", "scribbles"))
    os.makedirs(images + b"/cat")
    os.makedirs(scribbles + b"/cat")
    for name in (b"caf\xe9", b"cat/x\ny"):
        shutil.copy(images + b"/b.jpg", images + b"/" + name + b".JPG")
        shutil.copy(scribbles + b"/b.png", scribbles + b"/" + name + b"_scribble.png")
    os.mkfifo(root / "images" / "pipe.jpg")
    (root / "images" / "loop.png").symlink_to("loop.png")
    shutil.copy(root / "images" / "b.jpg", root / "images" / "two.jpg")
    for suffix in ("png", "bmp"):
        save(root / "scribbles" / f"two.{suffix}", scribble(1))
    build(
        FolderConfig(data_dir=str(root)),
        ScribbleGenConfig(
            guidance_scales=[1], encode_ratios=[0.5], num_inference_steps=2, pipeline="random"
        ),
        OutputConfig(),
        output_dir=tmp_path / "out",
    )
    tables = [pq.read_table(path).to_pylist() for path in (tmp_path / "out").rglob("*.parquet")]
    kept = ["b", "caf\\xe9", "cat/x\\ny"]
    assert [[row["source_id"] for row in rows] for rows in tables] == [kept, kept]
    manifest = (tmp_path / "out" / "run" / "manifest.json").read_text("utf-8")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    for reason in (
        "images/pipe.jpg is a FIFO; a file is needed",
        "images/loop.png is a link that leads to itself",
        "several files for its label: two.bmp and two.png; one is needed",
    ):
        assert reason in manifest and "a FIFO" in card
    assert str(tmp_path) not in manifest + card
