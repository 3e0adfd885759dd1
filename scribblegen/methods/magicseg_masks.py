"""Where an image of MagicSeg shows the words of its text: by attention, or by detector and
segmenter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from torch import Tensor

from scribblegen.descriptions import Description
from scribblegen.methods.attention_images import mask_settings
from scribblegen.methods.magicseg_config import MagicSegConfig
from scribblegen.methods.magicseg_words import rivals
from scribblegen.segmenting.detectors import Detector
from scribblegen.segmenting.instances import Instance, local_mask, suppressed
from scribblegen.segmenting.maps_to_masks import mask_of_maps
from scribblegen.segmenting.mask_parts import parts_as_instances
from scribblegen.segmenting.segmenters import Segmenter
from scribblegen.segmenting.word_maps import WordMaps
from scribblegen.vocabulary import Vocabulary

_LAST = 254  # of mask values


@dataclass(frozen=True, eq=False)
class Labelled:
    """What was found in an image.

    Args:
        mask: (H, W) uint8: `local` of the words, 0 where none is, `IGNORE_INDEX` where it is not
            clear.
        instances: of the words.
        scores: of how it was found, by name.
    """

    mask: np.ndarray
    instances: Sequence[Instance]
    scores: Mapping[str, float] = field(default_factory=dict)


class Masks(Protocol):
    """Finds the words of a description in its image."""

    def of(
        self, image: np.ndarray, description: Description, left: Mapping[str, Tensor]
    ) -> Labelled | str:
        """What is found in an image (H, W, 3) uint8; or why it cannot be used.

        `left` is what an `AttentionProbe` left of the image, of the words in their order.
        """


@dataclass(frozen=True, eq=False)
class AttentionMasks:
    """Of the attention with which the image was drawn; instances are the masks' connected parts.

    What else the text names has a part in it: see `magicseg_words`.
    """

    config: MagicSegConfig
    maps: WordMaps

    def of(
        self, image: np.ndarray, description: Description, left: Mapping[str, Tensor]
    ) -> Labelled | str:
        """See `Masks`; there is always something."""
        names = [mention.name for mention in description.mentions]
        values = [mention.local for mention in description.mentions]
        others = [noun for noun, _ in rivals(description)]
        # They have values of their own until the winner is known.
        others_values = [_LAST - number for number in range(len(others))]
        maps, coarse = self.maps.of(left, [*names, *others], image)
        found = mask_of_maps(
            maps,
            coarse,
            [*values, *others_values],
            image,
            background=0,
            settings=mask_settings(self.config),
        )
        mask = np.where(np.isin(found.mask, others_values), np.uint8(0), found.mask)
        instances = parts_as_instances(
            mask, values, names, maps[: len(names)], min_share=self.config.min_component
        )
        scores = {"coarse_agreement": found.agreement, "margin": found.margin}
        return Labelled(mask, instances, scores)


@dataclass(frozen=True, eq=False)
class DetectorMasks:
    """Of boxes that a detector finds, each with the mask that a segmenter makes of it."""

    config: MagicSegConfig
    detector: Detector
    segmenter: Segmenter
    vocabulary: Vocabulary

    def of(
        self, image: np.ndarray, description: Description, left: Mapping[str, Tensor]
    ) -> Labelled | str:
        """See `Masks`; a word that is not found is a reason, in a union all of them."""
        mentions = description.mentions
        try:
            boxes = self.detector.detect(
                image,
                [self.vocabulary.by_id[mention.id].phrases for mention in mentions],
                box_threshold=self.config.box_threshold,
                text_threshold=self.config.text_threshold,
            )
        except ValueError as error:  # of a phrase that it cannot read
            return f"the detector cannot be asked: {error}"
        detections = suppressed(boxes)
        lacking = {*range(len(mentions))} - {found.row for found in detections}
        if lacking and (not detections or self.config.mask_mode != "union"):
            names = ", ".join(mentions[row].name for row in sorted(lacking))
            return f"the detector finds no {names}"
        masks = self.segmenter.segment(image, np.array([found.box for found in detections]))
        instances = [
            Instance(mentions[found.row].local, found.box, found.score, found.phrase, mask)
            for found, mask in zip(detections, masks, strict=True)
            if mask.any()
        ]
        best = [
            max((found.score for found in detections if found.row == row), default=0.0)
            for row in range(len(mentions))
        ]
        size = (image.shape[0], image.shape[1])
        return Labelled(local_mask(instances, size), instances, {"detection": min(best)})
