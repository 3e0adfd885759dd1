"""Any folder of photographs with masks or scribbles in sibling folders.

    data_dir/
      images/      a.jpg b.jpg ...            (or JPEGImages, image, img, photos)
      scribbles/   a.png b.png ...            (optional; or scribbles*, SegmentationScribble)
      masks/       a.png b.png ...            (optional; or SegmentationClass*, labels, annotations)
      classes.json                            (or --classes)
      splits/train.txt                        (optional: --ids splits/train.txt)

Photographs may lie in folders of their own: the label of images/cat/a.jpg is masks/cat/a.png. A
file belongs to the photograph of the same name, which may go on with `_mask`, `_label`, `_gt` or
the like. Where there is no folder of labels, they are looked for beside the photographs, in images
or in data_dir itself: a.jpg and a.png, or a.png and a_mask.png, and a_scribble.png. Labels are
palette or grey PNGs of class ids, 255 where nobody drew, or of another convention
(`label_conventions.py`) that is named. Where there are only masks, scribbles are simulated.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import FolderConfig
from scribblegen.builders.files import check_data_dir, content_key, folder_classes, read_ids
from scribblegen.builders.folder_files import find_files
from scribblegen.builders.label_names import Labels, the_label
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.photographs import read_image, reduced
from scribblegen.records import Sample
from scribblegen.regular_files import read_file
from scribblegen.sources import PhotographSource


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
        self.files = find_files(self.data_dir, config)
        self.photographs = self.files.photographs
        listed = list(self.photographs)
        if ids is not None:
            inside = self.data_dir / ids
            listed = read_ids(inside if inside.is_file() else Path(ids), self.photographs)
        classes = folder_classes(self.data_dir, config.classes)
        super().__init__(classes, listed[: config.max_samples])
        self.max_side, self.max_pixels = config.max_side, config.max_pixels
        self.reader = LabelReader.of(config, classes)
        has_scribbles = self.files.scribble_dir is not None
        self.annotator = Annotator.of(config, classes, has_scribbles=has_scribbles)

    def load(self, index: int) -> Sample:
        source_id = self.source_ids[index]
        if source_id not in self.photographs:
            raise FileNotFoundError(self._expected(self.files.image_dir, f"{source_id}.jpg"))
        photograph_file = read_file(self.photographs[source_id])
        read = read_image(photograph_file, self.max_side, self.max_pixels)
        mask, drawn = (
            self.reader.read(None if file is None else read_file(file), photograph_file)
            for file in self._labels(source_id)
        )
        found = reduced(replace(read, drawn=drawn, mask=mask), self.max_side)
        scribble = self.annotator.scribble(source_id, found.drawn, found.mask)
        return Sample(source_id, found.image, scribble, found.mask, image_file=found.image_file)

    def label_files(self, index: int) -> dict[str, bytes]:
        mask, scribble = self._labels(self.source_ids[index])
        files = {"scribble": scribble, "mask": mask}
        return {kind: read_file(path) for kind, path in files.items() if path is not None}

    def content_keys(self) -> Sequence[str]:
        def key(source_id: str) -> str:
            labels = [found.files.get(source_id, ()) for found in self._drawn_and_dense()]
            digests = [
                " ".join(content_key(label, whole=True) for label in files) or "-"
                for files in labels
            ]
            photograph = self.photographs.get(source_id)
            return " ".join([content_key(photograph, whole=False), *digests])

        return [key(source_id) for source_id in self.source_ids]

    def _drawn_and_dense(self) -> tuple[Labels, Labels]:
        """The label files of the source; those of scribbles only where they are used."""
        draws = self.annotator.origin == "files"
        return self.files.scribbles if draws else Labels({}), self.files.masks

    def _labels(self, source_id: str) -> tuple[Path | None, Path | None]:
        """Mask and scribble of one id.

        Raises:
            FileNotFoundError: what is needed is not there. With a scribble of its own, a
                photograph needs no mask.
            BadImageError: there are several.
        """
        draws = self.annotator.origin == "files"
        drawn, dense = (
            the_label(found.files.get(source_id, ())) for found in self._drawn_and_dense()
        )
        needed, folder = (drawn, self.files.scribble_dir) if draws else (dense, self.files.mask_dir)
        if needed is None and folder is not None:
            raise FileNotFoundError(self._expected(folder, f"{source_id}.png"))
        return dense, drawn

    def _expected(self, folder: Path, name: str) -> str:
        """Where a file is missing, inside `data_dir`."""
        return name if folder == self.data_dir else f"{folder.name}/{name}"


class Folder(SourceBuilder):
    """`FolderSource` as a `datasets` builder: `Folder(data_dir=..., ids=...)`."""

    source = "folder"
