"""Photographs of more pixels than usual: read by choice, and reduced as they are loaded."""

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig, HubConfig, PascalScribbleConfig
from scribblegen.builders.photographs import read_image
from scribblegen.builders.sources import open_source
from scribblegen.commands.build import build
from scribblegen.families.stable_diffusion import conditioning
from scribblegen.images import BadImageError, decode_image, decode_reduced, resize_image
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS, MAX_PIXELS
from scribblegen.records import Rejection, Sample
from scribblegen.runs.config import OutputConfig
from tests.test_folder_source import make
from tests.test_sources import _large

HEIGHT, WIDTH = 300, 400
ORIENTATION = 0x0112


def photograph() -> np.ndarray:
    """Slow waves of colour, which every way of reducing leaves alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / 60
    waves = [np.sin(x + 1), np.cos(y), np.sin(x + y)]
    return (120 + 90 * np.stack(waves, axis=-1)).astype(np.uint8)


def file_of(array: Any, file_format: str, **options: Any) -> bytes:
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


@pytest.mark.parametrize("bad", [0, -1, LARGEST_MAX_PIXELS + 1])
def test_a_limit_out_of_range_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="`max_pixels` must be from 1 to 300,000,000. Got "):
        FolderConfig(max_pixels=bad)
    assert FolderConfig().max_pixels == MAX_PIXELS == 89_478_485


@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
def test_photographs_and_labels_above_the_limit_are_rejected(kind: type, tmp_path: Path) -> None:
    fitting = open_source(_large(kind, tmp_path, max_pixels=60 * 80)).read(0)
    assert isinstance(fitting, Sample)
    found = open_source(_large(kind, tmp_path, max_pixels=60 * 80 - 1)).read(0)
    assert isinstance(found, Rejection) and found.reason == (
        "dangerous size: 80x60 are 4,800 pixels, more than the 4,799 of `max_pixels`, "
        "which may be up to 300,000,000"
    )


def test_a_label_above_the_limit_is_rejected_before_it_is_decoded(tmp_path: Path) -> None:
    config = _large(FolderConfig, tmp_path, max_pixels=60 * 80)
    Image.new("L", (80, 61)).save(next(tmp_path.rglob("masks/a.png")))
    found = open_source(config).read(0)
    assert isinstance(found, Rejection) and "80x61 are 4,880 pixels" in found.reason


FILES = {
    "JPEG": file_of(photograph(), "JPEG", quality=95),
    "MPO": file_of(photograph(), "MPO", quality=95),
    "PNG": file_of(photograph(), "PNG"),
    "WEBP": file_of(photograph(), "WEBP", lossless=True),
    "TIFF": file_of(photograph(), "TIFF"),
    "grey": file_of(photograph()[..., 0], "PNG"),
    "16 bits": file_of(photograph()[..., 0].astype(np.uint16) * 257, "PNG"),
    "floats": file_of((photograph()[..., 0] / np.float32(255)), "TIFF"),
    "palette": file_of(Image.fromarray(photograph()).quantize(256), "PNG"),
    "CMYK": file_of(Image.fromarray(photograph()).convert("CMYK"), "JPEG", quality=95),
    "clear": file_of(np.dstack([photograph(), np.full((HEIGHT, WIDTH), 128, np.uint8)]), "PNG"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("max_side", [399, 130, 50, 40, 9])
def test_what_is_reduced_as_it_is_loaded_looks_as_what_is_reduced_later(
    kind: str, max_side: int
) -> None:
    whole, _ = decode_image(FILES[kind])
    image, size = decode_reduced(FILES[kind], max_side)
    assert size == (HEIGHT, WIDTH)
    assert image.shape[:2] == (max(1, round(0.75 * max_side)), max_side)
    there = resize_image(whole, *image.shape[:2]).astype(int)
    assert np.abs(image - there).mean() < 2 and np.abs(image - there).max() < 20


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_turned_photograph_is_turned_and_so_is_its_size(
    file_format: str, orientation: int
) -> None:
    square = photograph()[:, :HEIGHT]  # of which the shape tells nothing
    for array in (photograph(), square):
        data = file_of(array, file_format, exif=exif(orientation), lossless=True)
        whole, _ = decode_image(data)
        image, size = decode_reduced(data, 60)
        assert size == whole.shape[:2]
        same = resize_image(whole, *image.shape[:2]).astype(int)
        assert np.abs(image - same).mean() < 4


def test_what_is_no_colour_stays_none() -> None:
    layered = Image.fromarray(photograph())
    hole = layered.copy()
    hole.paste((1, 2, 3), (0, 0, WIDTH, HEIGHT))
    image, _ = decode_reduced(file_of(hole, "PNG", transparency=(1, 2, 3)), 50)
    assert (image == 255).all()
    values = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    values[7, 7] = np.nan
    with pytest.raises(BadImageError, match="no numbers"):
        decode_reduced(file_of(values, "TIFF"), 50)
    values[7, 7] = 1.5
    with pytest.raises(BadImageError, match="whose range is not clear"):
        decode_reduced(file_of(values, "TIFF"), 50)
    with pytest.raises(BadImageError, match="unreadable|truncated"):
        decode_reduced(FILES["PNG"][:-200], 50)
    with pytest.raises(BadImageError, match="not a picture"):
        decode_reduced(b"no picture", 50)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit that a photograph of 80x60 is above, as one of 300 megapixels is above the true."""
    monkeypatch.setattr("scribblegen.builders.photographs.MAX_PIXELS", 1000)
    return 1000


