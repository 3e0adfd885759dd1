"""Photographs and labels as picture files, and cells of tables that hold them."""

import contextlib
import io
from pathlib import Path

import datasets
import numpy as np
from PIL import Image, features

from scribblegen.builders.config import FolderConfig, HubConfig
from scribblegen.builders.label_circumstances import look_at
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.rows import RowSource
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError, decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.records import Rejection, Sample
from scribblegen.scribbles.label_conventions import CONVENTIONS
from scribblegen.sources import Source
from tests.fuzz.kinds import File, Kind, write_all

NAMES = ("ground", "wall", "window")
HEIGHT, WIDTH = 24, 32


def photograph() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def label() -> np.ndarray:
    """(H, W) uint8: strokes of the first two classes, and of 1 alone for pictures of one bit."""
    ids = np.full((HEIGHT, WIDTH), IGNORE_INDEX, np.uint8)
    ids[3:6, 2:20], ids[14:17, 5:30] = 0, 1
    return ids


def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def photographs(folder: Path) -> Kind:
    files = [File(f"images/{name}", data) for name, data in _photograph_files().items()]
    stems = [Path(file.name).stem for file in files]
    mark = encoded(Image.fromarray(label()), "PNG")
    labels = [File(f"scribbles/{stem}.png", mark) for stem in stems]
    write_all(folder, [*files, *labels])
    source = _open(folder, stems)

    def read(file: File) -> Rejection | None:
        found = _read(source, stems.index(Path(file.name).stem))
        try:
            image, image_file = decode_image(file.data)
        except BadImageError as error:
            assert isinstance(found, Rejection)
            return Rejection("", str(error))
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
        assert image_file in (None, file.data)
        return found

    return Kind(folder, files, read, may_raise=False)


def labels(folder: Path) -> Kind:
    files = [File(f"scribbles/{name}", data) for name, data in _label_files().items()]
    stems = [Path(file.name).stem for file in files]
    picture = encoded(photograph(), "PNG")
    write_all(folder, [*files, *(File(f"images/{stem}.png", picture) for stem in stems)])
    source = _open(folder, stems)
    written = {decode_label(file.data).tobytes() for file in files}
    pair = Classes(NAMES[:2])
    readers = [LabelReader.of(FolderConfig(label_convention=c), pair) for c in CONVENTIONS]

    def read(file: File) -> Rejection | None:
        found = _read(source, stems.index(Path(file.name).stem))
        look_at([file.data], pair)
        for reader in readers:
            with contextlib.suppress(BadImageError):
                read_so = reader.read(file.data)
                assert read_so is not None and read_so.dtype == np.uint8 and read_so.ndim == 2
        try:
            ids = decode_label(file.data)
        except BadImageError as error:
            return Rejection("", str(error))
        assert ids.ndim == 2 and ids.dtype == np.uint8
        if file.name.endswith(".png") and not file.repaired:
            assert ids.tobytes() in written, "other ids than were written"
        return found

    return Kind(folder, files, read, may_raise=False)


def cells(folder: Path) -> Kind:
    """Picture cells of a table: bytes, and text where the path of a file stands."""
    picture, mark = encoded(photograph(), "JPEG"), encoded(Image.fromarray(label()), "PNG")
    own = str(folder / "own.jpg").encode()
    files = [
        *(File("image", picture), File("label", mark), File("image-path", own)),
        *(File("label-path", own), File("caption", b"A house with windows")),
    ]
    write_all(folder, [*files, File("own.jpg", picture)])
    kinds = {"image": datasets.Image(), "label": datasets.Image()}
    table = datasets.Features({**kinds, "caption": datasets.Value("string")})

    def read(file: File) -> Rejection | None:
        row = {
            "image": {"bytes": picture, "path": None},
            "label": {"bytes": mark, "path": None},
            "caption": "A house",
        }
        column, _, is_path = file.name.partition("-")
        text = file.data.decode("utf-8", "replace")
        if column == "caption":
            row[column] = text
        else:
            row[column] = {"bytes": None, "path": text} if is_path else {"bytes": file.data}
        source = RowSource(
            datasets.Dataset.from_list([row], features=table),
            {"image": "image", "label": "label", "mask": None, "caption": "caption"},
            Classes(NAMES),
            ["a"],
            HubConfig(),
            folders=[folder],
        )
        return _read(source, 0)

    return Kind(folder, files, read, may_raise=False)


