"""A photograph and its label are turned together, or the sample is rejected."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig, HubConfig, PascalScribbleConfig
from scribblegen.builders.sources import open_source
from scribblegen.images import BadImageError
from scribblegen.label_pictures import decode_label, decode_weights
from scribblegen.records import Rejection, Sample

ORIENTATION = 0x0112
# What a camera, held so, did to the upright picture.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[:, ::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[::-1].swapaxes(0, 1),
}
LABEL = np.random.default_rng(0).integers(0, 3, (24, 24)).astype(np.uint8)
OBLONG = LABEL[:16]
LIGHT = np.stack([80 * LABEL] * 3, axis=-1)  # the photograph shows its label


def file_of(picture, file_format="PNG", orientation=None):
    """A file of an upright picture, stored as EXIF says; without EXIF where it is None."""
    stored = np.ascontiguousarray(STORED[orientation or 1](picture))
    options = {}
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, file_format, **options)
    return buffer.getvalue()


def palette_file(orientation):
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation](OBLONG)))
    picture.putpalette(bytes(range(9)))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", STORED)
def test_a_label_is_turned_upright_whatever_its_file(orientation):
    files = [
        file_of(OBLONG, "PNG", orientation),
        file_of(OBLONG, "TIFF", orientation),
        file_of(OBLONG.astype(np.uint16), "PNG", orientation),
        file_of(OBLONG.astype(np.int32), "TIFF", orientation),
        palette_file(orientation),
    ]
    for data in files:
        assert np.array_equal(decode_label(data), OBLONG)
        assert np.array_equal(decode_label(data, file_of(LIGHT[:16], "JPEG", orientation)), OBLONG)
    floats = OBLONG.astype(np.float32) / 3
    assert np.array_equal(decode_weights(file_of(floats, "TIFF", orientation)), floats)
    assert np.array_equal(decode_weights(file_of(OBLONG, "PNG", orientation)), OBLONG)


@pytest.mark.parametrize("label_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("photograph_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_label_turned_otherwise_than_its_photograph_is_refused(label_format, photograph_format):
    label = file_of(LABEL, label_format, 3)
    for other in (None, 1, 6):
        photograph = file_of(LIGHT, photograph_format, other)
        reason = f"turned otherwise than its photograph: EXIF orientation 3 and {other or 1}"
        with pytest.raises(BadImageError, match=reason):
            decode_label(label, photograph)
    assert np.array_equal(decode_label(label, file_of(LIGHT, photograph_format, 3)), LABEL)


def test_a_label_that_says_nothing_lies_upright():
    for label in (file_of(LABEL), file_of(LABEL, "PNG", 1)):
        assert np.array_equal(decode_label(label, file_of(LIGHT, "JPEG", 3)), LABEL)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_means_nothing_turns_nothing(orientation):
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    Image.fromarray(OBLONG).save(buffer, "PNG", exif=exif)
    assert np.array_equal(decode_label(buffer.getvalue(), file_of(LIGHT[:16])), OBLONG)


def _open(kind, folder, photograph, label):
    """A source of one photograph with a scribble and a mask that are the same file."""
    if kind is HubConfig:
        files = {"image": photograph, "label": label, "mask": label}
        row = {name: {"bytes": data, "path": None} for name, data in files.items()}
        features = datasets.Features({name: datasets.Image() for name in row})
        datasets.Dataset.from_list([row], features).to_parquet(folder / "train.parquet")
        return open_source(
            kind(
                dataset_name=str(folder), classes="a,b,c", label_column="label", mask_column="mask"
            )
        )
    for name, data in (("images/a.jpg", photograph), ("scribbles/a.png", label)):
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(data)
    (folder / "masks").mkdir()
    (folder / "masks" / "a.png").write_bytes(label)
    return open_source(kind(data_dir=str(folder), classes="a,b,c"))


@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
@pytest.mark.parametrize("orientation", [3, 6])
def test_every_source_turns_both_even_where_no_size_tells(tmp_path, kind, orientation):
    photograph = file_of(LIGHT, "PNG", orientation)
    found = _open(kind, tmp_path, photograph, file_of(LABEL, "PNG", orientation)).read(0)
    assert isinstance(found, Sample)
    assert np.array_equal(found.image, LIGHT)
    assert np.array_equal(found.scribble, LABEL) and np.array_equal(found.mask, LABEL)


@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
def test_every_source_rejects_what_is_turned_otherwise(tmp_path, kind):
    found = _open(kind, tmp_path, file_of(LIGHT), file_of(LABEL, "PNG", 3)).read(0)
    assert isinstance(found, Rejection) and "turned otherwise" in found.reason


@pytest.mark.parametrize("kind", [FolderConfig, PascalScribbleConfig, HubConfig])
def test_every_source_rejects_a_damaged_label(tmp_path, kind):
    label = bytearray(file_of(LABEL))
    label[label.index(b"IDAT") + 9] ^= 4
    found = _open(kind, tmp_path, file_of(LIGHT), bytes(label)).read(0)
    assert isinstance(found, Rejection) and "does not match its checksum" in found.reason
