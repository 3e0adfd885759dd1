"""Activation maps and scribbles -> one dense label: the pseudo label that a segmentor learns."""

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, values_of
from scribblegen.segmenting.crf import dense_crf
from scribblegen.segmenting.refinements import REFINEMENTS

# What maps are divided by to be log-odds for the field: a map that is higher than the background's
# by the usual band is e times as likely, and one that is nothing as unlikely as a full one is sure.
_TEMPERATURE = 0.1


def pseudo_label(
    maps: Tensor,
    *,
    background: int | None = 0,
    background_threshold: float = 0.45,
    ignore_band: float = 0.1,
    scribble: np.ndarray | None = None,
    image: np.ndarray | None = None,
    refine: str = "none",
    write_strokes: bool = True,
) -> np.ndarray:
    """The class with the highest map at every pixel, or nothing where the maps are undecided.

    1. Classes without a stroke are left out: a scribble names every class of its image.
    2. The background's map is the threshold, or its own where that is higher.
    3. A dense random field refines the maps, where asked for.
    4. The highest map wins. This is done with the threshold raised and lowered by the band; where
       the two differ nothing is said: these maps err most at the border of what they find.
    5. The strokes are written over it: a person drew them.

    Args:
        maps: (K, H, W) float in [0, 1], zero for the classes that the image has not; not changed.
        background: its id, None where no class is it; then a pixel takes the highest map, and
            nothing is said where no map reaches the lowered threshold.
        background_threshold: how high a map must be for its class to win over the background.
        ignore_band: by how much the threshold is raised and lowered; 0 for a label at every pixel.
            Both defaults are BMP's, whose labels the paper takes.
        scribble: (H, W) uint8, `IGNORE_INDEX` where nobody drew; None to leave it out.
        image: (H, W, 3) uint8, which a refinement follows.
        refine: `none`; `two_label` moves the border between background and all else, which takes
            the same time for any number of classes; `all_labels` moves those between classes too.
        write_strokes: the last step; without it strokes say which classes there are, and no more.

    Returns:
        (H, W) uint8: class ids, `IGNORE_INDEX` where nothing is said.

    Raises:
        ValueError: shapes do not fit, a number is out of its range, or a stroke is of no class.
    """
    _check_maps(maps, scribble, image)
    _check_options(len(maps), background, background_threshold, ignore_band, refine)
    if refine != "none" and image is None:
        raise ValueError(f"`image` must be given to refine by: {refine} follows its colours.")
    things = maps.float().clone()
    if scribble is not None and (drawn := _drawn(scribble)):
        things[[k for k in range(len(maps)) if k not in drawn]] = 0
    pixels = None
    if image is not None and refine != "none":
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).to(maps.device)
    high, low = background_threshold + ignore_band, background_threshold - ignore_band
    if background is None:
        label = _winner(things, pixels)
        label[things.amax(dim=0) < low] = IGNORE_INDEX
    else:
        own = things[background].clone()
        things[background] = 0
        label, other = (
            _over_background(things, own.clamp(min=threshold), background, pixels, refine)
            for threshold in (high, low)
        )
        label[label != other] = IGNORE_INDEX
    result: np.ndarray = label.cpu().numpy().astype(np.uint8)
    return result if scribble is None or not write_strokes else strokes_over(scribble, result)


def strokes_over(scribble: np.ndarray, label: np.ndarray) -> np.ndarray:
    """A label with the strokes written over it, (H, W) uint8; neither is changed."""
    return np.where(scribble != IGNORE_INDEX, scribble, label)


def _over_background(
    things: Tensor, own: Tensor, background: int, pixels: Tensor | None, refine: str
) -> Tensor:
    """(K, H, W) without the background, and its map (H, W) -> (H, W) int64."""
    if pixels is None or refine == "all_labels":
        scores = things.clone()
        scores[background] = own
        return _winner(scores, pixels)
    # Where the foreground is, the field says; of which class it is, the maps do. Where they say
    # nothing, it is of the class that they say most of.
    strongest = things.amax(dim=0)
    two = torch.softmax(torch.stack([own, strongest]) / _TEMPERATURE, dim=0)
    is_thing = dense_crf(two, pixels)[1] > 0.5
    label = (things + 1e-6 * things.mean(dim=(1, 2), keepdim=True)).argmax(dim=0)
    return torch.where(is_thing, label, background)


def _winner(scores: Tensor, pixels: Tensor | None) -> Tensor:
    """(K, H, W) -> (H, W) int64: the highest, of what the field makes of them where it is asked."""
    there = (scores.amax(dim=(1, 2)) > 0).nonzero()[:, 0]
    if pixels is None or len(there) < 2:
        return scores.argmax(dim=0)
    shares = torch.softmax(scores[there] / _TEMPERATURE, dim=0)
    return there[dense_crf(shares, pixels).argmax(dim=0)]


def _drawn(scribble: np.ndarray) -> set[int]:
    return {v for v in values_of(scribble) if v != IGNORE_INDEX}


def _check_maps(maps: Tensor, scribble: np.ndarray | None, image: np.ndarray | None) -> None:
    if maps.ndim != 3 or not 1 <= len(maps) < IGNORE_INDEX:
        raise ValueError(f"`maps` must be (K, H, W), one for each class. Got {tuple(maps.shape)}.")
    size = tuple(maps.shape[1:])
    for name, values, shape in (("scribble", scribble, size), ("image", image, (*size, 3))):
        if values is not None and values.shape != shape:
            raise ValueError(f"`{name}` must be as large as `maps`, {shape}. Got {values.shape}.")
    stray = [] if scribble is None else sorted(k for k in _drawn(scribble) if k >= len(maps))
    if stray:
        raise ValueError(
            f"`scribble` must hold ids of the {len(maps)} classes of `maps`. Got {stray}: the "
            "classes of the two differ."
        )


def _check_options(
    num_classes: int, background: int | None, threshold: float, band: float, refine: str
) -> None:
    if background is not None and not 0 <= background < num_classes:
        raise ValueError(
            f"`background` must be the id of one of {num_classes} classes, or None where no class "
            f"is background. Got {background}."
        )
    if not 0 < threshold - band <= threshold + band < 1:
        raise ValueError(
            "`background_threshold` must be between 0 and 1, with `ignore_band` on either side. "
            f"Got {threshold} and {band}."
        )
    if refine not in REFINEMENTS:
        raise ValueError(f"`refine` must be one of {REFINEMENTS}. Got {refine!r}.")
    if refine == "two_label" and background is None:
        raise ValueError("`refine` must be all_labels where no class is `background`.")
