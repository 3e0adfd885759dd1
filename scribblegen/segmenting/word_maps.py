"""What the attention probe left of an image -> one map for each of its words, and the same spread.

The maps of several sizes are fused; spread among the places that belong together they become the
coarse masks by which thresholds are chosen (DiffuMask, arXiv 2303.11681).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from scribblegen.segmenting.fusion import Fusion, Weights, counting, fused
from scribblegen.segmenting.propagation import spread_by_attention

_HIGHEST = 0.05  # share of the places whose mean is the height of a map


class Affinity(Protocol):
    """A network that tells which places of an image belong together."""

    def spread(self, image: np.ndarray, maps: Tensor) -> Tensor:
        """Maps (K, H, W) float of a picture (H, W, 3) uint8, spread among such places."""

    def fingerprint(self) -> str:
        """Changes with any of its weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WordMaps:
    """How maps are fused and spread.

    Args:
        fusion: how much maps of each width count.
        normalise: what each map is divided by, one of `NORMALISERS`.
        spread_width: width of the cells of the network's attention to its own places, along which
            maps are spread where the probe kept it.
        spread_times: how often.
        affinity: what spreads the maps instead, where there is one.
    """

    fusion: Fusion
    normalise: str
    spread_width: int
    spread_times: int
    affinity: Affinity | None = None

    def of(
        self, left: Mapping[str, Tensor], names: Sequence[str], image: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """What the probe left of an image (H, W', 3) uint8 -> its words' maps, and the same spread.

        Args:
            left: as `AttentionProbe` has it; the first W of its words are looked at.
            names: the W words, as the fusion may know them.
            image: the image.

        Returns:
            (W, H, W') float32 in [0, 1], twice.
        """
        size = (image.shape[0], image.shape[1])
        weights = [self.fusion.of(name) for name in names]
        maps = fused(by_width(left, len(names)), weights, size, normalise=self.normalise)
        if self.affinity is not None:
            return maps, self.affinity.spread(image, maps)
        attention = left.get(f"self.{self.spread_width}")
        if attention is None:
            return maps, maps
        small = interpolate(maps[None], size=attention.shape[:2], mode="area")[0]
        spread = spread_by_attention(small, attention, self.spread_times)
        coarse = interpolate(spread[None], size=size, mode="bilinear", align_corners=False)[0]
        return maps, coarse


def by_width(left: Mapping[str, Tensor], count: int) -> dict[int, Tensor]:
    """The maps (count, h, w) float32 of the first `count` words, by the width of their cells."""
    return {
        int(name.removeprefix("cross.")): kept[:count].float()
        for name, kept in left.items()
        if name.startswith("cross.")
    }


def heights(maps: Mapping[int, Tensor], weights: Sequence[Weights]) -> list[float]:
    """How much attention each of W words draws where it draws most: the mean over the highest
    twentieth of the places.

    Args:
        maps: (W, h, w) float, shares of attention, by the width of their cells.
        weights: of each word, of the widths; of those that are there the mean is taken.

    Returns:
        Shares in [0, 1].
    """
    found = []
    for word, of_word in enumerate(weights):
        there = counting(of_word, maps)
        total = sum(there.values())
        high = sum(weight * _height(maps[width][word]) for width, weight in there.items())
        found.append(high / total if total else 0.0)
    return found


def _height(map_: Tensor) -> float:
    values = map_.float().flatten()
    return float(values.topk(max(1, round(_HIGHEST * len(values)))).values.mean())
