"""Any folder of photographs with masks or scribbles in sibling folders.

    data_dir/
      images/      a.jpg b.jpg ...            (or JPEGImages, image, img, photos)
      scribbles/   a.png b.png ...            (optional; or scribbles*, SegmentationScribble)
      masks/       a.png b.png ...            (optional; or SegmentationClass*, labels, annotations)
      classes.json                            (or --classes)
      splits/train.txt                        (optional: --ids splits/train.txt)

A file belongs to the photograph of the same name. Labels are palette or grey PNGs of class ids,
255 where nobody drew, or of another convention (`label_conventions.py`) that is named. Where there
are only masks, scribbles are simulated.
"""

from collections.abc import Sequence
from pathlib import Path

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import FolderConfig
from scribblegen.builders.files import (
    check_data_dir,
    content_key,
    find_folder,
    folder_classes,
    list_photographs,
    read_ids,
)
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.photographs import Photograph, reduced
from scribblegen.images import decode_image
from scribblegen.records import Sample
from scribblegen.sources import PhotographSource

IMAGE_FOLDERS = ("images", "JPEGImages", "image", "img", "photos")
SCRIBBLE_FOLDERS = ("scribbles", "scribble", "scribbles*", "SegmentationScribble*")
MASK_FOLDERS = (
    "masks",
    "mask",
    "SegmentationClassAug",
    "SegmentationClass",
    "labels",
    "annotations",
)


class FolderSource(PhotographSource):
    """Photographs of a folder, with the labels of the same name.

    Args:
        config: `data_dir`, `classes`, `image_dir`, `mask_dir`, `scribble_dir`, and how scribbles
            are drawn.
        ids: list file, relative to `data_dir` or not; None takes every photograph.

    Raises:
        FileNotFoundError, ValueError: the folder cannot be used as it is configured.
    """

    def __init__(self, config: FolderConfig, ids: str | None) -> None:
        self.data_dir = check_data_dir(config.data_dir, "folder")
        images = find_folder(self.data_dir, config.image_dir, IMAGE_FOLDERS, "image_dir")
        if images is None:
            raise FileNotFoundError(
                f"`image_dir` must be given: {self.data_dir} has no folder called "
                f"{', '.join(IMAGE_FOLDERS)}."
            )
        masks, scribbles = MASK_FOLDERS, SCRIBBLE_FOLDERS
        self.mask_dir = find_folder(self.data_dir, config.mask_dir, masks, "mask_dir")
        self.scribble_dir = find_folder(
            self.data_dir, config.scribble_dir, scribbles, "scribble_dir"
        )
        if self.mask_dir is None and self.scribble_dir is None:
            raise FileNotFoundError(
                f"{self.data_dir} has neither scribbles ({', '.join(SCRIBBLE_FOLDERS)}) nor masks "
                f"({', '.join(MASK_FOLDERS)}). Name one with `scribble_dir` or `mask_dir`."
            )
        self.image_dir = images
        self.photographs = list_photographs(images)
        listed = list(self.photographs)
        if ids is not None:
            inside = self.data_dir / ids
            listed = read_ids(inside if inside.is_file() else Path(ids))
        classes = folder_classes(self.data_dir, config.classes)
        super().__init__(classes, listed[: config.max_samples])
        self.max_side, self.reader = config.max_side, LabelReader.of(config, classes)
        self.annotator = Annotator.of(config, classes, has_scribbles=self.scribble_dir is not None)

    def load(self, index: int) -> Sample:
        source_id = self.source_ids[index]
        photograph, *label_files = self._files(source_id)
        photograph_file = photograph.read_bytes()
        image, image_file = decode_image(photograph_file)
        mask, drawn = (
            self.reader.read(None if file is None else file.read_bytes(), photograph_file)
            for file in reversed(label_files)
        )
        found = reduced(Photograph(image, image_file, drawn, mask), self.max_side)
        scribble = self.annotator.scribble(source_id, found.drawn, found.mask)
        return Sample(source_id, found.image, scribble, found.mask, image_file=found.image_file)

    def label_files(self, index: int) -> dict[str, bytes]:
        _, scribble, mask = self._files(self.source_ids[index])
        files = {"scribble": scribble, "mask": mask}
        return {kind: path.read_bytes() for kind, path in files.items() if path is not None}

    def content_keys(self) -> Sequence[str]:
        def key(source_id: str) -> str:
            photograph, *labels = self._files(source_id)
            digests = [content_key(label, whole=True) for label in labels]
            return " ".join([content_key(photograph, whole=False), *digests])

        return [key(source_id) for source_id in self.source_ids]

    def _files(self, source_id: str) -> tuple[Path, Path | None, Path | None]:
        """Photograph, scribble and mask of one id. What is needed may be missing on disk."""
        photograph = self.photographs.get(source_id, self.image_dir / f"{source_id}.jpg")
        draws = self.annotator.origin == "files"
        scribble = self.scribble_dir / f"{source_id}.png" if draws and self.scribble_dir else None
        mask = self.mask_dir / f"{source_id}.png" if self.mask_dir else None
        if draws and mask is not None and not mask.is_file():
            mask = None  # with a scribble of its own, a source needs no mask
        return photograph, scribble, mask


class Folder(SourceBuilder):
    """`FolderSource` as a `datasets` builder: `Folder(data_dir=..., ids=...)`."""

    source = "folder"
