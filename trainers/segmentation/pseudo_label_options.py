"""The options of pseudo labels, doubt and rectification (CDSP, arXiv 2402.17555).

Defaults are what is right; where the reference does something else, an option says so.
"""

import math
from dataclasses import dataclass
from functools import partial

from scribblegen.configs import option
from scribblegen.segmenting.distance import (
    BOUNDARY_LAMBDA,
    SCRIBBLE_LAMBDA,
    boundary_distance_weight,
    scribble_distance_weight,
)
from scribblegen.trainers.segmentation.maps import LABEL, DerivedMap, LabelMap, Maps
from scribblegen.trainers.segmentation.rectification import MASK_RESIZES

PSEUDO_LABEL = "pseudo_label"
SCRIBBLE_DISTANCE, BOUNDARY_DISTANCE = "scribble_distance", "boundary_distance"
_ADVICE = (
    "`scribblegen pseudo-label` makes a subset that has it; or set `pseudo_label_weight`, "
    "`distance_entropy_weight` and `rectification_weight` to 0."
)
_WEIGHTS = (
    "pseudo_label_weight",
    "entropy_weight",
    "distance_entropy_weight",
    "rectification_weight",
)


@dataclass
class PseudoLabelOptions:
    """What is learned from pseudo labels, and where a segmentor should be certain."""

    pseudo_label_weight: float = option(
        0.0, "Weight of the cross-entropy against the `pseudo_label` of every row; CDSP's is 1."
    )
    pseudo_label_smoothing: float = option(
        0.1, "Share of a pseudo label's target that all classes have alike."
    )
    ignore_to_background: bool = option(
        False,
        "Learn unlabelled pixels of pseudo labels, and padding, as background, as the reference "
        "does by accident.",
    )
    entropy_weight: float = option(0.0, "Weight of the plain mean entropy of the prediction.")
    distance_entropy_weight: float = option(
        0.0,
        "Weight of the entropy near strokes, and of that away from the pseudo label's boundaries; "
        "CDSP's is 1.",
    )
    scribble_lambda: float = option(
        SCRIBBLE_LAMBDA, "lambda_s: the weight ends 255 / sqrt(lambda_s) pixels from the strokes."
    )
    boundary_lambda: float = option(
        BOUNDARY_LAMBDA,
        "lambda_c: the weight is whole 255 / sqrt(lambda_c) pixels from the boundaries.",
    )
    include_background_strokes: bool = option(
        False, "Strokes of class 0 count as strokes for the distance too."
    )
    class_wise_contours: bool = option(
        False, "Boundaries between objects of two classes count too; else those against class 0."
    )
    distance_quantise: bool = option(
        False, "Round distances down to 255ths, as the reference's files; exact ones else."
    )
    distance_recompute: bool = option(
        False, "Measure distances in pixels of the view, from what it shows; in the image's else."
    )
    distance_pad_weight: float = option(
        0.0, "Weight of padding in the distance entropy: nothing is known there; the reference's 1."
    )
    rectification_weight: float = option(
        0.0, "Weight of the localisation rectification module's loss; CDSP's is 1."
    )
    rectification_temperature: float = option(
        1.0, "What the module's similarities are divided by; the reference has none."
    )
    rectification_mask_background: bool = option(
        False, "Let background features take no part; the reference draws them to zero."
    )
    rectification_mask_resize: str = option(
        "nearest",
        "nearest, or bilinear: of the class ids themselves, as the reference, which dilates.",
    )
    rectification_padding: bool = option(
        False, "Let padding take part as background, as the reference does; it shows nothing."
    )

    def check_pseudo_label_options(self) -> None:
        """Refuses values that mean nothing.

        Raises:
            ValueError: the message says which.
        """
        for name in _WEIGHTS:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be 0 or more. Got {getattr(self, name)}.")
        for name in ("pseudo_label_smoothing", "distance_pad_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Got {getattr(self, name)}.")
        for name in ("scribble_lambda", "boundary_lambda", "rectification_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be above 0. Got {getattr(self, name)}.")
        if self.rectification_mask_resize not in MASK_RESIZES:
            raise ValueError(
                f"`rectification_mask_resize` must be one of {MASK_RESIZES}. "
                f"Got {self.rectification_mask_resize!r}."
            )

    def pseudo_label_weights(self) -> dict[str, float]:
        """The weight of each of these losses, by the name that it is told by."""
        return {
            PSEUDO_LABEL: self.pseudo_label_weight,
            "entropy": self.entropy_weight,
            SCRIBBLE_DISTANCE: self.distance_entropy_weight,
            BOUNDARY_DISTANCE: self.distance_entropy_weight,
            "rectification": self.rectification_weight,
        }

    def pseudo_label_maps(self) -> Maps:
        """The maps that these losses are shown beside `label`; none where none of them is on."""
        maps: dict[str, LabelMap | DerivedMap] = {}
        if self.pseudo_label_weight or self.distance_entropy_weight or self.rectification_weight:
            maps[PSEUDO_LABEL] = LabelMap(advice=_ADVICE)
        if self.distance_entropy_weight:
            near = partial(
                scribble_distance_weight,
                lam=self.scribble_lambda,
                include_background_strokes=self.include_background_strokes,
                quantise=self.distance_quantise,
            )
            far = partial(
                boundary_distance_weight,
                lam=self.boundary_lambda,
                class_wise_contours=self.class_wise_contours,
                quantise=self.distance_quantise,
            )
            for name, of, derive in (
                (SCRIBBLE_DISTANCE, LABEL, near),
                (BOUNDARY_DISTANCE, PSEUDO_LABEL, far),
            ):
                maps[name] = DerivedMap(
                    of, derive, of_view=self.distance_recompute, pad=self.distance_pad_weight
                )
        return maps