def _open(folder: Path, stems: list[str]) -> Source[Sample]:
    (folder / "ids.txt").write_text("\n".join(stems))
    config = FolderConfig(
        data_dir=str(folder), ids="ids.txt", classes=",".join(NAMES), label_convention="ids"
    )
    source = open_source(config)
    assert source is not None
    return source


def _read(source: Source[Sample], index: int) -> Rejection | None:
    """Reads as a run does: the fingerprint of all, then one; checks what is read."""
    assert len(source.fingerprint()) == 16
    found = source.read(index)
    if isinstance(found, Rejection):
        return found
    check_sample(found, source.classes)
    return None


def check_sample(sample: Sample, classes: Classes) -> None:
    assert sample.image.shape[2:] == (3,) and sample.image.dtype == np.uint8
    for ids in (sample.scribble, sample.mask):
        if ids is not None:
            assert ids.shape == sample.image.shape[:2] and ids.dtype == np.uint8
            assert set(np.unique(ids)) <= {*range(len(classes)), IGNORE_INDEX}
    if sample.image_file is not None:
        assert np.array_equal(decode_image(sample.image_file)[0], sample.image)


def _photograph_files() -> dict[str, bytes]:
    picture = photograph()
    grey = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "png.png": encoded(picture, "PNG"),
        "rgba.png": encoded(picture.convert("RGBA"), "PNG"),
        "deep.png": encoded(Image.fromarray(grey.astype(np.uint16)), "PNG"),
        "palette.png": encoded(picture.quantize(16), "PNG"),
        "baseline.jpg": encoded(picture, "JPEG"),
        "progressive.jpg": encoded(picture, "JPEG", progressive=True),
        "turned.jpg": encoded(picture, "JPEG", exif=turned),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
        "lossy.webp": encoded(picture, "WEBP"),
        "lossless.webp": encoded(picture, "WEBP", lossless=True),
        "raw.tif": encoded(picture, "TIFF"),
        "lzw.tif": encoded(picture, "TIFF", compression="tiff_lzw"),
        "float.tif": encoded(Image.fromarray((grey / 65535).astype(np.float32)), "TIFF"),
        "bmp.bmp": encoded(picture, "BMP"),
        "gif.gif": encoded(picture, "GIF", save_all=True, append_images=[picture.rotate(90)]),
        "ppm.ppm": encoded(picture, "PPM"),
    }
    if features.check("avif"):
        files["avif.avif"] = encoded(picture, "AVIF")
    if features.check("jpg_2000"):
        files["jpeg2000.jp2"] = encoded(picture, "JPEG2000")
    return files


def _label_files() -> dict[str, bytes]:
    ids = label()
    grey, palette = Image.fromarray(ids), Image.fromarray(ids)
    palette = palette.convert("P")
    palette.putpalette([*range(256)] * 3)
    one_bit = Image.fromarray(ids == 1)
    return {
        "palette.png": encoded(palette, "PNG"),
        "grey.png": encoded(grey, "PNG"),
        "bit.png": encoded(one_bit, "PNG"),
        "deep.png": encoded(Image.fromarray(ids.astype(np.uint16)), "PNG"),
        "small.png": encoded(Image.fromarray(np.minimum(ids, 3)).convert("P"), "PNG", bits=2),
        "raw.tif": encoded(grey, "TIFF"),
        "packed.tif": encoded(grey, "TIFF", compression="tiff_adobe_deflate"),
        "bit-tiff.tif": encoded(one_bit, "TIFF"),
        "grey-bmp.bmp": encoded(grey, "BMP"),
    }
