"""From maps and strokes to a dense label, stage by stage, and what needs no classifier at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.records import Sample
from scribblegen.segmenting.crf import dense_crf
from scribblegen.segmenting.pseudo_labels import pseudo_label
from scribblegen.segmenting.refinements import REFINEMENTS

ANY_MAP = 1e-6  # a threshold that every map reaches somewhere: it leaves nothing unsaid
AT_THRESHOLDS = {"strokes written over": "none", "field all_labels": "all_labels"}


@dataclass(frozen=True, eq=False)
class Seen:
    """A photograph and what a classifier sees in it.

    Args:
        sample: the photograph, with its mask.
        of_all: (K, H, W) float32 in [0, 1]: the maps of all classes.
        of_drawn: the same, zero for the classes without a stroke.
        background: the id of the class that is no tag, or None.
    """

    sample: Sample
    of_all: Tensor
    of_drawn: Tensor
    background: int | None


Way = Callable[[Seen], np.ndarray]  # -> (H, W) uint8


def stages(background: int | None, threshold: float, band: float) -> dict[str, Way]:
    """The stages of CDSP's pseudo labels, each with what those before it do.

    Without a background there is no field of two labels; but there is a way that leaves no pixel
    unsaid, which the band alone makes where there is a background.
    """
    labelled = partial(_label, threshold=threshold, band=band)
    fields = [r for r in REFINEMENTS[1:] if background is not None or r != "two_label"]
    ways: dict[str, Way] = {
        "maps of all classes": partial(labelled, strokes=False, absent=True),
        "absent classes left out": partial(labelled, strokes=False),
        "strokes written over": labelled,
        **{f"field {refine}": partial(labelled, refine=refine) for refine in fields},
        "field all_labels, no band": partial(labelled, refine="all_labels", band=0.0),
    }
    if background is None:
        said = partial(_label, threshold=ANY_MAP, band=0.0)
        ways["strokes written over, no threshold"] = said
        ways["field all_labels, no threshold"] = partial(said, refine="all_labels")
    return ways


def without_a_classifier() -> dict[str, Way]:
    """What the strokes say by themselves, at every pixel."""
    return {"nearest stroke": nearest_stroke, "field of the strokes": field_of_strokes}


def at_thresholds(thresholds: tuple[float, ...], band: float) -> dict[float, Mapping[str, Way]]:
    """The stages of `AT_THRESHOLDS` at each threshold."""
    return {
        threshold: {
            name: partial(_label, threshold=threshold, band=band, refine=refine)
            for name, refine in AT_THRESHOLDS.items()
        }
        for threshold in thresholds
    }


def nearest_stroke(seen: Seen) -> np.ndarray:
    """The class of the nearest stroke."""
    scribble = seen.sample.scribble
    rows, columns = distance_transform_edt(
        scribble == IGNORE_INDEX, return_distances=False, return_indices=True
    )
    label: np.ndarray = scribble[rows, columns]
    return label


def field_of_strokes(seen: Seen) -> np.ndarray:
    """The field, where strokes are sure of their class and all else knows nothing."""
    scribble = seen.sample.scribble
    drawn = present_classes(scribble)
    if len(drawn) < 2:
        return np.full_like(scribble, drawn[0])
    shares = torch.full((len(drawn), *scribble.shape), 1 / len(drawn))
    on_stroke = torch.from_numpy(scribble != IGNORE_INDEX)
    for number, k in enumerate(drawn):
        shares[number, on_stroke] = torch.from_numpy(scribble == k)[on_stroke].float()
    image = torch.from_numpy(seen.sample.image.copy()).permute(2, 0, 1)
    found = np.array(drawn, np.uint8)[dense_crf(shares, image).argmax(dim=0).numpy()]
    return np.where(scribble != IGNORE_INDEX, scribble, found)


def _label(
    seen: Seen,
    *,
    threshold: float,
    band: float,
    strokes: bool = True,
    absent: bool = False,
    refine: str = "none",
) -> np.ndarray:
    if seen.background is None and refine == "all_labels":
        # The threshold has no part in this field, which takes long: it is made once.
        label = _field_without_threshold(seen)
        said = seen.of_drawn.amax(dim=0).numpy() >= threshold - band
        return np.where(said | (seen.sample.scribble != IGNORE_INDEX), label, IGNORE_INDEX)
    return pseudo_label(
        seen.of_all if absent else seen.of_drawn,
        background=seen.background,
        background_threshold=threshold,
        ignore_band=band,
        scribble=seen.sample.scribble if strokes else None,
        image=seen.sample.image,
        refine=refine,
    )


@lru_cache(maxsize=1)
def _field_without_threshold(seen: Seen) -> np.ndarray:
    return pseudo_label(
        seen.of_drawn,
        background=None,
        background_threshold=ANY_MAP,
        ignore_band=0.0,
        scribble=seen.sample.scribble,
        image=seen.sample.image,
        refine="all_labels",
    )
