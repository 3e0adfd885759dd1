"""The maps that lie over an image, of class ids or of weights, and how a view shows them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scribblegen.classes import IGNORE_INDEX
from scribblegen.label_pictures import decode_label, decode_weights

LABEL = "label"
# What a training sample holds besides: no map may have such a name.
_TAKEN = ("image", "inside", "labels", "pixel_values")


@dataclass(frozen=True)
class LabelMap:
    """Class ids, (H, W) uint8: resized by nearest neighbour, never blended.

    Args:
        pad: what stands where a view leaves the image.
    """

    pad: int = IGNORE_INDEX

    @property
    def resampling(self) -> Image.Resampling:
        """How it is resized."""
        return Image.Resampling.NEAREST

    def decode(self, data: bytes) -> np.ndarray:
        """A picture file -> (H, W) uint8."""
        return decode_label(data)


@dataclass(frozen=True)
class WeightMap:
    """Weights, (H, W) uint8 or float32: resized bilinearly, in their own type.

    Args:
        pad: what stands where a view leaves the image; 0 weighs nothing.
    """

    pad: float = 0.0

    @property
    def resampling(self) -> Image.Resampling:
        """How it is resized."""
        return Image.Resampling.BILINEAR

    def decode(self, data: bytes) -> np.ndarray:
        """A picture file -> (H, W) uint8 or float32."""
        return decode_weights(data)


# By name: the column, and the entry in a batch (`label` is `labels` there).
Maps = Mapping[str, LabelMap | WeightMap]

ONLY_LABEL: Maps = {LABEL: LabelMap()}


def check_maps(maps: Maps) -> None:
    """Refuses maps without a `label`, and names that a training sample uses for something else.

    Raises:
        ValueError: the message says which.
    """
    if not isinstance(maps.get(LABEL), LabelMap):
        raise ValueError(f"`maps` must hold a `LabelMap` called {LABEL}. Got {list(maps)}.")
    taken = [name for name in maps if name in _TAKEN]
    if taken:
        raise ValueError(f"`maps` must not be called {' or '.join(_TAKEN)}. Got {taken[0]}.")
