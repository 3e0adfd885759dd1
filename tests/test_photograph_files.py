"""What a photograph's file carries unseen is not published; what is plain is, byte for byte."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scribblegen.classes import Classes
from scribblegen.images import decode_image
from scribblegen.photograph_files import is_bare
from scribblegen.records import Sample, real_row

HEIGHT, WIDTH = 21, 35
SECRET = b"52.5200 N, 13.4050 E, Ada Lovelace's telephone"
CLASSES = Classes(("background", "wall"))


def photograph() -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [x * 255 // WIDTH, y * 255 // HEIGHT, (x * y) % 256]
    return np.stack(planes, axis=-1).astype(np.uint8)


def file_of(file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photograph()).save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def riff(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


JPEG, PROGRESSIVE = file_of("JPEG", quality=95), file_of("JPEG", progressive=True)
PNG, WEBP, LOSSY_WEBP = file_of("PNG"), file_of("WEBP", lossless=True), file_of("WEBP", quality=90)
IDAT = PNG.index(b"IDAT") - 4
RAW = zlib.decompress(PNG[IDAT + 8 : -16])
assert len(RAW) == HEIGHT * (1 + 3 * WIDTH)


def in_jpeg(extra: bytes, *, before: int = 2, data: bytes = JPEG) -> bytes:
    return data[:before] + extra + data[before:]


def in_png(extra: bytes, *, before: int = IDAT) -> bytes:
    return PNG[:before] + extra + PNG[before:]


def png_of(*pieces: bytes) -> bytes:
    return PNG[:IDAT] + b"".join(chunk(b"IDAT", piece) for piece in pieces) + PNG[-12:]


def webp_of(*chunks: bytes) -> bytes:
    return riff(b"RIFF", b"WEBP" + b"".join(chunks))


def extended(*chunks: bytes, flags: int = 0) -> bytes:
    size = struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]
    return webp_of(riff(b"VP8X", bytes([flags, 0, 0, 0]) + size), WEBP[12:], *chunks)


assert JPEG[6:11] == b"JFIF\0"
PREVIEW = segment(0xE0, JPEG[6:18] + b"\4\4" + SECRET.ljust(48))
CARRIERS = {
    "jpeg, after the end": JPEG + SECRET,
    "jpeg, a film after the end": JPEG + struct.pack(">I", 24) + b"ftypmp42" + SECRET,
    "jpeg, a second picture": JPEG + in_jpeg(segment(0xE1, b"Exif\0\0" + SECRET)),
    "jpeg, comment": in_jpeg(segment(0xFE, SECRET)),
    "jpeg, comment between scans": in_jpeg(
        segment(0xFE, SECRET), before=PROGRESSIVE.rindex(b"\xff\xda"), data=PROGRESSIVE
    ),
    "jpeg, comment before the end": in_jpeg(segment(0xFE, SECRET), before=len(JPEG) - 2),
    "jpeg, profile": in_jpeg(segment(0xE2, b"ICC_PROFILE\0\1\1" + SECRET)),
    "jpeg, preview": JPEG[:2] + PREVIEW + JPEG[20:],
    "jpeg, second JFIF": in_jpeg(segment(0xE0, b"JFXX\0" + SECRET), before=20),
    "jpeg, longer Adobe": in_jpeg(segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET)),
    "jpeg, after the last pixel": JPEG[:-2] + SECRET + JPEG[-2:],
    **{f"jpeg, APP{n}": in_jpeg(segment(0xE0 + n, SECRET), before=20) for n in range(16)},
    "png, after the end": PNG + SECRET,
    "png, chunk after the end": PNG + chunk(b"tEXt", b"Author\0" + SECRET),
    "png, tEXt": in_png(chunk(b"tEXt", b"Author\0" + SECRET)),
    "png, zTXt": in_png(chunk(b"zTXt", b"Author\0\0" + zlib.compress(SECRET))),
    "png, iTXt": in_png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SECRET)),
    "png, text after the pixels": in_png(chunk(b"tEXt", b"A\0" + SECRET), before=len(PNG) - 12),
    "png, tIME": in_png(chunk(b"tIME", SECRET[:7])),
    "png, sPLT": in_png(chunk(b"sPLT", SECRET[:20] + b"\0\x08" + SECRET[:30])),
    "png, name of a profile": in_png(chunk(b"iCCP", SECRET[:40] + b"\0\0" + zlib.compress(b"x"))),
    "png, eXIf": in_png(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0" + SECRET)),
    "png, hIST": in_png(chunk(b"hIST", SECRET)),
    "png, private": in_png(chunk(b"prVt", SECRET)),
    "png, longer pHYs": in_png(chunk(b"pHYs", struct.pack(">IIB", 1, 1, 0) + SECRET)),
    "png, after zlib's end": png_of(zlib.compress(RAW) + SECRET),
    "png, a piece after zlib's end": png_of(zlib.compress(RAW), SECRET),
    "png, rows below the last": png_of(zlib.compress(RAW + SECRET, 0)),
    "png, in IEND": PNG[:-12] + chunk(b"IEND", SECRET),
    "webp, after the end": WEBP + SECRET,
    "webp, unknown chunk": extended(riff(b"NOTE", SECRET)),
    "webp, unknown chunk without a header": webp_of(WEBP[12:], riff(b"NOTE", SECRET)),
    "webp, EXIF": extended(riff(b"EXIF", b"MM\0*\0\0\0\x08\0\0" + SECRET), flags=8),
    "webp, EXIF that is not announced": extended(riff(b"EXIF", SECRET)),
    "webp, XMP": extended(riff(b"XMP ", SECRET), flags=4),
    "webp, after the last pixel": webp_of(riff(b"VP8L", WEBP[20:] + SECRET)),
    "lossy webp, after the end": LOSSY_WEBP + SECRET,
    "lossy webp, unknown chunk": webp_of(LOSSY_WEBP[12:], riff(b"NOTE", SECRET)),
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("image_format", ["webp", "png"])
def test_a_secret_is_not_published_and_every_pixel_is(carrier: str, image_format: str) -> None:
    data = CARRIERS[carrier]
    image, image_file = decode_image(data)
    assert image_file is None
    assert np.array_equal(image, pixels(data))
    scribble = np.zeros((HEIGHT, WIDTH), np.uint8)
    row = real_row(Sample("a", image, scribble), CLASSES, image_format=image_format)
    stored = row["image"]["bytes"]
    assert np.array_equal(pixels(stored), image)
    assert SECRET[:7] in data or zlib.compress(SECRET) in data
    assert SECRET[:7] not in stored and zlib.compress(SECRET) not in stored
    assert decode_image(stored)[1] == stored, "what is encoded anew carries nothing"


def test_the_pixels_are_those_of_the_plain_file() -> None:
    plain = {"jpeg": JPEG, "png": PNG, "webp": WEBP, "lossy": LOSSY_WEBP}
    for carrier, data in CARRIERS.items():
        if carrier not in ("jpeg, comment between scans", "jpeg, longer Adobe"):  # of other pixels
            expected = pixels(plain[carrier.replace(",", "").split()[0]])
            assert np.array_equal(decode_image(data)[0], expected), carrier


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        PROGRESSIVE,
        file_of("JPEG", subsampling=2, optimize=True),
        file_of("JPEG", dpi=(300, 300), restart_marker_blocks=2),
        file_of("JPEG", keep_rgb=True),
        JPEG[:20] + b"\xff\xff" + JPEG[20:],
        PNG,
        file_of("PNG", dpi=(72, 72), compress_level=0),
        png_of(zlib.compress(RAW)[:50], b"", zlib.compress(RAW)[50:]),
        in_png(chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sRGB", b"\0")),
        WEBP,
        LOSSY_WEBP,
        extended(),
    ],
)
def test_a_plain_file_passes_byte_for_byte(data: bytes) -> None:
    image, image_file = decode_image(data)
    assert image_file == data and np.array_equal(image, pixels(data))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 9), (8, 8), (33, 21)])
def test_an_interlaced_png_passes_where_its_rows_are_all_that_it_holds(
    size: tuple[int, int],
) -> None:
    height, width = size
    starts = ((0, 0), (0, 4), (4, 0), (0, 2), (2, 0), (0, 1), (1, 0))
    steps = ((8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    rows = b""
    for (top, left), (down, right) in zip(starts, steps, strict=True):
        part = image[top::down, left::right]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)

    def png(raw: bytes) -> bytes:
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
        return PNG[:8] + body

    read, image_file = decode_image(png(rows))
    assert np.array_equal(read, image) and image_file == png(rows)
    assert decode_image(png(rows + b"\0"))[1] is None


@pytest.mark.parametrize("whole", [JPEG, PNG, WEBP], ids=["JPEG", "PNG", "WEBP"])
def test_any_damage_is_answered(whole: bytes) -> None:
    """A file that is cut or changed is not bare, or is; nothing is raised."""
    file_format = Image.open(io.BytesIO(whole)).format
    assert is_bare(whole, file_format) and not is_bare(whole, "TIFF") and not is_bare(whole, None)
    assert not any(is_bare(whole[:size], file_format) for size in range(len(whole)))
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        assert is_bare(bytes(damaged), file_format) in (True, False)


@pytest.mark.parametrize("colour", [0, 255, 128, (255, 0, 0), (97, 98, 97)])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
def test_a_flat_picture_s_pixels_are_no_text(colour: Any, options: dict[str, Any]) -> None:
    flat = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(flat, "JPEG", **options)
    assert decode_image(flat.getvalue())[1] == flat.getvalue()
