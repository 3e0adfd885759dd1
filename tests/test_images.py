"""Picture files of every kind: read upright and in RGB, or refused with a reason."""

import io
import struct
import zlib
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from scribblegen.classes import IGNORE_INDEX, Classes, load_classes
from scribblegen.images import (
    IMAGE_FORMATS,
    BadImageError,
    decode_image,
    encode_image,
    encode_label,
    image_to_tensor,
    resize_image,
    resize_label,
    tensor_to_image,
)
from scribblegen.label_pictures import decode_label, decode_weights

HEIGHT, WIDTH = 20, 32
ORIENTATION = 0x0112
# The orientation tag says how the camera was held: what it did to the upright picture.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[:, ::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[::-1].transpose(1, 0, 2),
}


def photograph() -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8: smooth, so that JPEG keeps it, and different in each corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [x * 255 // WIDTH, y * 255 // HEIGHT, (x + y) * 255 // (WIDTH + HEIGHT)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def file_of(picture: Image.Image | np.ndarray, file_format: str, **options: Any) -> bytes:
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def png_of(samples: np.ndarray, depth: int, colour_type: int = 0) -> bytes:
    """A PNG of any bit depth from (H, W * channels) ints; PIL writes only some."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    channels = 3 if colour_type == 2 else 1
    height, width = samples.shape[0], samples.shape[1] // channels
    bits = (samples[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(height, -1), axis=1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def distance(first: np.ndarray, second: np.ndarray) -> int:
    assert first.shape == second.shape and first.dtype == second.dtype == np.uint8
    return int(np.abs(first.astype(int) - second).max())


# Photographs


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True, "dpi": (72, 72)}),
        ("PNG", {"dpi": (72, 72)}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
    ],
)
def test_a_plain_file_is_stored_byte_for_byte(file_format: str, options: dict[str, Any]) -> None:
    data = file_of(photograph(), file_format, **options)
    image, as_is = decode_image(data)
    assert as_is == data
    assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(data))))
    assert distance(image, photograph()) <= 30


def exif(tag: int, value: object) -> Image.Exif:
    found = Image.Exif()
    found[tag] = value
    return found


def png_text(kind: str, key: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    getattr(info, kind)(key, "Ada Lovelace")
    return info


def private_chunk() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add(b"prVt", b"Ada Lovelace")
    return info


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        *((name, {"exif": exif(0x013B, "Ada Lovelace")}) for name in ("JPEG", "PNG", "WEBP")),
        ("JPEG", {"xmp": b"<x:xmpmeta>Ada Lovelace</x:xmpmeta>"}),
        ("WEBP", {"xmp": b"<x:xmpmeta>Ada Lovelace</x:xmpmeta>"}),
        ("PNG", {"pnginfo": png_text("add_itxt", "XML:com.adobe.xmp")}),
        ("JPEG", {"comment": b"Ada Lovelace"}),
        ("JPEG", {"extra": b"\xff\xed\x00\x0eAda Lovelace"}),  # APP13: IPTC
        ("JPEG", {"extra": b"\xff\xe1\x00\x0eAda Lovelace"}),  # APP1 of no known kind
        ("PNG", {"pnginfo": png_text("add_text", "Author")}),
        ("PNG", {"pnginfo": png_text("add_itxt", "Location")}),
        ("PNG", {"pnginfo": private_chunk()}),
    ],
)
def test_metadata_is_never_stored(file_format: str, options: dict[str, Any]) -> None:
    data = file_of(photograph(), file_format, **options)
    assert b"Ada Lovelace" in data
    image, as_is = decode_image(data)
    assert as_is is None
    assert distance(image, photograph()) <= 30
    assert b"Ada" not in encode_image(image, "png")


def test_a_picture_of_several_frames_is_not_stored_as_it_is() -> None:
    for file_format in ("PNG", "WEBP"):
        other = Image.fromarray(255 - photograph())
        data = file_of(
            photograph(), file_format, save_all=True, append_images=[other], lossless=True
        )
        image, as_is = decode_image(data)
        assert as_is is None and np.array_equal(image, photograph())


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_photograph_is_turned_upright(orientation: int, file_format: str) -> None:
    stored = np.ascontiguousarray(STORED[orientation](photograph()))
    data = file_of(stored, file_format, exif=exif(ORIENTATION, orientation))
    image, as_is = decode_image(data)
    assert as_is is None
    assert distance(image, photograph()) <= (0 if file_format == "PNG" else 30)


@pytest.mark.parametrize("block", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_metadata_does_not_lose_the_photograph(block: bytes) -> None:
    image, as_is = decode_image(file_of(photograph(), "JPEG", exif=block))
    assert as_is is None and distance(image, photograph()) <= 30


def test_metadata_that_hides_which_way_is_up_is_refused() -> None:
    data = file_of(photograph(), "WEBP", exif=exif(ORIENTATION, 6))
    assert data.count(b"MM\0*") == 1
    with pytest.raises(BadImageError, match="unreadable EXIF"):
        decode_image(data.replace(b"MM\0*", b"MM\0?"))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_to_8(file_format: str) -> None:
    grey = photograph()[..., 0]
    picture = Image.fromarray(grey.astype(np.uint16) * 257)
    assert picture.mode == "I;16"
    image, as_is = decode_image(file_of(picture, file_format))
    assert as_is is None
    assert np.array_equal(image, np.repeat(grey[..., None], 3, axis=-1))


def test_16_bit_colour_is_scaled_to_8_and_encoded_anew() -> None:
    samples = noise().reshape(HEIGHT, -1).astype(np.int64) * 257
    image, as_is = decode_image(png_of(samples, depth=16, colour_type=2))
    assert as_is is None and np.array_equal(image, noise())


def test_cmyk_and_grey_and_palette_become_rgb() -> None:
    picture = Image.fromarray(photograph())
    cases = [
        (file_of(picture.convert("CMYK"), "JPEG", quality=95), photograph(), 30),
        (file_of(picture.convert("L"), "JPEG", quality=95), np.asarray(picture.convert("L")), 30),
        (file_of(picture.convert("L"), "PNG"), np.asarray(picture.convert("L")), 0),
        (
            file_of(picture.quantize(), "PNG"),
            np.asarray(picture.quantize().convert("RGB")),
            0,
        ),
    ]
    for data, expected, tolerance in cases:
        expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=-1)
        image, as_is = decode_image(data)
        assert as_is is None and distance(image, expected) <= tolerance


def test_transparent_pixels_lie_on_white() -> None:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :5], alpha[:, 5:9] = 0, 128
    expected = photograph().astype(float)
    expected[:, :5] = 255
    expected[:, 5:9] = expected[:, 5:9] * 128 / 255 + 255 * (127 / 255)
    layered = Image.fromarray(np.dstack([photograph(), alpha]))
    for file_format in ("PNG", "WEBP"):
        image, as_is = decode_image(file_of(layered, file_format, lossless=True, exact=True))
        assert as_is is None and np.abs(image - expected).max() <= 1
    grey = Image.fromarray(np.dstack([photograph()[..., 0], alpha]))
    assert grey.mode == "LA"
    image, _ = decode_image(file_of(grey, "PNG"))
    assert (image[:, :5] == 255).all() and np.array_equal(image[:, 9:, 1], photograph()[:, 9:, 0])


def test_a_transparent_palette_colour_lies_on_white() -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8))
    picture.putpalette([10, 20, 30, 200, 0, 0])
    image, as_is = decode_image(file_of(picture, "PNG", transparency=0))
    assert as_is is None
    assert image.tolist() == [[[255] * 3, [200, 0, 0]], [[200, 0, 0], [255] * 3]]


def test_a_transparent_colour_of_an_rgb_file_lies_on_white() -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    image, as_is = decode_image(file_of(pixels, "PNG", transparency=(1, 2, 3)))
    assert as_is is None and image.tolist() == [[[255] * 3, [4, 5, 6]]]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_file_is_refused(file_format: str, share: float) -> None:
    data = file_of(noise(), file_format)
    with pytest.raises(BadImageError, match="unreadable|not a picture"):
        decode_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("data", [b"", b"no picture", b"<svg/>", bytes(1000), b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    for decode in (decode_image, decode_label):
        with pytest.raises(BadImageError, match="not a picture"):
            decode(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_damaged_file_is_read_or_refused_and_never_raises_otherwise(file_format: str) -> None:
    rng = np.random.default_rng(0)
    options = {} if file_format in ("BMP", "GIF") else {"exif": exif(ORIENTATION, 6)}
    whole = file_of(photograph(), file_format, **options)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        for decode in (decode_image, decode_label):
            try:
                decode(bytes(damaged))
            except BadImageError:
                refused += 1
    assert refused


# Labels


def label_of(num_classes: int, seed: int = 0) -> np.ndarray:
    values = np.array([*range(num_classes), IGNORE_INDEX], np.uint8)
    return (
        np.random.default_rng(seed)
        .permutation(np.resize(values, HEIGHT * WIDTH))
        .reshape(HEIGHT, WIDTH)
    )


def test_a_label_is_read_from_grey_palette_and_16_bit_files() -> None:
    label = label_of(21)
    palette = Image.fromarray(label).convert("P")
    for data in (
        file_of(label, "PNG"),
        file_of(palette, "PNG"),
        encode_label(label, load_classes("voc")),
        file_of(label.astype(np.uint16), "PNG"),
        file_of(label.astype(np.int32), "TIFF"),
    ):
        read = decode_label(data)
        assert read.dtype == np.uint8 and np.array_equal(read, label)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_label_of_any_bit_depth_keeps_its_ids(depth: int) -> None:
    label = label_of(254) & np.uint8(min(2**depth, 256) - 1)
    assert np.array_equal(decode_label(png_of(label.astype(np.int64), depth)), label)


@pytest.mark.parametrize("num_ids", [2, 4, 16])
def test_a_palette_label_of_few_bits_keeps_its_ids(num_ids: int) -> None:
    label = label_of(254) % num_ids
    picture = Image.fromarray(label)
    picture.putpalette(bytes(range(0, 3 * num_ids)))
    assert np.array_equal(decode_label(file_of(picture, "PNG")), label)


def test_a_label_whose_ids_may_have_changed_is_refused() -> None:
    with pytest.raises(BadImageError, match=r"coloured \(mode RGB\)"):
        decode_label(file_of(noise(), "PNG"))
    with pytest.raises(BadImageError, match=r"coloured \(mode RGBA\)"):
        decode_label(file_of(Image.fromarray(noise()).convert("RGBA"), "PNG"))
    with pytest.raises(BadImageError, match="label is a JPEG"):
        decode_label(file_of(label_of(21), "JPEG"))
    with pytest.raises(BadImageError, match="label holds 256, outside 0..255"):
        decode_label(file_of(np.array([[0, 256]], np.uint16), "PNG"))
    with pytest.raises(BadImageError, match="label holds -1, outside 0..255"):
        decode_label(file_of(np.array([[0, -1]], np.int32), "TIFF"))
    with pytest.raises(BadImageError, match="unreadable"):
        decode_label(encode_label(label_of(21), load_classes("voc"))[:-60])


@pytest.mark.parametrize(("dtype", "file_format"), [(np.uint8, "PNG"), (np.float32, "TIFF")])
def test_weights_keep_their_values_and_their_type(dtype: type, file_format: str) -> None:
    weights = (np.arange(12).reshape(3, 4) / 3).astype(dtype)
    read = decode_weights(file_of(Image.fromarray(weights), file_format))
    assert read.dtype == dtype and np.array_equal(read, weights)


def test_coloured_and_lossy_weights_are_refused() -> None:
    with pytest.raises(BadImageError, match="mode RGB; grey or floats are needed"):
        decode_weights(file_of(noise(), "PNG"))
    with pytest.raises(BadImageError, match="weights are a JPEG"):
        decode_weights(file_of(Image.fromarray(np.zeros((8, 8), np.uint8)), "JPEG"))


@pytest.mark.parametrize("num_classes", [1, 2, 21, 254])
def test_a_stored_label_is_a_palette_picture_of_exactly_its_ids(num_classes: int) -> None:
    classes = Classes(tuple(str(i) for i in range(num_classes)))
    label = label_of(num_classes)
    data = encode_label(label, classes)
    assert np.array_equal(decode_label(data), label)
    cell = {"bytes": data, "path": None}
    for picture in (Image.open(io.BytesIO(data)), datasets.Image().decode_example(cell)):
        assert picture.format == "PNG" and picture.mode == "P"
        assert np.array_equal(np.asarray(picture), label)
        assert np.array_equal(np.asarray(picture.convert("RGB")), classes.colours()[label])


def test_a_stored_label_need_not_be_contiguous() -> None:
    label = label_of(21)
    for view in (label.T, label[::2, ::3], label[::-1]):
        assert np.array_equal(decode_label(encode_label(view, load_classes("voc"))), view)


# Writing


@pytest.mark.parametrize("image_format", ["webp", "png"])
def test_a_lossless_format_keeps_every_pixel(image_format: str) -> None:
    data = encode_image(noise(), image_format)
    assert Image.open(io.BytesIO(data)).format == image_format.upper()
    image, as_is = decode_image(data)
    assert np.array_equal(image, noise()) and as_is == data
    assert encode_image(noise(), image_format) == data


def test_jpeg_keeps_a_photograph_within_a_few_grey_levels() -> None:
    image, _ = decode_image(encode_image(photograph(), "jpeg"))
    assert distance(image, photograph()) <= 12
    assert np.abs(image.astype(int) - photograph()).mean() < 2


@pytest.mark.parametrize("image_format", IMAGE_FORMATS)
def test_pure_red_stays_pure_red(image_format: str) -> None:
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 0] = 255
    image, _ = decode_image(encode_image(red, image_format))
    image = tensor_to_image(image_to_tensor(resize_image(image, 16, 24)))
    assert distance(image, red[:16, :24]) <= (2 if image_format == "jpeg" else 0)


@pytest.mark.parametrize(
    ("image_format", "side", "stored"),
    [
        ("webp", 16383, "WEBP"),
        ("webp", 16384, "PNG"),
        ("png", 16384, "PNG"),
        ("jpeg", 65500, "JPEG"),
        ("jpeg", 65501, "PNG"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_side_that_a_format_cannot_hold_makes_the_file_a_png(
    image_format: str, side: int, stored: str, turned: bool
) -> None:
    image = np.full((2, side, 3), 90, np.uint8)
    image[:, ::7] = 20
    image = image.transpose(1, 0, 2) if turned else image
    data = encode_image(image, image_format)
    assert Image.open(io.BytesIO(data)).format == stored
    if stored != "JPEG":
        assert np.array_equal(decode_image(data)[0], image)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="`image_format` must be one of .*Got 'gif'"):
        encode_image(noise(), "gif")


# Sizes and ranges


@pytest.mark.parametrize("size", [(20, 32), (64, 64), (7, 5), (1, 1), (41, 63)])
def test_resizing_a_label_brings_in_no_value(size: tuple[int, int]) -> None:
    label = np.where(noise()[..., 0] < 100, 3, np.where(noise()[..., 1] < 80, IGNORE_INDEX, 17))
    resized = resize_label(label.astype(np.uint8), *size)
    assert resized.shape == size and resized.dtype == np.uint8
    assert set(np.unique(resized)) <= {3, 17, IGNORE_INDEX}


def test_a_label_doubled_and_halved_is_the_label() -> None:
    label = label_of(21)
    doubled = resize_label(label, 2 * HEIGHT, 2 * WIDTH)
    assert np.array_equal(doubled, label.repeat(2, axis=0).repeat(2, axis=1))
    assert np.array_equal(resize_label(doubled, HEIGHT, WIDTH), label)


@pytest.mark.parametrize("size", [(20, 32), (64, 48), (7, 5)])
def test_resizing_an_image_gives_height_then_width(size: tuple[int, int]) -> None:
    resized = resize_image(photograph(), *size)
    assert resized.shape == (*size, 3) and resized.dtype == np.uint8
    assert resized[0, 0].sum() < resized[-1, -1].sum()


def test_every_grey_level_survives_the_tensor() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    image[..., 1] = image[::-1, :, 1]
    tensor = image_to_tensor(image)
    assert tensor.shape == (3, 16, 16) and tensor.dtype == torch.float32
    assert tensor.min() == -1 and tensor.max() == 1
    assert np.array_equal(tensor_to_image(tensor), image)


def test_a_tensor_out_of_range_is_clamped_and_half_precision_is_read() -> None:
    tensor = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).reshape(1, 1, 5).repeat(3, 1, 1)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        image = tensor_to_image(tensor.to(dtype))
        assert image[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_arguments_are_left_as_they_were() -> None:
    image, label = noise(), label_of(21)
    tensor = torch.full((3, 4, 4), 2.0)
    resize_image(image, 5, 5)
    resize_label(label, 5, 5)
    image_to_tensor(image).fill_(0)
    tensor_to_image(tensor)[:] = 0
    for image_format in IMAGE_FORMATS:
        encode_image(image, image_format)
    encode_label(label, load_classes("voc"))
    assert np.array_equal(image, noise()) and np.array_equal(label, label_of(21))
    assert (tensor == 2).all()
