"""Attention maps of several sizes -> one map a class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from scribblegen.segmenting.normalisers import NORMALISERS
from scribblegen.text_files import shown
from scribblegen.yaml_files import parse_yaml

_SMALLEST = 1e-8
_FEWEST_CELLS = 8  # on a side

Weights = Mapping[int, float]  # by the width of a map's cells, in latent cells


@dataclass(frozen=True)
class Fusion:
    """How much the maps of each width count.

    Args:
        every: of every class.
        classes: of some classes instead, by name.
    """

    every: Weights
    classes: Mapping[str, Weights] = field(default_factory=dict)

    def of(self, name: str) -> Weights:
        """The weights of a class."""
        return self.classes.get(name, self.every)

    @property
    def factors(self) -> tuple[int, ...]:
        """All widths that count for some class, ascending."""
        return tuple(
            sorted({f for weights in (self.every, *self.classes.values()) for f in weights})
        )


def read_fusion(name: str) -> Fusion:
    """A fusion that ships, `default` or `paper-voc`, or that of a YAML file.

    The file has `every`, a mapping of widths to weights such as {1: 0.25, 2: 0.25, 4: 0.5}, and
    may have `classes`, such a mapping for each of some names.

    Raises:
        ValueError, FileNotFoundError: there is none, or it is not of that form.
    """
    shipped = resources.files("scribblegen") / "label_spaces" / "fusion" / f"{name}.yaml"
    if shipped.is_file():
        text, where = shipped.read_text("utf-8"), f"fusion {name}"
    elif Path(name).is_file():
        text, where = Path(name).read_text("utf-8"), f"`fusion` {name}"
    else:
        raise FileNotFoundError(
            f"`fusion` must be default, paper-voc or a YAML file. Got {shown(name)}, which is none."
        )
    data = parse_yaml(text, where)
    if not isinstance(data, dict) or "every" not in data or set(data) - {"every", "classes"}:
        raise ValueError(f"{where} must have `every`, and may have `classes`. Got {shown(data)}.")
    classes = data.get("classes") or {}
    if not isinstance(classes, dict):
        raise ValueError(f"{where}: `classes` must map names to weights. Got {shown(classes)}.")
    return Fusion(
        _weights(data["every"], f"{where}: `every`"),
        {str(k): _weights(v, f"{where}: class {k}") for k, v in classes.items()},
    )


def fused(
    maps: Mapping[int, Tensor],
    weights: Sequence[Weights],
    size: tuple[int, int],
    *,
    normalise: str = "max",
) -> Tensor:
    """One map for each of W words, of all their maps.

    Each map is brought to `size` (bicubic), and normalised; then the widths' weighted mean is
    taken.

    Args:
        maps: (W, h, w) float, by the width of their cells.
        weights: of each word; see `counting` for those that are left out.
        size: (H, W) of the image.
        normalise: `max`, by each map's own maximum, the paper's; `min_max`, which also subtracts
            the minimum; `share`, by the sum over the words at every place.

    Returns:
        (W, H, W) float32 in [0, 1]; zeros for a word whose maps are.

    Raises:
        ValueError: no width of a word's weights is there, or `normalise` is unknown.
    """
    if normalise not in NORMALISERS:
        raise ValueError(f"`normalise` must be one of {NORMALISERS}. Got {normalise!r}.")
    large = {factor: _normalised(_enlarged(map_, size), normalise) for factor, map_ in maps.items()}
    result = []
    for word, of_word in enumerate(weights):
        there = counting(of_word, maps)
        if not sum(there.values()):
            raise ValueError(
                f"`fusion` must weigh one of the widths that there are, {sorted(maps)}. Got "
                f"{dict(of_word)}."
            )
        total = sum(there.values())
        shares = torch.stack([(w / total) * large[f][word] for f, w in there.items()])
        result.append(shares.sum(dim=0))
    return torch.stack(result)


def counting(weights: Weights, maps: Mapping[int, Tensor]) -> dict[int, float]:
    """The weights of those maps (W, h, w) that count for a word, by width.

    Maps of fewer than 8 cells a side say nothing beside finer ones: of images of 64 pixels, where
    width 4 has 4, they cost masks a dozen points of mean IoU.
    """
    there = {width: weight for width, weight in weights.items() if width in maps}
    fine = {width: w for width, w in there.items() if min(maps[width].shape[1:]) >= _FEWEST_CELLS}
    return fine if sum(fine.values()) else there


def _enlarged(map_: Tensor, size: tuple[int, int]) -> Tensor:
    larger = interpolate(map_[None].float(), size=size, mode="bicubic", align_corners=False)
    return larger[0].clamp(min=0)  # between cells bicubic weights go below


def _normalised(map_: Tensor, how: str) -> Tensor:
    if how == "share":
        return map_ / map_.sum(dim=0, keepdim=True).clamp(min=_SMALLEST)
    if how == "min_max":
        map_ = map_ - map_.amin(dim=(1, 2), keepdim=True)
    return map_ / map_.amax(dim=(1, 2), keepdim=True).clamp(min=_SMALLEST)


def _weights(value: object, where: str) -> Weights:
    """Widths and what they count, as YAML has them."""
    good = isinstance(value, dict) and bool(value)
    if good:
        assert isinstance(value, dict)
        good = all(type(k) is int and k > 0 for k in value) and all(
            type(v) in (int, float) and 0 <= v < float("inf") for v in value.values()
        )
        if good and sum(value.values()) > 0:
            return {int(k): float(v) for k, v in value.items()}
    raise ValueError(
        f"{where} must map whole numbers from 1 to weights, not all 0. Got {shown(value)}."
    )
