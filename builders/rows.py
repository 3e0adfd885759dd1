"""Photographs and labels in the rows of a `datasets` table.

A row holds a photograph, and a scribble, a dense mask or both, as pictures of class ids. Pictures
are read as the files that they are stored as: palettes are not lost, and 8-bit RGB photographs are
passed on unchanged.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.config import PhotographsConfig
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.photographs import read_image, reduced
from scribblegen.classes import Classes
from scribblegen.images import BadImageError
from scribblegen.parquet_files import reading_rows
from scribblegen.picture_cells import cell_file
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS
from scribblegen.records import Sample
from scribblegen.sources import PhotographSource
from scribblegen.text_files import shown_message


def split_rows(builder: datasets.DatasetBuilder, split: str, name: str) -> datasets.Dataset:
    """The rows of one split, or of a part of one such as `train[:100]`.

    Args:
        builder: reads the data set.
        split: as in `datasets`.
        name: the name of the data set, as its user gave it, for the message.

    Raises:
        ValueError: there is no such split; the message lists those that there are.
        OSError: a file of the data set is damaged.
    """
    try:
        with reading_rows(name):
            builder.download_and_prepare()
    except ValueError as error:  # of a card that names files which are not there
        raise OSError(
            f"{name} cannot be read: {shown_message(error, 1000)} Mend its README.md, or download "
            "it again."
        ) from error
    try:
        return builder.as_dataset(split)
    except ValueError as error:
        known = ", ".join(builder.info.splits)
        raise ValueError(
            f"`ids` must be a split of {name} ({known}) or a part of one, such as train[:100]. "
            f"Got {split!r}: {error}"
        ) from error


def own_folders(name: str) -> tuple[Path, ...]:
    """Where the files of a data set lie, resolved: what its picture cells may name.

    Args:
        name: a folder, or a Hub id, whose files lie in the cache of `huggingface_hub`.
    """
    folder = Path(name)
    if not folder.is_dir():
        # In the cache the files of a revision are links to others of the same repository.
        cached = repo_folder_name(repo_id=name, repo_type="dataset")
        return ((Path(constants.HF_HUB_CACHE) / cached).resolve(),)
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and (folder.parents[1] / "blobs").is_dir():
        return (folder.parents[1],)
    return (folder,)


class RowSource(PhotographSource):
    """A photograph a row.

    Args:
        rows: a table of `datasets`.
        columns: the table's name of `image`, `label`, `mask` and `caption`; None where it has
            none.
        classes: the classes of the labels.
        source_ids: the ids of the rows.
        config: how scribbles are drawn.
        max_side: larger photographs are reduced to this many pixels.
        max_pixels: photographs of more are rejected.
        reader: reads the labels; as class ids where None.
        folders: where the files lie that picture cells may name, as of `own_folders`. Where
            empty, cells must hold bytes.
    """

    def __init__(
        self,
        rows: datasets.Dataset,
        columns: dict[str, str | None],
        classes: Classes,
        source_ids: Sequence[str],
        config: PhotographsConfig,
        *,
        max_side: int | None = None,
        max_pixels: int = LARGEST_MAX_PIXELS,
        reader: LabelReader | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        super().__init__(classes, source_ids)
        self.folders = tuple(folders)
        self.columns, self.max_side, self.max_pixels = columns, max_side, max_pixels
        self.reader = reader or LabelReader.of_ids(classes)
        used = [name for name in columns.values() if name is not None]
        self.rows = rows.select_columns(list(dict.fromkeys(used)))
        for name in self.rows.column_names:
            if isinstance(rows.features[name], datasets.Image):
                self.rows = self.rows.cast_column(name, datasets.Image(decode=False))
        self.annotator = Annotator.of(config, classes, has_scribbles=columns["label"] is not None)

    def load(self, index: int) -> Sample:
        source_id, row = self.source_ids[index], self.rows[index]
        photograph = self._file(row, "image")
        if photograph is None:
            raise BadImageError("no image")
        read = read_image(photograph, self.max_side, self.max_pixels)
        files = [self._file(row, name) for name in ("label", "mask")]
        drawn, mask = (self.reader.read(file, photograph) for file in files)
        found = reduced(replace(read, drawn=drawn, mask=mask), self.max_side)
        scribble = self.annotator.scribble(source_id, found.drawn, found.mask)
        caption = self.columns["caption"] and row[self.columns["caption"]]
        return Sample(
            source_id, found.image, scribble, found.mask, caption or None, found.image_file
        )

    def label_files(self, index: int) -> dict[str, bytes]:
        row = self.rows[index]
        names = ("label",) if self.annotator.origin == "files" else ()
        files = {name: self._present_file(row, name) for name in (*names, "mask")}
        kinds = {"label": "scribble", "mask": "mask"}
        return {kinds[name]: file for name, file in files.items() if file}

    def content_keys(self) -> Sequence[str]:
        return [self._key(row) for row in self.rows]

    def _key(self, row: dict[str, Any]) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for column in ("label", "mask"):
            file = self._present_file(row, column)
            digest.update(b"-" if file is None else f"{len(file)} ".encode() + file)
        caption = self.columns["caption"] and row[self.columns["caption"]]
        digest.update(repr(caption).encode())
        photograph = self._present_file(row, "image")
        return f"{'-' if photograph is None else len(photograph)} {digest.hexdigest()}"

    def _present_file(self, row: dict[str, Any], column: str) -> bytes | None:
        """As `_file`; empty for a cell whose file is not there or may not be read."""
        try:
            return self._file(row, column)
        except (BadImageError, FileNotFoundError):
            return b""

    def _file(self, row: dict[str, Any], column: str) -> bytes | None:
        """The file in a cell; None where there is none.

        Args:
            row: of `self.rows`.
            column: `image`, `label` or `mask`.

        Raises:
            BadImageError: the cell names a path that is not of the data set.
            FileNotFoundError: the data set lacks the file.
        """
        name = self.columns[column]
        try:
            return None if name is None else cell_file(row[name], self.folders)
        except BadImageError as error:
            raise BadImageError(f"{column} is {error}") from error
