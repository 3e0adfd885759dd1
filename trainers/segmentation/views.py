"""What an epoch shows of the rows: random views for training, whole images for measuring."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from scribblegen.trainers.segmentation.splicing import Splicing, mosaic


@dataclass(frozen=True)
class View:
    """One draw: a row, and what seeds its augmentation.

    Args:
        row: that is drawn.
        epoch, position: when.
        grid: rows and columns of a mosaic; (1, 1) for a view of the row alone.
        tiles: the row in each tile of the mosaic, in reading order, `row` among them.
    """

    row: int
    epoch: int
    position: int
    grid: tuple[int, int] = (1, 1)
    tiles: tuple[int, ...] = ()


class SchemeSampler(torch.utils.data.Sampler[View]):
    """The views of one epoch after the other, for a `DataLoader` over `Views`.

    Made in the main process, so that a schedule advances whatever workers read, persistent or not.

    Args:
        scheme: says which rows an epoch draws.
        splicing: makes mosaics of them, if any; of a view by its epoch and position alone.
    """

    def __init__(self, scheme: Scheme, splicing: Splicing | None = None) -> None:
        self.scheme, self.splicing = scheme, splicing
        self.epoch = 0
        self.stage: int | None = None  # of the adaptive scheme

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.scheme.epoch_length

    def __iter__(self) -> Iterator[View]:
        rows = self.scheme.epoch(self.epoch, self.stage)
        epoch = self.epoch
        for position, row in enumerate(rows):
            if self.splicing is None:
                yield View(row, epoch, position)
            else:
                rng = numpy_generator(self.scheme.seed, "splice", epoch, position)
                yield View(row, epoch, position, *self.splicing.draw(rows, position, rng))


class Views(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Augmented training samples: item `View` -> the entries of a batch.

    They are `pixel_values` (3, H, W) uint8, `labels` (H, W) int64, every other map of the rows
    under its own name, (H, W), class ids int64 and weights in their own type, `inside` (H, W) bool,
    where the view shows the image, and `drawn` (255,) bool, the classes of which the label of the
    whole image has a pixel, also where the view cuts it off, or may have one that is hidden. Of a
    mosaic these are the classes of all its images, and none where an image has no label, which may
    show any class. Bytes, not floats: a quarter of the memory to move, and the device normalises
    them faster.

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
        # A mosaic fills its view: its tiles are resized, cut and mirrored each by itself.
        self._of_mosaics = replace(augmentation, scale=(1.0, 1.0), flip=0.0)
        self._free = cache_bytes
        self._kept: dict[int, dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, view: View) -> dict[str, Tensor]:
        rng = numpy_generator(self.seed, "view", view.epoch, view.position)
        if view.grid == (1, 1):
            read = self.read(view.row)
            shown, drawn = self.augmentation(read, rng), self._drawn(view.row, read)
        else:
            spliced, drawn = self._spliced(view)
            shown = self._of_mosaics(spliced, rng)
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

    def _spliced(self, view: View) -> tuple[dict[str, np.ndarray], Tensor]:
        """A mosaic as if it were a row, and the classes of its images."""
        drawn: list[Tensor] = []

        def read(row: int) -> Mapping[str, np.ndarray]:
            values = self.read(row)
            drawn.append(self._drawn(row, values))
            return values

        spliced = mosaic(
            map(read, view.tiles),
            view.grid,
            self.augmentation.crop_size,
            self.augmentation.maps,
            flip=self.augmentation.flip,
            rng=numpy_generator(self.seed, "tiles", view.epoch, view.position),
        )
        each = torch.stack(drawn)
        return spliced, each.any(dim=0) & each.any(dim=1).all()

    def _drawn(self, row: int, read: Mapping[str, np.ndarray]) -> Tensor:
        drawn = torch.zeros(IGNORE_INDEX, dtype=torch.bool)
        if present := present_classes(read[LABEL]):
            # A class that is hidden may be there.
            drawn[[*present, *self.rows.hidden_of(row)]] = True
        return drawn

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
