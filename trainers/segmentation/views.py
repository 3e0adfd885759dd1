"""What an epoch shows of the rows: random views for training, whole images for measuring."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.seeds import numpy_generator
from scribblegen.trainers.segmentation.augmentation import Augmentation, centre_crop
from scribblegen.trainers.segmentation.data import SegmentationRows
from scribblegen.trainers.segmentation.maps import LABEL, LabelMap
from scribblegen.trainers.segmentation.schemes import Scheme


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
    """Augmented training samples: item `View` -> the entries of a batch.

    They are `pixel_values` (3, H, W) uint8, `labels` (H, W) int64, every other map of the rows
    under its own name, (H, W), class ids int64 and weights in their own type, `inside` (H, W) bool,
    where the view shows the image, and `drawn` (255,) bool, the classes of which the label of the
    whole image has a pixel, also where the view cuts it off. Bytes, not floats: a quarter of the
    memory to move, and the device normalises them faster.

    Args:
        rows: what is read.
        augmentation: makes every view; its maps are among those of the rows.
        seed: with epoch and position it fixes a view, whatever worker or process makes it.
        cache_bytes: memory for decoded pictures that a process keeps; those that it reads first.
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
        self._kept: dict[int, dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, view: View) -> dict[str, Tensor]:
        rng = numpy_generator(self.seed, "view", view.epoch, view.position)
        read = self.read(view.row)
        shown = self.augmentation(read, rng)
        drawn = torch.zeros(IGNORE_INDEX, dtype=torch.bool)
        drawn[present_classes(read[LABEL])] = True
        sample = {
            "pixel_values": as_pixels(shown["image"]),
            "labels": as_ids(shown[LABEL]),
            "inside": torch.from_numpy(shown["inside"]),
            "drawn": drawn,
        }
        for name, kind in self.augmentation.maps.items():
            if name != LABEL:
                ids = isinstance(kind, LabelMap)
                sample[name] = as_ids(shown[name]) if ids else torch.tensor(shown[name])
        return sample

    def read(self, row: int) -> Mapping[str, np.ndarray]:
        """Image and maps of a row as they are, see `SegmentationRows.read`."""
        if row in self._kept:
            return self._kept[row]
        read = self.rows.read(row)
        size = sum(values.nbytes for values in read.values())
        if size <= self._free:
            self._free -= size
            self._kept[row] = read
        return read


class WholeImages(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Images and labels at their own size, for evaluation: `pixel_values` (3, H, W) uint8 and
    `labels` (H, W) int64.

    Args:
        rows: the rows of these the real ones are read.
        crop: side of the centre crop that is shown, of the image scaled to this shorter side; the
            whole image at its own size if None.
    """

    def __init__(self, rows: SegmentationRows, *, crop: int | None = None) -> None:
        self.rows, self.crop = rows, crop

    def __len__(self) -> int:
        return self.rows.num_real

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        read = self.rows.read(row)
        image, label = read["image"], read[LABEL]
        if self.crop is not None:
            image, label = centre_crop(image, label, self.crop)
        return {"pixel_values": as_pixels(image), "labels": as_ids(label)}


def collated(items: list[dict[str, Tensor]]) -> dict[str, Any]:
    """Views in one tensor each; whole images, of any sizes, in lists."""
    if "inside" in items[0]:
        return {key: torch.stack([item[key] for item in items]) for key in items[0]}
    return {key: [item[key] for item in items] for key in items[0]}


def as_pixels(image: np.ndarray) -> Tensor:
    """(H, W, 3) -> (3, H, W), uint8."""
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def as_ids(label: np.ndarray) -> Tensor:
    """(H, W) uint8 -> (H, W) int64."""
    return torch.from_numpy(label.astype(np.int64))
