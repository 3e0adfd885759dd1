"""A profile that changes colours is applied before it is dropped; one that does not only goes."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from scribblegen.images import decode_image

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SHAPE = (12, 20)


def photograph() -> np.ndarray:
    """(12, 20, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)


def swapped() -> bytes:
    """A profile whose red is the green of sRGB, and its green the red."""
    return SRGB.replace(b"rXYZ", b"....").replace(b"gXYZ", b"rXYZ").replace(b"....", b"gXYZ")


def grey(gamma: float) -> bytes:
    """A profile of greys, by ICC.1: a header, and the tags `wtpt` and `kTRC`."""
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)  # D50, s15Fixed16
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">I4sII", 2, b"wtpt", start, len(white))
    tags += struct.pack(">4sII", b"kTRC", start + len(white), 14)
    body = tags + white + curve
    header = bytearray(SRGB[:128])
    header[0:4] = struct.pack(">I", 128 + len(body))
    header[16:20] = b"GRAY"
    return bytes(header) + body


def file_of(image: np.ndarray | Image.Image, file_format: str, **options: Any) -> bytes:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("file_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {})]
)
def test_srgb_is_dropped_and_no_pixel_changes(file_format: str, options: dict[str, Any]) -> None:
    data = file_of(photograph(), file_format, icc_profile=SRGB, **options)
    image, as_is = decode_image(data)
    assert as_is is None
    assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize(
    ("file_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_a_profile_that_changes_colours_is_applied(
    file_format: str, options: dict[str, Any]
) -> None:
    data = file_of(photograph(), file_format, icc_profile=swapped(), **options)
    image, as_is = decode_image(data)
    assert as_is is None
    assert np.abs(image.astype(int) - photograph()[..., [1, 0, 2]]).max() <= 1


def test_it_is_applied_to_palettes_and_under_transparency() -> None:
    palette = Image.fromarray(photograph()).quantize(16)
    expected = np.asarray(palette.convert("RGB"))[..., [1, 0, 2]]
    image, _ = decode_image(file_of(palette, "PNG", icc_profile=swapped()))
    assert np.abs(image.astype(int) - expected).max() <= 1
    alpha = np.full(SHAPE, 255, np.uint8)
    alpha[:, :5] = 0
    layered = np.dstack([photograph(), alpha])
    image, _ = decode_image(file_of(layered, "PNG", icc_profile=swapped()))
    assert (image[:, :5] == 255).all()
    assert np.abs(image[:, 5:].astype(int) - photograph()[:, 5:, [1, 0, 2]]).max() <= 1


def srgb_of_linear(levels: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: light in [0, 1] -> levels in [0, 255]."""
    low = levels <= 0.0031308
    return np.where(low, 12.92 * levels, 1.055 * levels ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("depth", [8, 16])
def test_greys_of_another_curve_become_those_of_srgb(depth: int) -> None:
    levels = np.arange(256, dtype=np.uint8)[None].repeat(2, axis=0)
    stored = levels if depth == 8 else levels.astype(np.uint16) * 257
    image, _ = decode_image(file_of(stored, "PNG", icc_profile=grey(1.0)))
    expected = srgb_of_linear(levels / 255)
    assert np.abs(image - expected[..., None]).max() <= 1.5


@pytest.mark.parametrize(
    "profile", [b"no profile", SRGB[:200], SRGB.replace(b"RGB ", b"CMYK"), grey(1.0), bytes(500)]
)
def test_a_broken_or_foreign_profile_changes_nothing(profile: bytes) -> None:
    image, as_is = decode_image(file_of(photograph(), "PNG", icc_profile=profile))
    assert as_is is None and np.array_equal(image, photograph())
