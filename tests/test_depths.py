"""Photographs of other depths: scaled by what their file can hold, or refused with the reason."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig
from scribblegen.builders.sources import open_source
from scribblegen.images import BadImageError, decode_image
from scribblegen.label_pictures import decode_weights
from scribblegen.records import Rejection, Sample


def file_of(values: np.ndarray, file_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, file_format)
    return buffer.getvalue()


def twelve_bit_tiff(values: list[int]) -> bytes:
    """A TIFF of one row of an even number of values; PIL writes none."""
    bits = "".join(f"{value:012b}" for value in values)
    row = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: len(values), 257: 1, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 1}
    tags[279] = len(row)
    entries = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items()]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4) + row


def grey(data: bytes) -> list[int]:
    """The first row of a photograph that is grey and must not be stored as it is."""
    image, as_is = decode_image(data)
    assert as_is is None and image.dtype == np.uint8
    assert (image == image[..., :1]).all()
    return image[0, :, 0].tolist()


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_are_divided_by_65535_however_dark_the_photograph_is(file_format):
    values = np.array([[0, 100, 255, 300, 2570, 32768, 65535]], np.uint16)
    assert grey(file_of(values, file_format)) == [0, 0, 1, 1, 10, 128, 255]
    assert grey(file_of(values[:, :3], file_format)) == [0, 0, 1]


def test_12_bits_are_divided_by_4095():
    assert grey(twelve_bit_tiff([0, 161, 2048, 4095])) == [0, 10, 128, 255]
    assert grey(twelve_bit_tiff([0, 161])) == [0, 10]


def test_floats_from_0_to_1_are_taken_as_they_are():
    values = np.array([[0, 0.1, 0.25, 0.5, 0.75, 1]], np.float32)
    assert grey(file_of(values, "TIFF")) == [0, 26, 64, 128, 191, 255]
    assert grey(file_of(values / 10, "TIFF")) == [0, 3, 6, 13, 19, 26], "a dark one stays dark"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.5, float("nan")], r"no numbers \(NaN or infinity\)"),
        ([0.5, float("inf")], r"no numbers \(NaN or infinity\)"),
        ([0.0, 255.0], "floats from 0 to 255, whose range is not clear"),
        ([-0.5, 0.5], "floats from -0.5 to 0.5, whose range is not clear"),
    ],
)
def test_floats_without_a_clear_range_are_refused(values, reason):
    with pytest.raises(BadImageError, match=reason):
        decode_image(file_of(np.array([values], np.float32), "TIFF"))


@pytest.mark.parametrize("largest", [200, 65535, 2**31 - 1])
def test_whole_numbers_of_32_bits_are_refused_whatever_they_hold(largest):
    with pytest.raises(BadImageError, match="32 bits or with a sign, whose range is not clear"):
        decode_image(file_of(np.array([[0, largest]], np.int32), "TIFF"))


def test_16_bits_with_a_sign_are_refused():
    buffer = io.BytesIO()
    sample_format = {339: 2}
    Image.fromarray(np.array([[0, 100]], np.uint16)).save(buffer, "TIFF", tiffinfo=sample_format)
    with pytest.raises(BadImageError, match="with a sign, whose range is not clear"):
        decode_image(buffer.getvalue())


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(value):
    with pytest.raises(BadImageError, match="weights hold values that are no numbers"):
        decode_weights(file_of(np.array([[0.5, value]], np.float32), "TIFF"))


def test_in_a_source_one_photograph_without_a_range_is_one_rejection(tmp_path):
    for folder in ("images", "scribbles"):
        (tmp_path / folder).mkdir()
    ramp = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    label = np.zeros((32, 32), np.uint8)
    label[4:8] = 1
    for name, photograph in (("bad", ramp * 1000), ("good", ramp)):
        (tmp_path / "images" / f"{name}.tiff").write_bytes(file_of(photograph, "TIFF"))
        (tmp_path / "scribbles" / f"{name}.png").write_bytes(file_of(label, "PNG"))
    source = open_source(
        FolderConfig(data_dir=str(tmp_path), classes="a,b", label_convention="ids")
    )
    found = dict(zip(source.source_ids, (source.read(0), source.read(1)), strict=True))
    assert isinstance(found["bad"], Rejection) and "range is not clear" in found["bad"].reason
    assert isinstance(found["good"], Sample)
    assert np.array_equal(found["good"].image[..., 0], np.rint(ramp * 255))
