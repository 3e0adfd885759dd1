"""Real and synthetic subsets as one table of rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset, Image, load_dataset

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError, decode_image
from scribblegen.parquet_files import reading_rows
from scribblegen.picture_cells import cell_file
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS
from scribblegen.records import DEFAULT_SUBSET
from scribblegen.subset_name import SubsetName
from scribblegen.trainers.segmentation.maps import (
    LABEL,
    ONLY_LABEL,
    DerivedMap,
    LabelMap,
    Maps,
    check_maps,
)
from scribblegen.trainers.segmentation.pairing import order_of, pair
from scribblegen.trainers.segmentation.schemes import TwinSet

LABELS = {"scribble": "label", "mask": "mask"}


def open_subset(name: SubsetName, split: str) -> Dataset:
    """The rows of one split of a subset, pictures still encoded.

    Raises:
        ValueError: there is no such subset or split; the message lists those that there are.
        OSError: a file of it is damaged.
    """
    try:
        with reading_rows(f"{name.repository}:{name.subset}"):
            rows = load_dataset(name.repository, name.subset, split=split)
    except ValueError as error:
        # `datasets` lists the known configs or splits.
        raise ValueError(
            f"{name.repository} has no split {split} of subset {name.subset}: {error}"
        ) from error
    if len(rows) == 0:
        raise ValueError(f"{name.repository}:{name.subset} holds no row in split {split}.")
    for column, feature in rows.features.items():
        if isinstance(feature, Image):
            rows = rows.cast_column(column, Image(decode=False))
    return rows


def class_names(rows: Dataset, name: SubsetName) -> tuple[str, ...]:
    """The names of a subset's classes, in id order.

    Raises:
        ValueError: the subset does not say.
    """
    feature = rows.features.get("classes")
    if feature is None or not hasattr(feature.feature, "names"):
        raise ValueError(
            f"{name.repository}:{name.subset} has no `classes` column of class labels; it tells "
            "what the ids mean."
        )
    return tuple(feature.feature.names)


@dataclass(frozen=True, eq=False)
class SegmentationRows:
    """Real rows, numbered from 0, and after them those of every synthetic subset.

    Args:
        classes: the classes of all labels.
        tables: one for the photographs, empty where there are none, and one for each synthetic
            subset.
        label_columns: the column of `label` in each table; every other map has its own name.
        twin_sets: the synthetic subsets, with row numbers of this table.
        maps: the maps that are read with an image.
        hidden: ids of classes that photographs do not show: their pixels count as unlabelled.
    """

    classes: Classes
    tables: tuple[Dataset, ...]
    label_columns: tuple[str, ...]
    twin_sets: tuple[TwinSet, ...]
    maps: Maps = field(default_factory=lambda: ONLY_LABEL)
    hidden: tuple[int, ...] = ()

    @property
    def num_real(self) -> int:
        """Photographs."""
        return len(self.tables[0])

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables)

    def record(self, row: int) -> tuple[dict[str, Any], str]:
        """A row as its table has it, pictures still encoded, and the column of its `label`."""
        number = 0
        while row >= len(self.tables[number]):
            row -= len(self.tables[number])
            number += 1
        return self.tables[number][row], self.label_columns[number]

    def read(self, row: int) -> dict[str, np.ndarray]:
        """`image` (H, W, 3) uint8 and every one of `maps`, (H, W): class ids uint8, weights uint8
        or float32. Those that are made of a view are not among them. Class ids are as `shown_ids`
        has them.

        Raises:
            ValueError: a picture cannot be read or is named by a path, or a map holds an id that
                is no class, or is not as large as its image.
        """
        record, label_column = self.record(row)
        image, _ = _picture(record, "image", row, _decode)
        read = {"image": image}
        for name, kind in self.maps.items():
            if isinstance(kind, DerivedMap):
                continue
            column = label_column if name == LABEL else name
            values = read[name] = _picture(record, column, row, kind.decode)
            fault = ""
            if values.shape != image.shape[:2]:
                fault = f"a `{column}` of {values.shape} over an image of {image.shape[:2]}"
            elif isinstance(kind, LabelMap) and (stray := self.classes.stray_ids(values)):
                fault = f"{stray} in `{column}`, outside the {len(self.classes)} classes"
            if fault:
                raise ValueError(f"{record.get('source_id', f'row {row}')} holds {fault}.")
            if isinstance(kind, LabelMap):
                read[name] = self.shown_ids(row, values)
        for name, kind in self.maps.items():
            if isinstance(kind, DerivedMap) and not kind.of_view:
                read[name] = kind.derive(read[kind.of])
        return read

    def hidden_of(self, row: int) -> tuple[int, ...]:
        """Ids of the classes of which a row says nothing."""
        return self.hidden if row < self.num_real else ()

    def shown_ids(self, row: int, ids: np.ndarray) -> np.ndarray:
        """Class ids of a row, (H, W) uint8, without those that are hidden in it."""
        hidden = self.hidden_of(row)
        if not hidden:
            return ids
        shown = np.arange(256, dtype=np.uint8)
        shown[list(hidden)] = IGNORE_INDEX
        return shown[ids]


def _decode(data: bytes) -> Any:
    """As `decode_image`: a subset may hold whatever a source may be made to read."""
    return decode_image(data, max_pixels=LARGEST_MAX_PIXELS)


def _picture(record: dict[str, Any], column: str, row: int, decode: Callable[[bytes], Any]) -> Any:
    """The picture in a cell, as `decode` gives it."""
    try:
        file = cell_file(record[column])
        if file is None:
            raise BadImageError("empty")
        return decode(file)
    except BadImageError as error:
        raise ValueError(
            f"{record.get('source_id', f'row {row}')} has a `{column}` that cannot be read: "
            f"{error}. Only bytes are read; write the subset again, with its pictures in it."
        ) from error


def open_rows(
    real: str | None,
    synthetic: Sequence[str],
    *,
    labels: str = "scribble",
    split: str = "train",
    maps: Maps = ONLY_LABEL,
) -> SegmentationRows:
    """Opens what a training reads.

    Args:
        real: `REPO` or `REPO:subset`; the default subset if none is named. None for synthetic
            images alone, all of which are a pool then.
        synthetic: `REPO:subset` each; their own `label`, be it scribble or mask, is what they
            teach. Which of their rows are twins of which photographs `pair` says.
        labels: `scribble` or `mask`: which label of the real rows is read.
        split: which split of the real subset is read.
        maps: the columns that are read with an image; every row of every subset must have them.

    Raises:
        ValueError: nothing is named, a subset, split, label or map is missing, or the class lists
            disagree.
    """
    if real is None and not synthetic:
        raise ValueError("`real` or `synthetic` must name a subset to train on.")
    if labels not in LABELS:
        raise ValueError(f"`labels` must be one of {tuple(LABELS)}. Got {labels!r}.")
    check_maps(maps)
    if real is None:  # an empty table of photographs, like the first of the others
        leading, column = SubsetName.parse(synthetic[0]), LABEL
        named = open_subset(leading, "train")
        table, source_ids = named.select([]), []
    else:
        leading, column = SubsetName.parse(real, DEFAULT_SUBSET), LABELS[labels]
        table = named = open_subset(leading, split)
        if not _is_whole(table, column):
            raise ValueError(
                f"`labels` {labels} needs a `{column}` in every row of {real}, split {split}. Its "
                f"columns are {table.column_names}."
            )
        source_ids = table["source_id"]
    names = class_names(named, leading)
    tables, columns, twin_sets = [table], [column], []
    first = len(table)
    for position, text in enumerate(synthetic):
        name = SubsetName.parse(text)
        twins = open_subset(name, "train")
        theirs = class_names(twins, name)
        if theirs != names:
            raise ValueError(
                f"{text} and {real or synthetic[0]} must have the same classes. They have "
                f"{theirs} and {names}."
            )
        ids = twins["source_id"] if "source_id" in twins.column_names else [None] * len(twins)
        twin_set = TwinSet(name.subset, order_of(twins, position))
        twin_sets.append(pair(twin_set, ids, source_ids, first=first))
        tables.append(twins)
        columns.append(LABEL)
        first += len(twins)
    for subset, rows, label in zip((real, *synthetic), tables, columns, strict=True):
        for map_, kind in maps.items():
            column = label if map_ == LABEL else map_
            if subset and not isinstance(kind, DerivedMap) and not _is_whole(rows, column):
                advice = f" {kind.advice}" if isinstance(kind, LabelMap) and kind.advice else ""
                raise ValueError(
                    f"the training reads `{column}`, which {subset} must have in every row. Its "
                    f"columns are {rows.column_names}.{advice}"
                )
    return SegmentationRows(Classes(names), tuple(tables), tuple(columns), tuple(twin_sets), maps)


def _is_whole(rows: Dataset, column: str) -> bool:
    """Whether every row has something in a column."""
    return column in rows.column_names and not rows.with_format("arrow")[column].null_count
