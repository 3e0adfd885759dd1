"""Photographs at the training size, kept in memory."""

import logging

import numpy as np
import torch
from torch import Tensor

from scribblegen.images import resize_image
from scribblegen.records import Sample
from scribblegen.sources import Source

logger = logging.getLogger(__name__)


class Photographs:
    """Every photograph of a source, read once; 12 kB each at 64 pixels.

    Args:
        source: one that cannot be read is replaced by the next that can, and said.
        resolution: side of the square that photographs are resized to.
    """

    def __init__(self, source: Source, resolution: int) -> None:
        self.source, self.resolution = source, resolution
        self._kept: dict[int, np.ndarray] = {}

    def batch(self, indices: list[int]) -> Tensor:
        """(B, 3, H, W) float32 in [-1, 1]."""
        stacked = torch.from_numpy(np.stack([self._read(index) for index in indices]))
        return stacked.permute(0, 3, 1, 2).float() / 127.5 - 1

    def _read(self, index: int) -> np.ndarray:
        if index not in self._kept:
            self._kept[index] = np.asarray(
                resize_image(read_usable(self.source, index).image, *(self.resolution,) * 2)
            )
        return self._kept[index]


def read_usable(source: Source, index: int) -> Sample:
    """The sample at `index`, or the next one that can be used; what is left out is said.

    Raises:
        ValueError: no sample of the source can be used.
    """
    reasons = []
    for offset in range(len(source)):
        sample = source.read((index + offset) % len(source))
        if isinstance(sample, Sample):
            return sample
        reasons.append(f"left out {sample.source_id}: {sample.reason}")
        logger.warning(reasons[-1])
    raise ValueError(
        f"no sample of the source can be trained on: {reasons[0]} and {len(reasons) - 1} more."
    )


def caption_of(sample: Sample) -> str:
    """The caption of a photograph.

    Raises:
        ValueError: it has none.
    """
    if not sample.prompt:
        raise ValueError(
            f"every photograph must have a caption. {sample.source_id} has none; a Hub source "
            "takes them from `caption_column`. With `class_prompts` 1 none is needed."
        )
    return sample.prompt
