"""Any data set of the Hub, or a local folder that `datasets` reads as one.

A row holds a photograph, and a scribble, a dense mask or both, as pictures of class ids; so does
the subset `real` of a repository made by this project. Pictures are read as the files that they
are stored as: palettes are not lost, and 8-bit RGB photographs are passed on unchanged.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import SourceConfig
from scribblegen.builders.hub_classes import dataset_classes
from scribblegen.images import BadImageError, decode_image, decode_label
from scribblegen.records import Sample
from scribblegen.sources import Source


class HubSource(Source):
    """The rows of one split.

    Args:
        config: `dataset_name` and which config, revision and columns of it; `classes`, where the
            data set does not tell them; how scribbles are drawn. Without `label_column` and
            `mask_column`, a column of pictures called `label` holds the scribbles.
        ids: the split, such as `train` (where None) or `train[:100]`.

    Raises:
        FileNotFoundError: no such data set.
        ValueError: no such config, split or column; no classes; ids that are not unique.
    """

    def __init__(self, config: SourceConfig, ids: str | None) -> None:
        split = ids or "train"
        rows = _open(config, split)
        if config.max_samples is not None:
            rows = rows.select(range(min(config.max_samples, len(rows))))
        self.columns = _columns(config, rows.features)
        classes = dataset_classes(config, rows.features)
        super().__init__(classes, _row_ids(rows, config.id_column, split))
        used = [name for name in self.columns.values() if name is not None]
        self.rows = rows.select_columns(list(dict.fromkeys(used)))
        for name in self.rows.column_names:
            if isinstance(rows.features[name], datasets.Image):
                self.rows = self.rows.cast_column(name, datasets.Image(decode=False))
        self.annotator = Annotator.of(
            config, classes, has_scribbles=self.columns["label"] is not None
        )

    def load(self, index: int) -> Sample:
        source_id, row = self.source_ids[index], self.rows[index]
        photograph = self._file(row, "image")
        if photograph is None:
            raise BadImageError("no image")
        image, image_file = decode_image(photograph)
        label_file, mask_file = self._file(row, "label"), self._file(row, "mask")
        drawn = None if label_file is None else decode_label(label_file)
        mask = None if mask_file is None else decode_label(mask_file)
        scribble = self.annotator.scribble(source_id, drawn, mask)
        caption = self.columns["caption"] and row[self.columns["caption"]]
        return Sample(source_id, image, scribble, mask, caption or None, image_file)

    def content_keys(self) -> Sequence[str]:
        return [self._key(row) for row in self.rows]

    def _key(self, row: dict[str, Any]) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for column in ("label", "mask"):
            file = self._file(row, column, missing=b"")
            digest.update(b"-" if file is None else f"{len(file)} ".encode() + file)
        caption = self.columns["caption"] and row[self.columns["caption"]]
        digest.update(repr(caption).encode())
        photograph = self._file(row, "image", missing=b"")
        return f"{'-' if photograph is None else len(photograph)} {digest.hexdigest()}"

    def _file(self, row: dict[str, Any], column: str, missing: bytes | None = None) -> bytes | None:
        """The file in a cell; None where there is none.

        Args:
            row: of `self.rows`.
            column: `image`, `label` or `mask`.
            missing: for a cell that names a file which is not there; where None, it raises.
        """
        name = self.columns[column]
        cell = None if name is None else row[name]
        if cell is None:
            return None
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        try:
            return Path(cell["path"]).read_bytes()
        except FileNotFoundError as error:
            if missing is not None:
                return missing
            # The reason of a rejection is published: it tells nothing of the disk.
            raise FileNotFoundError(Path(cell["path"]).name) from error


class Hub(SourceBuilder):
    """`HubSource` as a `datasets` builder: `Hub(dataset_name=..., mask_column=...)`."""

    source = "hub"


def _open(config: SourceConfig, split: str) -> datasets.Dataset:
    name = config.dataset_name
    if name is None:
        raise ValueError("`dataset_name` must be given for source hub: a Hub id or a folder.")
    try:
        builder = datasets.load_dataset_builder(
            name, config.dataset_config_name, revision=config.dataset_revision
        )
    except ValueError as error:
        raise ValueError(
            f"`dataset_name` {name!r} with `dataset_config_name` {config.dataset_config_name!r} "
            f"must be a data set. Got: {error}"
        ) from error
    builder.download_and_prepare()
    try:
        return builder.as_dataset(split)
    except ValueError as error:
        known = ", ".join(builder.info.splits)
        raise ValueError(
            f"`ids` must be a split of {name} ({known}) or a part of one, such as train[:100]. "
            f"Got {split!r}: {error}"
        ) from error


def _columns(config: SourceConfig, features: datasets.Features) -> dict[str, str | None]:
    """Our name -> the data set's, for `image`, `label`, `mask` and `caption`."""
    label = config.label_column
    if label is None and config.mask_column is None:
        if not isinstance(features.get("label"), datasets.Image):
            raise ValueError(
                "`label_column` (scribbles) or `mask_column` (dense masks) must be given. "
                f"{config.dataset_name} has the columns {_listed(features)}."
            )
        label = "label"
    pictures = {"image": config.image_column, "label": label, "mask": config.mask_column}
    for column, name in pictures.items():
        _check(name, f"{column}_column", "pictures", features)
    _check(config.caption_column, "caption_column", "text", features)
    return {**pictures, "caption": config.caption_column}


def _check(name: str | None, option: str, kind: str, features: datasets.Features) -> None:
    """Refuses a column that is not there or holds something else."""
    if name is None:
        return
    found = features.get(name)
    of_kind = {
        "pictures": isinstance(found, datasets.Image),
        "text": getattr(found, "dtype", None) in ("string", "large_string"),
        "ids": isinstance(found, datasets.Value),
    }
    if not of_kind[kind]:
        raise ValueError(
            f"`{option}` must be a column of {kind}. Got {name!r}; there are {_listed(features)}."
        )


def _listed(features: datasets.Features) -> str:
    def kind(feature: Any) -> str:
        return str(getattr(feature, "dtype", None) or type(feature).__name__)

    return ", ".join(f"{name} ({kind(feature)})" for name, feature in features.items())


def _row_ids(rows: datasets.Dataset, column: str | None, split: str) -> list[str]:
    if column is None:
        return [f"{split}-{index:06d}" for index in range(len(rows))]
    _check(column, "id_column", "ids", rows.features)
    values = list(rows.select_columns([column])[column])
    if None in values:
        raise ValueError(
            f"`id_column` must name every row. Got {column!r}, empty in row {values.index(None)}. "
            "Leave `id_column` out to use row numbers."
        )
    return [str(value) for value in values]
