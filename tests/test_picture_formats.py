"""Which kinds of files are opened, whatever PIL could open beside them, and how large ones."""

import io
import os
import signal
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, features

from scribblegen.images import BadImageError, decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.picture_formats import FORMATS, NOT_READ, open_picture
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS, MAX_PIXELS, size_fault

SHADES = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
PICTURE = np.stack([SHADES, SHADES * 2, 255 - SHADES], axis=-1)


def file_of(array: np.ndarray, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, file_format, **options)
    return buffer.getvalue()


def skip_without(file_format: str) -> None:
    library = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}.get(file_format)
    if library and not features.check(library):
        pytest.skip(f"PIL without {library}")


@pytest.mark.parametrize("file_format", sorted({*FORMATS, "MPO"}))
def test_every_kind_that_is_read_is_read(file_format: str) -> None:
    skip_without(file_format)
    image, _ = decode_image(file_of(PICTURE, file_format))
    distance = np.abs(image.astype(int) - PICTURE).max()
    lossy = file_format in ("JPEG", "MPO", "WEBP", "AVIF", "GIF")
    assert image.shape == PICTURE.shape and distance <= (40 if lossy else 0)


@pytest.mark.parametrize("file_format", ["DDS", "ICO", "SGI", "QOI", "SPIDER", "EPS", "PDF"])
def test_no_other_kind_is_opened(file_format: str) -> None:
    array = SHADES.astype(np.float32) if file_format == "SPIDER" else PICTURE
    data = file_of(array, file_format)
    for decode in (decode_image, decode_label):
        with pytest.raises(BadImageError) as caught:
            decode(data)
        assert str(caught.value) == NOT_READ


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file_format", ["AVIF", "JPEG2000", "PPM", "WEBP", "MPO", "TGA", "PCX"])
def test_a_damaged_file_of_a_rare_kind_is_read_or_refused(file_format: str) -> None:
    skip_without(file_format)
    rng = np.random.default_rng(0)
    whole = file_of(PICTURE, file_format)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole[: rng.integers(len(whole) // 2, len(whole) + 1)])
        for place in rng.integers(0, min(len(damaged), 400), 4):
            damaged[place] = rng.integers(256)
        for decode in (decode_image, decode_label):
            try:
                decode(bytes(damaged))
            except BadImageError:
                refused += 1
    assert refused


# Sizes


def bare_png(width: int, height: int) -> bytes:
    """The header of a PNG that says how large it is, and no pixels."""
    data = bytearray(file_of(PICTURE[:1, :1], "PNG"))
    data[16:24] = width.to_bytes(4) + height.to_bytes(4)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    return bytes(data)


def test_a_picture_that_is_too_large_is_refused_by_its_header() -> None:
    width, height = 20000, MAX_PIXELS // 20000 + 1
    with pytest.raises(BadImageError) as caught:
        decode_image(bare_png(width, height))
    assert str(caught.value) == (
        f"dangerous size: 20000x{height} are {width * height:,} pixels, more than the 89,478,485 "
        "of `max_pixels`, which may be up to 300,000,000"
    )
    with pytest.raises(BadImageError, match=r"are 300,020,000 pix.* 300,000,000 of `max_pixels`$"):
        decode_label(bare_png(20000, 15001))
    with pytest.raises(BadImageError, match=r"^dangerous size: 60000x60000 are 3,600,000,000"):
        decode_image(bare_png(60000, 60000), max_pixels=LARGEST_MAX_PIXELS)


def test_the_limit_is_the_number_of_pixels_there_may_be() -> None:
    assert size_fault((10, 10), 100) is None and size_fault((10, 10), 99)
    data = file_of(PICTURE, "PNG")
    assert decode_image(data, max_pixels=48 * 64)[0].shape == PICTURE.shape
    with pytest.raises(BadImageError, match="64x48 are 3,072 pixels, more than the 3,071"):
        decode_image(data, max_pixels=48 * 64 - 1)


def test_pil_s_own_limit_stops_no_picture_and_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = file_of(PICTURE, "PNG")

    def read() -> None:
        for _ in range(50):
            open_picture(data)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(decode_image(data)[0], PICTURE)
    with pytest.raises(BadImageError):
        decode_image(b"no picture")
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_is_forked_meanwhile_can_open_pictures() -> None:
    data = file_of(PICTURE, "PNG")
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            open_picture(data)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    statuses = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends a child that waits for ever
            whole = False
            try:
                limit = Image.MAX_IMAGE_PIXELS
                whole = open_picture(data).size == (64, 48) and limit is not None
            finally:
                os._exit(0 if whole else 1)
        statuses.append(os.waitpid(child, 0)[1])
    done.set()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 8
