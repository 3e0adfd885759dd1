"""PASCAL VOC 2012 with the scribbles of ScribbleSup, as it is unpacked.

    data_dir/                        (or the folder above, with VOCdevkit/VOC2012 or VOC2012)
      JPEGImages/            2007_000032.jpg ...
      pascal_2012_scribble/  2007_000032.png   class ids, 255 where nobody drew
                             2007_000032.xml   or ScribbleSup's strokes
                             2007_000032.txt   or text: class_id,x1,y1,x2,y2,... for each stroke
      SegmentationClassAug/  2007_000032.png   dense masks (optional)
      ImageSets/Segmentation/trainaug.txt      (optional)

Strokes are drawn 3 pixels wide; shrinking and dropping is exact on them. Of several files of the
same id the strokes are taken.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import PascalScribbleConfig
from scribblegen.builders.files import check_data_dir, content_key, find_folder, folder_classes
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.pascal_lists import listed_ids
from scribblegen.builders.photographs import read_image, reduced
from scribblegen.builders.unused_files import tell_unused
from scribblegen.file_names import safe_text
from scribblegen.images import BadImageError
from scribblegen.records import Sample
from scribblegen.regular_files import read_file
from scribblegen.scribbles.files import read_polyline_text, read_scribblesup_xml
from scribblegen.scribbles.strokes import Stroke
from scribblegen.sources import PhotographSource

ROOT_FOLDERS = ("", "VOCdevkit/VOC2012", "VOC2012")
IMAGE_FOLDERS = ("JPEGImages", "images")
MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass", "masks")
SCRIBBLE_FOLDERS = (
    "pascal_2012_scribble",
    "scribbles",
    "scribble",
    "SegmentationScribble*",
    "ScribbleSup",
    "scribble_annotation/pascal_2012",
    "scribble_xml",
)
SCRIBBLE_SUFFIXES = (".png", ".txt", ".xml")  # the last that an id has is taken
PHOTOGRAPH_SUFFIXES = (".jfif", ".jpe", ".jpeg", ".jpg")
MASK_SUFFIXES = (".png",)


class PascalScribbleSource(PhotographSource):
    """Photographs of VOC 2012, each with the scribble file of the same name.

    A photograph is rejected where its scribble is missing; it needs no mask, unless scribbles are
    simulated.

    Args:
        config: `data_dir`, `classes` (VOC's where unset), `scribble_dir`, and how scribbles are
            drawn.
        ids: see `listed_ids`.

    Raises:
        FileNotFoundError, ValueError: the folder cannot be used as it is configured.
    """

    def __init__(self, config: PascalScribbleConfig, ids: str | None) -> None:
        self.data_dir = check_data_dir(config.data_dir, "pascal_scribble")
        folders = [self.data_dir / folder for folder in ROOT_FOLDERS]
        root = next((path for path in folders if _find([path], IMAGE_FOLDERS)), self.data_dir)
        roots = list(dict.fromkeys([self.data_dir, root]))
        scribble_dir = _find(roots, SCRIBBLE_FOLDERS, config.scribble_dir)
        mask_dir = _find(roots, MASK_FOLDERS)
        classes = folder_classes(self.data_dir, config.classes or "voc")
        self.annotator = Annotator.of(config, classes, has_scribbles=scribble_dir is not None)
        self.draws = self.annotator.origin == "files"
        if not self.draws and mask_dir is None:
            raise FileNotFoundError(
                f"{root} has no scribbles to use ({', '.join(SCRIBBLE_FOLDERS)}) and no masks to "
                f"simulate them from ({', '.join(MASK_FOLDERS)}). Name a folder of scribbles with "
                "`scribble_dir`."
            )
        self.scribbles = _files(scribble_dir, SCRIBBLE_SUFFIXES) if self.draws else {}
        self.masks = _files(mask_dir, MASK_SUFFIXES)
        image_dir = _find([root], IMAGE_FOLDERS)
        # Some publish the photographs beside the strokes.
        self.photographs = {
            **_files(scribble_dir, PHOTOGRAPH_SUFFIXES),
            **_files(image_dir, PHOTOGRAPH_SUFFIXES),
        }
        _tell_unknown(image_dir, PHOTOGRAPH_SUFFIXES)
        _tell_unknown(mask_dir, MASK_SUFFIXES)
        _tell_unknown(scribble_dir, (*SCRIBBLE_SUFFIXES, *PHOTOGRAPH_SUFFIXES))
        if not self.photographs:
            raise FileNotFoundError(
                "`data_dir` must be the folder VOC2012, which holds JPEGImages. "
                f"Got {self.data_dir}, without a photograph."
            )
        labelled = self.scribbles if self.draws else self.masks
        listed = listed_ids(ids, roots, [i for i in sorted(self.photographs) if i in labelled])
        super().__init__(classes, listed[: config.max_samples])
        self.max_side, self.max_pixels = config.max_side, config.max_pixels
        self.reader = LabelReader.of(config, classes)

    def load(self, index: int) -> Sample:
        source_id = self.source_ids[index]
        if source_id not in self.photographs:
            raise FileNotFoundError(f"photograph {source_id}.jpg")
        if self.draws and source_id not in self.scribbles:
            raise FileNotFoundError(f"scribble {source_id}{{{','.join(SCRIBBLE_SUFFIXES)}}}")
        photograph = read_file(self.photographs[source_id])
        read = read_image(photograph, self.max_side, self.max_pixels)
        mask = self._label(self.masks.get(source_id), photograph)
        path = self.scribbles.get(source_id)
        if path is None or path.suffix.lower() == ".png":
            drawn = self._label(path, photograph)
            found = reduced(replace(read, drawn=drawn, mask=mask), self.max_side)
            scribble = self.annotator.scribble(source_id, found.drawn, found.mask)
        else:
            height, width = read.size or read.image.shape[:2]
            strokes = self._strokes(path, height, width)
            strokes_drawn = self.annotator.rasterise(strokes, height, width, source_id)
            found = reduced(replace(read, drawn=strokes_drawn, mask=mask), self.max_side)
            assert found.drawn is not None
            scribble = found.drawn
        return Sample(source_id, found.image, scribble, found.mask, image_file=found.image_file)

    def label_files(self, index: int) -> dict[str, bytes]:
        source_id = self.source_ids[index]
        files = {"scribble": self.scribbles.get(source_id), "mask": self.masks.get(source_id)}
        return {
            kind: read_file(path)
            for kind, path in files.items()
            if path is not None and path.suffix.lower() == ".png"
        }

    def content_keys(self) -> Sequence[str]:
        def key(source_id: str) -> str:
            labels = (self.scribbles.get(source_id), self.masks.get(source_id))
            digests = [content_key(label, whole=True) for label in labels]
            return " ".join([content_key(self.photographs.get(source_id), whole=False), *digests])

        return [key(source_id) for source_id in self.source_ids]

    def _label(self, path: Path | None, photograph: bytes) -> np.ndarray | None:
        """(H, W) uint8 class ids; None where there is no file."""
        return self.reader.read(None if path is None else read_file(path), photograph)

    def _strokes(self, path: Path, height: int, width: int) -> list[Stroke]:
        data = read_file(path)
        try:
            # The reason of a rejection is published: the file's name tells nothing of the disk.
            if path.suffix.lower() == ".xml":
                return read_scribblesup_xml(data, path.name, self.classes, (height, width))[0]
            return read_polyline_text(data, path.name, len(self.classes), (height, width))
        except ValueError as error:
            raise BadImageError(str(error)) from error


class PascalScribble(SourceBuilder):
    """`PascalScribbleSource` as a `datasets` builder: `PascalScribble(data_dir=..., ids="1_8")`."""

    source = "pascal_scribble"


def _find(
    roots: Sequence[Path], candidates: Sequence[str], given: str | None = None
) -> Path | None:
    """The folder `given`, which must be in one of `roots`; else the first candidate there is."""
    if given is not None:
        root = next((root for root in roots if (root / given).is_dir()), roots[0])
        return find_folder(root, given, candidates, "scribble_dir")
    found = [find_folder(root, None, candidates, "") for root in roots]
    return next((folder for folder in found if folder is not None), None)


def _files(folder: Path | None, suffixes: Sequence[str]) -> dict[str, Path]:
    """Id -> file with one of `suffixes`, the last of them if there are several."""
    listed = [path for path in _listed(folder) if path.suffix.lower() in suffixes]
    found: dict[str, Path] = {}
    for path in sorted(listed, key=lambda path: (suffixes.index(path.suffix.lower()), path)):
        found[safe_text(path.stem).removesuffix("_scribble")] = path
    return found


def _tell_unknown(folder: Path | None, suffixes: Sequence[str]) -> None:
    """Warns of files that are of no kind that is read; lists name a part of the others."""
    if folder is None:
        return
    unknown = [
        safe_text(path.name)
        for path in _listed(folder)
        if path.suffix.lower() not in suffixes and not path.is_dir()
    ]
    why = f"of no kind that is read there ({', '.join(sorted(suffixes))})"
    tell_unused(folder, unknown, f"is {why}", f"are {why}")


def _listed(folder: Path | None) -> list[Path]:
    """What lies in a folder and is not hidden, sorted."""
    if folder is None:
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
