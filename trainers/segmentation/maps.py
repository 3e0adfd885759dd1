"""The maps that lie over an image, of class ids or of weights, and how a view shows them."""

from collections.abc import Callable, Mapping
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
        advice: how a subset comes to have the column, where that is not plain.
    """

    pad: int = IGNORE_INDEX
    advice: str = ""

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


@dataclass(frozen=True)
class DerivedMap:
    """Weights that no column holds, (H, W) float32, made from the class ids of another map.

    They are resized by nearest neighbour: what they measure is not blended.

    Args:
        of: the map of class ids that they are made from.
        derive: makes them, (H, W) uint8 -> (H, W) float32.
        of_view: make them from what a view shows, not from the whole map at its own size.
        pad: what stands where a view leaves the image; 0 weighs nothing.
    """

    of: str
    derive: Callable[[np.ndarray], np.ndarray]
    of_view: bool = False
    pad: float = 0.0

    @property
    def resampling(self) -> Image.Resampling:
        """How it is resized."""
        return Image.Resampling.NEAREST


# By name: the column, and the entry in a batch (`label` is `labels` there).
Maps = Mapping[str, LabelMap | WeightMap | DerivedMap]

ONLY_LABEL: Maps = {LABEL: LabelMap()}


def check_maps(maps: Maps) -> None:
    """Refuses maps without a `label`, names that a training sample uses for something else, and
    maps that are made from what is no map of class ids.

    Raises:
        ValueError: the message says which.
    """
    if not isinstance(maps.get(LABEL), LabelMap):
        raise ValueError(f"`maps` must hold a `LabelMap` called {LABEL}. Got {list(maps)}.")
    taken = [name for name in maps if name in _TAKEN]
    if taken:
        raise ValueError(f"`maps` must not be called {' or '.join(_TAKEN)}. Got {taken[0]}.")
    for name, kind in maps.items():
        if isinstance(kind, DerivedMap) and not isinstance(maps.get(kind.of), LabelMap):
            raise ValueError(
                f"`maps` must hold a `LabelMap` called {kind.of}, which {name} is made from. Got "
                f"{list(maps)}."
            )