@pytest.mark.parametrize("scribbles", ["files", "simulate"])
@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
@pytest.mark.parametrize("max_side", [40, 30, 20])
def test_a_large_photograph_is_reduced_with_its_labels(
    kind: type, scribbles: str, max_side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"scribbles": scribbles, "max_side": max_side}
    usual = open_source(_large(kind, tmp_path, **options)).read(0)
    monkeypatch.setattr("scribblegen.builders.photographs.MAX_PIXELS", 1000)
    found = open_source(_large(kind, tmp_path, **options)).read(0)
    assert isinstance(found, Sample) and isinstance(usual, Sample)
    assert found.image.shape == usual.image.shape == (max_side * 3 // 4, max_side, 3)
    assert found.image_file is None
    assert np.array_equal(found.scribble, usual.scribble)
    assert np.array_equal(found.mask, usual.mask)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(30, 40), (60, 79), (15, 20)])
def test_a_label_is_checked_against_the_whole_photograph(
    low: int, size: tuple[int, int], tmp_path: Path
) -> None:
    config = _large(FolderConfig, tmp_path, max_side=20)
    Image.fromarray(np.ones(size, np.uint8)).save(next(tmp_path.rglob("masks/a.png")))
    found = open_source(config).read(0)
    assert isinstance(found, Rejection) and found.reason == (
        f"mask is {size[1]}x{size[0]} but image is 80x60 (width x height, after EXIF rotation)"
    )


def test_one_that_fits_the_side_is_passed_on_as_it_is(low: int) -> None:
    data = file_of(photograph(), "PNG")
    read = read_image(data, WIDTH, MAX_PIXELS)
    assert read.image_file == data and read.size is None
    assert read_image(data, WIDTH - 1, MAX_PIXELS).size == (HEIGHT, WIDTH)
    assert read_image(data, None, MAX_PIXELS).image_file == data


def test_a_jpeg_is_decoded_small() -> None:
    data = file_of(Image.new("RGB", (6000, 5000), (10, 200, 60)), "JPEG")
    tracemalloc.start()
    image, size = decode_reduced(data, 600)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == (5000, 6000) and image.shape == (500, 600, 3)
    assert peak < 10e6


def test_scribbles_are_fitted_alike_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.array([0, 1, 2, 255], np.uint8), (97, 64))
    sizes = [(40, 30), (97, 30), (10, 64), (120, 20), (1, 1), (96, 63)]
    whole = [conditioning.fit_scribble(drawn, *size) for size in sizes]
    for band in (1, 64, 500, 3000):
        monkeypatch.setattr(conditioning, "_BAND", band)
        for size, expected in zip(sizes, whole, strict=True):
            assert np.array_equal(conditioning.fit_scribble(drawn, *size), expected)


def test_a_photograph_too_long_for_webp_is_stored_and_so_are_its_twins(tmp_path: Path) -> None:
    """A transparent PNG is encoded anew, as WebP by default, which holds 16383 pixels a side."""
    root = make(tmp_path / "data", ids="b", scribbles="b", masks="")
    layered = np.full((4, 17000, 4), 90, np.uint8)
    drawn = np.full((4, 17000), 255, np.uint8)
    drawn[1:3, 100:9000] = 1
    Image.fromarray(layered).save(root / "images" / "a.png")
    Image.fromarray(drawn).save(root / "scribbles" / "a.png")
    build(
        FolderConfig(data_dir=str(root)),
        ScribbleGenConfig(
            guidance_scales=[1], encode_ratios=[0.5], num_inference_steps=2, pipeline="random"
        ),
        OutputConfig(),
        output_dir=tmp_path / "out",
    )
    tables = [pq.read_table(path).to_pylist() for path in (tmp_path / "out").rglob("*.parquet")]
    assert len(tables) == 2
    for rows in tables:
        formats = [Image.open(io.BytesIO(row["image"]["bytes"])).format for row in rows]
        assert formats in (["PNG", "WEBP"], ["PNG", "JPEG"])
        assert Image.open(io.BytesIO(rows[0]["image"]["bytes"])).size == (17000, 4)
