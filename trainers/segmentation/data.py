"""Real and synthetic subsets as one table of rows, and what an epoch draws from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Image, load_dataset
from torch import Tensor

from scribblegen.classes import Classes
from scribblegen.images import decode_image, decode_label
from scribblegen.seeds import numpy_generator
from scribblegen.subset_name import SubsetName
from scribblegen.trainers.segmentation.augmentation import Augmentation, centre_crop
from scribblegen.trainers.segmentation.schemes import Scheme, TwinSet

LABELS = {"scribble": "label", "mask": "mask"}


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
    """Augmented training samples: item `View` -> `pixel_values` (3, H, W) uint8, `labels` (H, W)
    int64, and `inside` (H, W) bool, where the view shows the image.

    Bytes, not floats: a quarter of the memory to move, and the device normalises them faster.

    Args:
        rows: to read from.
        augmentation: of every view.
        seed: with epoch and position it fixes a view, whatever worker or process makes it.
        cache_bytes: of decoded pictures that a process keeps; those that it reads first.
    """

    def __init__(
        self,
        rows: SegmentationRows,
        augmentation: Augmentation,
        *,
        seed: int,
        cache_bytes: int = 0,
    ) -> None:
        self.rows, self.augmentation, self.seed = rows, augmentation, seed
        self._free = cache_bytes
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, view: View) -> dict[str, Any]:
        rng = numpy_generator(self.seed, "view", view.epoch, view.position)
        image, label, inside = self.augmentation(*self.read(view.row), rng)
        return {
            "pixel_values": as_pixels(image),
            "labels": torch.from_numpy(label.astype(np.int64)),
            "inside": torch.from_numpy(inside),
        }

    def read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) and label (H, W) of a row, both uint8, as they are."""
        if row in self._kept:
            return self._kept[row]
        image, label = self.rows.read(row)
        size = image.nbytes + label.nbytes
        if size <= self._free:
            self._free -= size
            self._kept[row] = image, label
        return image, label


class WholeImages(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Images and labels at their own size, for evaluation.

    Args:
        rows: to read from; the real ones alone are read.
        crop: side of the centre crop that is shown, of the image scaled to this shorter side; the
            whole image at its own size if None.
    """

    def __init__(self, rows: SegmentationRows, *, crop: int | None = None) -> None:
        self.rows, self.crop = rows, crop

    def __len__(self) -> int:
        return self.rows.num_real

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        image, label = self.rows.read(row)
        if self.crop is not None:
            image, label = centre_crop(image, label, self.crop)
        return {
            "pixel_values": as_pixels(image),
            "labels": torch.from_numpy(label.astype(np.int64)),
        }


def as_pixels(image: np.ndarray) -> Tensor:
    """(H, W, 3) -> (3, H, W), uint8."""
    return torch.from_numpy(image.transpose(2, 0, 1).copy())
