"""The rows that MagicSeg makes: a pair of images, and the mask of one of them."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from datasets import Features, Image, List, Value

from scribblegen.classes import IGNORE_INDEX
from scribblegen.descriptions import MASK_CLASSES, Description, description_features
from scribblegen.engine.jobs import Finished
from scribblegen.images import encode_image, encode_label
from scribblegen.methods.attention_images import picture_of
from scribblegen.methods.base import Record, Subset, WordJudge
from scribblegen.methods.magicseg_absence import AbsenceTest, Halves
from scribblegen.methods.magicseg_config import MagicSegConfig
from scribblegen.methods.magicseg_jobs import HalfKey, Pair
from scribblegen.methods.magicseg_masks import Labelled, Masks
from scribblegen.methods.magicseg_scores import background_distance, judged
from scribblegen.records import image_cell

SUBSET = "magicseg"
SCORES = (
    "area",
    "coarse_agreement",
    "margin",
    "detection",
    "agreement",
    "presence",
    "cf_presence",
    "background_distance",
)
_FAILED = "pairs whose counterfactual image shows what it should lack"


def subset(config: MagicSegConfig) -> Subset:
    """The subset of pairs."""
    described = description_features()
    features = Features(
        {
            "image": Image(),
            "mask": Image(),
            "counterfactual_image": Image(),
            **described,
            "counterfactual_prompt": Value("string"),
            "negative_prompt": Value("string"),
            "instances": List(
                {
                    "local": Value("uint8"),
                    "box": List(Value("float32"), length=4),
                    "score": Value("float32"),
                    "phrase": Value("string"),
                    "rle": Value("string"),
                }
            ),
            "cf_mode": Value("string"),
            "cf_noise": Value("string"),
            "cf_absent_score": Value("float32"),
            "cf_passed": Value("bool"),
            "guidance_scale": Value("float32"),
            "num_inference_steps": Value("int32"),
            "encode_ratio": Value("float32"),
            "seed": Value("int64"),
            "cf_seed": Value("int64"),
            "scores": {name: Value("float32") for name in SCORES},
        }
    )
    ratio = config.cf_encode_ratio
    return Subset(
        name=SUBSET,
        features=features,
        settings={
            "cf_mode": config.cf_mode,
            "cf_noise": config.cf_noise,
            **({} if ratio is None else {"encode_ratio": ratio}),
        },
        pictures={
            "image": "image",
            "mask": "mask",
            "counterfactual_image": "counterfactual",
        },
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class PairRows:
    """Makes rows of finished pairs, in the threads that encode.

    Args:
        config: the options of the method.
        masks: finds the words of an image.
        test: looks for them in the other image; None where none does.
        image_format: of the images' files.
        judge: a segmentor that looks at both images, for their `scores`.

    `remarks` counts pairs that failed the test, as they come.
    """

    config: MagicSegConfig
    masks: Masks
    test: AbsenceTest | None
    image_format: str
    judge: WordJudge | None = None
    remarks: Counter[str] = field(default_factory=Counter, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def record(
        self, pair: Pair, positive: Finished[HalfKey], counterfactual: Finished[HalfKey]
    ) -> Record:
        """The record of a pair whose images are finished, or on their way from the device."""
        return Record(pair.place, SUBSET, 0, partial(self.row, pair, positive, counterfactual))

    def row(
        self, pair: Pair, positive: Finished[HalfKey], counterfactual: Finished[HalfKey]
    ) -> dict[str, Any] | str:
        """The row of a pair, or why it is rejected."""
        image, other = picture_of(positive.image), picture_of(counterfactual.image)
        if isinstance(image, str):
            return image
        if isinstance(other, str):
            return f"of the counterfactual image {other}"
        description = pair.description
        found = self.masks.of(image, description, positive.left)
        if isinstance(found, str):
            return found
        mask, area = self._mask(found, description)
        if isinstance(area, str):
            return area
        halves = Halves(image, other, positive.left, counterfactual.left)
        score = None if self.test is None else self.test.score(description, halves)
        if isinstance(score, str):
            return score
        passed = self._passed(score)
        if passed is False and self.config.rejects:
            return f"the counterfactual image shows what it should lack, by {self.config.cf_check}"
        config = self.config
        scores: dict[str, float | None] = {
            **dict.fromkeys(SCORES),
            **found.scores,
            "area": area,
            "background_distance": background_distance(image, other, mask),
            **judged(
                self.judge, description, mask, image, other, union=config.mask_mode == "union"
            ),
        }
        return {
            "image": image_cell(encode_image(image, self.image_format)),
            "mask": image_cell(encode_label(mask, MASK_CLASSES)),
            "counterfactual_image": image_cell(encode_image(other, self.image_format)),
            **description.row(),
            "counterfactual_prompt": pair.counterfactual_prompt,
            "negative_prompt": pair.negative_prompt,
            "instances": [instance.row() for instance in found.instances],
            "cf_mode": config.cf_mode,
            "cf_noise": config.cf_noise,
            "cf_absent_score": score,
            "cf_passed": passed,
            "guidance_scale": config.guidance_scale,
            "num_inference_steps": config.num_inference_steps,
            "encode_ratio": config.cf_encode_ratio,
            "seed": pair.seed,
            "cf_seed": pair.cf_seed,
            "scores": scores,
        }

    def _mask(self, found: Labelled, description: Description) -> tuple[np.ndarray, float | str]:
        """The mask as it is stored, and the smallest share of the image that a word has; or why
        the image is rejected."""
        mask, names = found.mask, {m.local: m.name for m in description.mentions}
        if self.config.mask_mode == "union":
            mask = np.where((mask != 0) & (mask != IGNORE_INDEX), np.uint8(1), mask)
            names = {1: ", ".join(names.values())}
        if (mask == IGNORE_INDEX).mean() > self.config.max_unsure:
            return mask, "the mask says nothing on most of the image"
        areas = {local: float((mask == local).mean()) for local in names}
        for local, area in areas.items():
            if area <= self.config.min_area:
                return mask, f"the mask has too little of {names[local]}"
        return mask, min(areas.values())

    def _passed(self, score: float | None) -> bool | None:
        """Whether a pair passes the test; one that does not is counted."""
        threshold = self.config.threshold
        if score is None or threshold is None:
            return None
        passed = score >= threshold
        if not passed:
            with self._lock:
                self.remarks[_FAILED] += 1
        return passed
