"""The rows that DiffuMask makes: an image, its mask, and how both were made."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Features, Image, List, Value
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.engine.jobs import Finished
from scribblegen.images import encode_image, encode_label
from scribblegen.methods.attention_images import mask_settings, picture_of, word_maps
from scribblegen.methods.base import Judge, Subset
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.prompts import Prompt
from scribblegen.records import image_cell
from scribblegen.segmenting.fusion import Fusion
from scribblegen.segmenting.maps_to_masks import mask_of_maps
from scribblegen.segmenting.tags import BACKGROUND
from scribblegen.segmenting.word_maps import Affinity

SUBSET = "diffumask"
SCORES = ("area", "coarse_agreement", "margin", "agreement", "cv_iou")


def subset(config: DiffuMaskConfig, classes: Classes) -> Subset:
    """The subset of images with masks."""
    features = Features(
        {
            "image": Image(),
            "label": Image(),
            "classes": List(ClassLabel(names=list(classes.names))),
            "source_id": Value("string"),
            "prompt": Value("string"),
            "prompt_source": Value("string"),
            "guidance_scale": Value("float32"),
            "num_inference_steps": Value("int32"),
            "seed": Value("int64"),
            "thresholds": List(Value("float32")),
            "scores": {name: Value("float32") for name in SCORES},
        }
    )
    pictures = {"image": "image", "label": "mask"}
    if config.soft:
        features["attention"] = List(Image())
    return Subset(
        name=SUBSET,
        features=features,
        settings={"guidance_scale": config.guidance_scale},
        pictures=pictures,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageRows:
    """Makes rows of finished images, in the threads that encode.

    Args:
        config: the options of the method.
        classes: that prompts name.
        fusion: how much maps of each width count.
        image_format: of the images' files.
        judge: a segmentor that looks at each image, for its `scores`.
        affinity: what spreads the maps, where the option says so.
    """

    config: DiffuMaskConfig
    classes: Classes
    fusion: Fusion
    image_format: str
    judge: Judge | None = None
    affinity: Affinity | None = None

    def row(self, finished: Finished[Any], prompt: Prompt, seed: int) -> dict[str, Any] | str:
        """The row of an image, or why it is rejected."""
        image = picture_of(finished.image)
        if isinstance(image, str):
            return image
        names = [self.classes.names[i] for i in prompt.class_ids]
        maps, coarse = word_maps(self.config, self.fusion, self.affinity).of(
            finished.left, names, image
        )
        found = mask_of_maps(
            maps,
            coarse,
            prompt.class_ids,
            image,
            background=self.rest(prompt),
            settings=mask_settings(self.config),
        )
        sure = found.mask[found.mask != IGNORE_INDEX]
        if 1 - sure.size / found.mask.size > self.config.max_unsure:
            return "the mask says nothing on most of the image"
        areas = {i: float((sure == i).sum() / found.mask.size) for i in prompt.class_ids}
        for class_id, area in areas.items():
            if area <= self.config.min_area:
                return f"the mask has too little of {self.classes.names[class_id]}"
        judged = None if self.judge is None else self.judge.agreement(image, found.mask)
        return {
            "image": image_cell(encode_image(image, self.image_format)),
            "label": image_cell(encode_label(found.mask, self.classes)),
            "classes": sorted(int(v) for v in np.unique(sure)),
            "source_id": prompt.source_id,
            "prompt": prompt.text,
            "prompt_source": prompt.prompt_source,
            "guidance_scale": self.config.guidance_scale,
            "num_inference_steps": self.config.num_inference_steps,
            "seed": seed,
            "thresholds": list(found.thresholds),
            "scores": {
                "area": min(areas.values()),
                "coarse_agreement": found.agreement,
                "margin": found.margin,
                "agreement": judged,
                "cv_iou": None,
            },
            **({"attention": [_grey(map_) for map_ in maps]} if self.config.soft else {}),
        }

    def rest(self, prompt: Prompt) -> int | None:
        """What pixels of no named class are: an id, `IGNORE_INDEX`, or None where none are."""
        kind = self.config.rest
        if kind == "auto" and BACKGROUND in self.classes.names:
            kind = "background"
        elif kind == "auto":
            kind = "none" if prompt.prompt_source == "scenes" else "ignore"
        if kind == "background":
            return self.classes.names.index(BACKGROUND)
        return IGNORE_INDEX if kind == "ignore" else None


def _grey(map_: Tensor) -> dict[str, Any]:
    """(H, W) in [0, 1] -> a grey picture."""
    grey = (map_.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return image_cell(encode_image(np.repeat(grey[..., None], 3, axis=2), "png"))
