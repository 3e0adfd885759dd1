"""Attention maps of the classes that a prompt names -> a mask, stage by stage (DiffuMask)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX
from scribblegen.segmenting.agreeing_threshold import CANDIDATES, agreeing_threshold
from scribblegen.segmenting.crf import dense_crf

# What maps are divided by to be log-odds for the field, as for pseudo labels.
_TEMPERATURE = 0.1
# Deviations of place in the field, as shares of the image's side: 80 and 3 pixels of 512.
_SIGMA_XY, _SIGMA_SMOOTH = 80 / 512, 3 / 512


@dataclass(frozen=True, kw_only=True)
class MaskSettings:
    """How maps become a mask.

    Args:
        background: how high a map must be, of 1, to win over what is of no named class in the
            coarse mask.
        thresholds: candidates for the threshold of each class of an image.
        ignore_band: where the winner is not ahead by this much nothing is said.
        refine: whether a dense random field moves the borders.
        min_component: parts of a class smaller than this share of the image are given up.
        max_hole: parts of the background inside one class are filled up to this share.
    """

    background: float = 0.45
    thresholds: tuple[float, ...] = CANDIDATES
    ignore_band: float = 0.1
    refine: bool = True
    min_component: float = 0.005
    max_hole: float = 0.005


@dataclass(frozen=True, eq=False)
class FoundMask:
    """A mask, and what it was found with.

    Args:
        mask: (H, W) uint8: class ids, `IGNORE_INDEX` where nothing is said.
        thresholds: of each class, where there is a background.
        agreement: mean over the classes of the IoU of map and coarse mask at these thresholds.
        margin: how far the winner is ahead of the next, mean over the pixels, in [0, 1].
    """

    mask: np.ndarray
    thresholds: tuple[float, ...]
    agreement: float
    margin: float


def mask_of_maps(
    maps: Tensor,
    coarse: Tensor,
    class_ids: Sequence[int],
    image: np.ndarray,
    *,
    background: int | None,
    settings: MaskSettings,
) -> FoundMask:
    """The mask of an image, of what attention says of its classes.

    1. The coarse mask is the winner of the maps that were spread, with the background at a fixed
       score.
    2. Each class has the threshold at which its own map agrees best with the coarse mask. The
       background scores 1/2 and a map that is at its threshold too: thresholds become comparable.
    3. A dense random field moves the borders; with one class beside the background it is the fast
       one of two labels.
    4. The highest score wins; where it is not ahead by the band, nothing is said.
    5. Small parts are given up, small holes filled.

    Args:
        maps: (W, H, W') float in [0, 1], one for each class.
        coarse: the same maps, spread along what belongs together; another view of the image.
        class_ids: W ids.
        image: (H, W', 3) uint8.
        background: what pixels of no named class are: an id, `IGNORE_INDEX`, or None where every
            pixel is of a named one.
        settings: of the stages.

    Raises:
        ValueError: shapes do not fit.
    """
    _check(maps, coarse, class_ids, image)
    thresholds: tuple[float, ...] = ()
    if background is None:
        scores, agreement = _shares(maps), _agreement(maps, coarse)
        labels = list(class_ids)
    else:
        thresholds, agreement = _thresholds(maps, coarse, settings)
        scores = _against_background(maps, thresholds)
        labels = [background, *class_ids]
    if settings.refine and len(scores) > 1:
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
        side = max(image.shape[:2])
        scores = dense_crf(
            torch.softmax(scores / _TEMPERATURE, dim=0),
            pixels,
            sigma_xy=_SIGMA_XY * side,
            sigma_smooth=_SIGMA_SMOOTH * side,
        )
    best = scores.topk(min(2, len(scores)), dim=0).values
    ahead = best[0] - best[1] if len(best) > 1 else torch.ones_like(best[0])
    ids = np.asarray(labels, np.uint8)
    mask = ids[scores.argmax(dim=0).numpy()]
    mask = without_specks(mask, settings.min_component, settings.max_hole, background)
    mask[ahead.numpy() < settings.ignore_band] = IGNORE_INDEX
    return FoundMask(mask, thresholds, agreement, float(ahead.mean()))


def without_specks(
    mask: np.ndarray, min_component: float, max_hole: float, background: int | None = None
) -> np.ndarray:
    """Small parts of a class become what surrounds them most, the smallest first.

    Args:
        mask: (H, W) uint8 class ids; not changed.
        min_component: share of the image below which any part is given up.
        max_hole: share up to which a part of the background is filled that lies inside one class.
        background: id of the class that holes are of; None where there are none.
    """
    result = mask.copy()
    parts: list[_Part] = []
    for value in np.unique(mask):
        numbered, count = ndimage.label(mask == value)
        sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
        boxes = ndimage.find_objects(numbered)
        for number, (size, box) in enumerate(zip(sizes, boxes, strict=True), 1):
            parts.append(_Part(int(size), int(value), numbered, number, box))
    for part in sorted(parts, key=lambda part: part.size):
        share = part.size / mask.size
        wider = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in part.box)
        inside = part.numbered[wider] == part.number
        around = result[wider][ndimage.binary_dilation(inside) & ~inside]
        values, counts = np.unique(around, return_counts=True)
        sides = zip(part.box, mask.shape, strict=True)
        is_inside = len(values) == 1 and all(s.start > 0 and s.stop < side for s, side in sides)
        is_hole = part.value == background and is_inside and share <= max_hole
        if len(values) and (share < min_component or is_hole):
            result[wider][inside] = values[counts.argmax()]
    return result


class _Part(NamedTuple):
    """Connected pixels of one class: those of `numbered` with its number, inside a box."""

    size: int
    value: int
    numbered: np.ndarray
    number: int
    box: tuple[slice, ...]


def _thresholds(
    maps: Tensor, coarse: Tensor, settings: MaskSettings
) -> tuple[tuple[float, ...], float]:
    scores = torch.cat([torch.full_like(coarse[:1], settings.background), coarse])
    winner = scores.argmax(dim=0).numpy()
    found = [
        agreeing_threshold(map_.numpy(), winner == number, settings.thresholds)
        for number, map_ in enumerate(maps, 1)
    ]
    return tuple(g for g, _ in found), float(np.mean([overlap for _, overlap in found]))


def _against_background(maps: Tensor, thresholds: Sequence[float]) -> Tensor:
    """(W, H, W') -> (1 + W, H, W'): 1/2 for the background, and for a map at its threshold."""
    at = torch.tensor(thresholds)[:, None, None]
    scaled = torch.where(maps < at, maps / (2 * at), 0.5 + (maps - at) / (2 * (1 - at)))
    return torch.cat([torch.full_like(maps[:1], 0.5), scaled])


def _shares(maps: Tensor) -> Tensor:
    return maps / maps.sum(dim=0, keepdim=True).clamp(min=1e-8)


def _agreement(maps: Tensor, coarse: Tensor) -> float:
    """Mean over the classes of the IoU of the two winners."""
    one, other = maps.argmax(dim=0), coarse.argmax(dim=0)
    overlaps = []
    for number in range(len(maps)):
        either = ((one == number) | (other == number)).sum()
        both = ((one == number) & (other == number)).sum()
        overlaps.append(float(both / either) if either else 0.0)
    return float(np.mean(overlaps))


def _check(maps: Tensor, coarse: Tensor, class_ids: Sequence[int], image: np.ndarray) -> None:
    if maps.ndim != 3 or len(maps) != len(class_ids) or not len(class_ids):
        raise ValueError(
            f"`maps` must be (W, H, W'), one for each of {len(class_ids)} `class_ids`, at least "
            f"one. Got {tuple(maps.shape)}."
        )
    if coarse.shape != maps.shape or image.shape != (*maps.shape[1:], 3):
        raise ValueError(
            f"`coarse` and `image` must be as large as `maps`, {tuple(maps.shape)}. Got "
            f"{tuple(coarse.shape)} and {image.shape}."
        )
