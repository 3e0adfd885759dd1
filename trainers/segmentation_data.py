"""Real and synthetic subsets as one table of rows, and what an epoch draws from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Image, load_dataset
from torch import Tensor

from scribblegen.classes import Classes
from scribblegen.images import decode_image, decode_label
from scribblegen.seeds import numpy_generator
from scribblegen.trainers.augmentation import Augmentation
from scribblegen.trainers.schemes import Scheme, TwinSet

LABELS = {"scribble": "label", "mask": "mask"}


@dataclass(frozen=True)
class SubsetName:
    """A subset of a repository: `me/voc-twins:guidance2-encode0.5`."""

    repository: str  # a folder or a Hub id
    subset: str

    @classmethod
    def parse(cls, text: str, default: str | None = None) -> "SubsetName":
        """From `REPO:subset`, or `REPO` alone where there is a default subset.

        Raises:
            ValueError: no subset is named and there is no default.
        """
        repository, colon, subset = text.rpartition(":")
        if not colon or Path(text).is_dir() or "/" in subset:
            repository, subset = text, default or ""
        if not subset:
            raise ValueError(f"`synthetic` must name subsets as REPO:subset. Got {text!r}.")
        return cls(repository, subset)


def open_subset(name: SubsetName, split: str) -> Dataset:
    """The rows of one split of a subset, pictures still encoded.

    Raises:
        ValueError: there is no such subset or split; the message lists those that there are.
    """
    try:
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
    """Of the labels, in id order.

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
        classes: of all labels.
        tables: one for `real` and one for each synthetic subset.
        label_columns: of each table.
        twin_sets: of the synthetic subsets, with row numbers of this table.
    """

    classes: Classes
    tables: tuple[Dataset, ...]
    label_columns: tuple[str, ...]
    twin_sets: tuple[TwinSet, ...]

    @property
    def num_real(self) -> int:
        return len(self.tables[0])

    def __len__(self) -> int:
        return sum(len(table) for table in self.tables)

    def read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) and label (H, W), both uint8.

        Raises:
            ValueError: the label holds an id that is no class.
        """
        number = 0
        while row >= len(self.tables[number]):
            row -= len(self.tables[number])
            number += 1
        record, column = self.tables[number][row], self.label_columns[number]
        image, _ = decode_image(record["image"]["bytes"])
        label = decode_label(record[column]["bytes"])
        stray = self.classes.stray_ids(label)
        if stray:
            raise ValueError(
                f"{record['source_id']} holds {stray} in `{column}`, outside the "
                f"{len(self.classes)} classes."
            )
        return image, label


def open_rows(
    real: str, synthetic: Sequence[str], *, labels: str = "scribble", split: str = "train"
) -> SegmentationRows:
    """Opens what a training reads.

    Args:
        real: `REPO` or `REPO:subset`; the subset is `real` if not named.
        synthetic: `REPO:subset` each; their own `label` is always the scribble.
        labels: `scribble` or `mask`, of the real rows.
        split: of the real rows.

    Raises:
        ValueError: a subset, split or label is missing, or the class lists disagree.
    """
    if labels not in LABELS:
        raise ValueError(f"`labels` must be one of {tuple(LABELS)}. Got {labels!r}.")
    real_name = SubsetName.parse(real, "real")
    table = open_subset(real_name, split)
    names = class_names(table, real_name)
    column = LABELS[labels]
    if column not in table.column_names or table.with_format("arrow")[column].null_count:
        raise ValueError(
            f"`labels` {labels} needs a `{column}` in every row of {real}, split {split}. Its "
            f"columns are {table.column_names}."
        )
    tables, columns, twin_sets = [table], [column], []
    source_ids = {source_id: i for i, source_id in enumerate(table["source_id"])}
    first = len(table)
    for text in synthetic:
        name = SubsetName.parse(text)
        twins = open_subset(name, "train")
        theirs = class_names(twins, name)
        if theirs != names:
            raise ValueError(
                f"{text} and {real} must have the same classes. They have {theirs} and {names}."
            )
        rows: list[list[int]] = [[] for _ in range(len(table))]
        for number, source_id in enumerate(twins["source_id"]):
            if source_id in source_ids:  # a twin of another fraction's photograph is not used
                rows[source_ids[source_id]].append(first + number)
        ratio = twins["encode_ratio"][0] if "encode_ratio" in twins.column_names else 0.0
        twin_sets.append(TwinSet(name.subset, ratio, tuple(tuple(r) for r in rows)))
        tables.append(twins)
        columns.append("label")
        first += len(twins)
    return SegmentationRows(Classes(names), tuple(tables), tuple(columns), tuple(twin_sets))


@dataclass(frozen=True)
class View:
    """One draw: a row, and what seeds its augmentation."""

    row: int
    epoch: int
    position: int


class SchemeSampler(torch.utils.data.Sampler[View]):
    """The views of one epoch after the other, for a `DataLoader` over `Views`.

    Made in the main process, so that a schedule advances whatever workers read, persistent or not.
    """

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.epoch = 0
        self.stage: int | None = None  # of the adaptive scheme

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.scheme.epoch_length

    def __iter__(self) -> Iterator[View]:
        for position, row in enumerate(self.scheme.epoch(self.epoch, self.stage)):
            yield View(row, self.epoch, position)


class Views(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Augmented training samples, normalised: item `View` -> `pixel_values`, `labels`,
    and `inside`, where the view shows the image.

    Args:
        rows: to read from.
        augmentation: of every view.
        seed: with epoch and position it fixes a view, whatever worker or process makes it.
        mean, std: of the network's input, for values in [0, 1].
        keep_decoded: keep every decoded picture in memory.
    """

    def __init__(
        self,
        rows: SegmentationRows,
        augmentation: Augmentation,
        *,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        keep_decoded: bool = False,
    ) -> None:
        self.rows, self.augmentation, self.seed = rows, augmentation, seed
        self._mean = np.asarray(mean, np.float32) * 255
        self._std = np.asarray(std, np.float32) * 255
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if keep_decoded else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, view: View) -> dict[str, Any]:
        rng = numpy_generator(self.seed, "view", view.epoch, view.position)
        image, label, inside = self.augmentation(*self._read(view.row), rng)
        return {
            "pixel_values": normalised(image, self._mean, self._std),
            "labels": torch.from_numpy(label).long(),
            "inside": torch.from_numpy(inside),
        }

    def whole(self, row: int) -> tuple[Tensor, np.ndarray]:
        """The image (3, H, W), normalised, and the label (H, W) uint8 of a row, as they are."""
        image, label = self._read(row)
        return normalised(image, self._mean, self._std), label

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        if self._kept is None:
            return self.rows.read(row)
        if row not in self._kept:
            self._kept[row] = self.rows.read(row)
        return self._kept[row]


def normalised(image: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32; `mean` and `std` in units of 0 to 255."""
    return torch.from_numpy(((image - mean) / std).transpose(2, 0, 1).copy())
