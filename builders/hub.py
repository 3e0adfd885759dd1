"""Any data set of the Hub, or a local folder that `datasets` reads as one.

A row holds a photograph, and a scribble, a dense mask or both, as pictures of class ids; see
`rows.py` for how they are read. A cell that names a path is only read where that is a file of the
data set.
"""

from typing import Any

import datasets

from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import HubConfig
from scribblegen.builders.hub_classes import dataset_classes
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.rows import RowSource, own_folders, split_rows
from scribblegen.parquet_files import opening_rows
from scribblegen.text_files import shown_message


class HubSource(RowSource):
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

    def __init__(self, config: HubConfig, ids: str | None) -> None:
        split = ids or "train"
        rows = _open(config, split)
        if config.max_samples is not None:
            rows = rows.select(range(min(config.max_samples, len(rows))))
        columns = _columns(config, rows.features)
        classes = dataset_classes(config, rows.features)
        super().__init__(
            rows,
            columns,
            classes,
            _row_ids(rows, config.id_column, split),
            config,
            max_side=config.max_side,
            max_pixels=config.max_pixels,
            reader=LabelReader.of(config, classes),
            folders=own_folders(str(config.dataset_name)),
        )


class Hub(SourceBuilder):
    """`HubSource` as a `datasets` builder: `Hub(dataset_name=..., mask_column=...)`."""

    source = "hub"


def _open(config: HubConfig, split: str) -> datasets.Dataset:
    name = config.dataset_name
    if name is None:
        raise ValueError("`dataset_name` must be given for source hub: a Hub id or a folder.")
    try:
        with opening_rows("dataset_name", name):
            builder = datasets.load_dataset_builder(
                name, config.dataset_config_name, revision=config.dataset_revision
            )
    except ValueError as error:
        raise ValueError(
            f"`dataset_name` {name!r} with `dataset_config_name` {config.dataset_config_name!r} "
            f"must be a data set. Got: {shown_message(error, 1000)}"
        ) from error
    return split_rows(builder, split, name)


def _columns(config: HubConfig, features: datasets.Features) -> dict[str, str | None]:
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
