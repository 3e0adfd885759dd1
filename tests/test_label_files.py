"""Label files: whole to the last checksum, and of a form that alters no class id, or refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from scribblegen.classes import load_classes
from scribblegen.images import BadImageError, encode_label
from scribblegen.label_pictures import decode_label, decode_weights

HEIGHT, WIDTH = 24, 30
FLIPS = 300
LABEL = np.random.default_rng(5).integers(0, 21, (HEIGHT, WIDTH)).astype(np.uint8)


def file_of(values: np.ndarray, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, file_format, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def without_end(data: bytes) -> bytes:
    assert data.endswith(chunk(b"IEND", b""))
    return data[:-12]


# Damage


@pytest.mark.parametrize("kind", ["palette", "grey", "16-bit", "stored"])
def test_a_label_with_a_flipped_bit_never_passes_with_other_ids(kind):
    data = {
        "palette": encode_label(LABEL, load_classes("voc")),
        "grey": file_of(LABEL, "PNG"),
        "16-bit": file_of(LABEL.astype(np.uint16), "PNG"),
        "stored": file_of(LABEL, "PNG", compress_level=0),  # ids lie open: nothing else tells
    }[kind]
    assert np.array_equal(decode_label(data), LABEL)
    rng, passed = np.random.default_rng(0), 0
    for bit in rng.choice(8 * len(data), FLIPS, replace=False):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        try:
            read = decode_label(bytes(damaged))
        except BadImageError:
            continue
        passed += 1
        assert np.array_equal(read, LABEL), f"bit {bit}"
    assert passed == 0, "not even one that tells the same ids"


def test_a_checksum_that_does_not_match_names_its_chunk():
    data = bytearray(file_of(LABEL, "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(BadImageError, match="unreadable: chunk 'IDAT' does not match its checksum"):
        decode_label(bytes(data))
    palette = bytearray(encode_label(LABEL, load_classes("voc")))
    palette[palette.index(b"PLTE") + 5] ^= 1
    with pytest.raises(BadImageError, match="chunk 'PLTE' does not match its checksum"):
        decode_label(bytes(palette))


def test_what_follows_the_end_of_a_label_or_lacks_it_is_refused():
    data = file_of(LABEL, "PNG")
    with pytest.raises(BadImageError, match=r"unreadable: data follow its end \(bytes: 3\)"):
        decode_label(data + b"\0\0\0")
    with pytest.raises(BadImageError, match=rf"its end \(bytes: {len(data)}\)"):
        decode_label(data + data)
    with pytest.raises(BadImageError, match=r"its end \(chunk 'IEND'\) is missing"):
        decode_label(without_end(data))
    with pytest.raises(BadImageError, match="chunk 'IDAT' is cut off"):
        decode_label(without_end(data)[:-1])
    with pytest.raises(BadImageError, match=r"its end \(chunk 'IEND'\) is missing"):
        decode_label(data[:-4])


def test_other_chunks_do_not_matter_where_they_are_whole():
    data = without_end(file_of(LABEL, "PNG"))
    for extra in (chunk(b"tEXt", b"Software\0a tool"), chunk(b"prVt", b"")):
        assert np.array_equal(decode_label(data + extra + chunk(b"IEND", b"")), LABEL)


def test_weights_are_held_to_the_same():
    data = file_of(LABEL, "PNG")
    with pytest.raises(BadImageError, match="unreadable: data follow its end"):
        decode_weights(data + b"\0")
    with pytest.raises(BadImageError, match="weights are a TIFF compressed by jpeg, which"):
        decode_weights(file_of(LABEL, "TIFF", compression="jpeg"))


# Lossy files


@pytest.mark.parametrize(
    ("file_format", "options", "reason"),
    [
        ("JPEG", {"quality": 100}, "label is a JPEG, which changes values; PNG is needed"),
        ("MPO", {"quality": 100}, "label is a JPEG, which changes values"),
        ("JPEG2000", {"irreversible": True}, "label is a JPEG 2000, which changes values"),
        ("JPEG2000", {}, "label is a JPEG 2000, which changes values"),
        ("AVIF", {}, "label is an AVIF, which changes values"),
        ("WEBP", {"quality": 100}, "label is a lossy WebP, which changes values"),
        ("WEBP", {"quality": 100, "icc_profile": b"x" * 9}, "label is a lossy WebP"),
        ("TIFF", {"compression": "jpeg"}, "label is a TIFF compressed by jpeg, which changes"),
        ("ICO", {"sizes": [(16, 16)]}, "not a picture file of a kind that is read"),
    ],
)
def test_a_lossy_label_is_refused_with_the_reason(file_format, options, reason):
    library = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}.get(file_format)
    if library and not features.check(library):
        pytest.skip(f"PIL without {library}")
    with pytest.raises(BadImageError, match=reason):
        decode_label(file_of(LABEL, file_format, **options))


def test_a_lossless_webp_is_refused_for_its_colours_alone():
    coloured = np.stack([LABEL, LABEL, 20 - LABEL], axis=-1)
    with pytest.raises(BadImageError, match=r"coloured \(mode RGB\)"):
        decode_label(file_of(coloured, "WEBP", lossless=True))


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_grey_in_three_equal_channels_is_read_as_grey(file_format):
    options = {"lossless": True} if file_format == "WEBP" else {}
    grey = np.stack([LABEL] * 3, axis=-1)
    assert np.array_equal(decode_label(file_of(grey, file_format, **options)), LABEL)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {"optimize": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("BMP", {}),
        ("GIF", {}),
        ("PPM", {}),
        ("TGA", {}),
        ("PCX", {}),
    ],
)
def test_a_lossless_label_keeps_its_ids(file_format, options):
    assert np.array_equal(decode_label(file_of(LABEL, file_format, **options)), LABEL)


# Files whose values PIL changes as it reads


def tiff(bits: int, photometric: int) -> bytes:
    """A TIFF of one row, the values 1 and 2, of a few bits each; PIL writes none."""
    row = int(f"{1:0{bits}b}{2:0{bits}b}".ljust(16, "0"), 2).to_bytes(2, "big")
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 122, 277: 1, 278: 1, 279: 2}
    entries = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items()]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4) + row


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_tiff_label_of_few_bits_keeps_its_ids(bits):
    assert decode_label(tiff(bits, photometric=1)).tolist() == [[1, 2]]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_tiff_label_in_which_0_is_white_is_refused(bits):
    with pytest.raises(BadImageError, match="0 is white, so that values are read inverted"):
        decode_label(tiff(bits, photometric=0))


def test_a_greymap_whose_values_are_scaled_is_refused():
    body = bytes([0, 1, 2])
    assert decode_label(b"P5\n# made by hand\n3 1\n255\n" + body).tolist() == [[0, 1, 2]]
    assert decode_label(b"P5 3 1 65535\n\0\0\0\1\0\2").tolist() == [[0, 1, 2]]
    with pytest.raises(BadImageError, match="PGM whose largest value is not 255"):
        decode_label(b"P5 3 1 20\n" + body)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "GIF"])
def test_a_label_file_of_several_pictures_is_refused(file_format):
    other = Image.fromarray(LABEL[::-1].copy())
    data = file_of(LABEL, file_format, save_all=True, append_images=[other])
    with pytest.raises(BadImageError, match="label is a file of 2 pictures; one is needed"):
        decode_label(data)
