"""Whether the words of a description are gone from the counterfactual image of its pair.

Every test gives a score in [0, 1], higher where it is surer; of several words the worst.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from scribblegen.descriptions import Description
from scribblegen.segmenting.clip_margins import ClipMargins
from scribblegen.segmenting.detectors import Detector
from scribblegen.segmenting.fusion import Fusion
from scribblegen.segmenting.word_maps import by_width, heights
from scribblegen.vocabulary import Vocabulary

_LOWEST = 0.05  # of boxes that are looked at: fainter ones would be everywhere


@dataclass(frozen=True, eq=False)
class Halves:
    """Both images of a pair, (H, W, 3) uint8, each with what a probe left of it."""

    image: np.ndarray
    counterfactual: np.ndarray
    left: Mapping[str, Tensor]
    counterfactual_left: Mapping[str, Tensor]


class AbsenceTest(Protocol):
    """Looks for the words of a description in the image that should lack them."""

    def score(self, description: Description, halves: Halves) -> float | str:
        """How sure it is that they are gone, in [0, 1]; or why that cannot be told."""


@dataclass(frozen=True, eq=False)
class ByAttention:
    """How much less attention the words draw, where they draw most, than in the other image.

    In both images the words of the description are looked for, whatever text was drawn. Shares of
    attention are compared as they are, not by their shape: of a word that is gone a faint map is
    left, which may be of any shape.
    """

    fusion: Fusion

    def score(self, description: Description, halves: Halves) -> float:
        """See `AbsenceTest`."""
        names = [mention.name for mention in description.mentions]
        before, after = (
            heights(by_width(left, len(names)), [self.fusion.of(name) for name in names])
            for left in (halves.left, halves.counterfactual_left)
        )
        return min(map(fallen, before, after))


@dataclass(frozen=True, eq=False)
class ByDetector:
    """How little sure a detector is of its best box of a word."""

    detector: Detector
    vocabulary: Vocabulary
    text_threshold: float

    def score(self, description: Description, halves: Halves) -> float | str:
        """See `AbsenceTest`."""
        try:
            found = self.detector.detect(
                halves.counterfactual,
                [self.vocabulary.by_id[mention.id].phrases for mention in description.mentions],
                box_threshold=_LOWEST,
                text_threshold=self.text_threshold,
            )
        except ValueError as error:  # of a phrase that it cannot read
            return f"the detector cannot be asked: {error}"
        return 1 - max((detection.score for detection in found), default=0.0)


@dataclass(frozen=True, eq=False)
class ByClip:
    """How much less a CLIP model is for a word against none than of the image that has it."""

    clip: ClipMargins
    vocabulary: Vocabulary

    def score(self, description: Description, halves: Halves) -> float:
        """See `AbsenceTest`."""
        scores = []
        for mention in description.mentions:
            text = f"a photo of {self.vocabulary.by_id[mention.id].glossed}"
            before, after = (
                self.clip.probability(image, text, "a photo")
                for image in (halves.image, halves.counterfactual)
            )
            scores.append(fallen(before, after))
        return min(scores)


def fallen(before: float, after: float) -> float:
    """What of a presence is gone, in [0, 1]; 0 where there was none or it grew."""
    return min(1.0, max(0.0, 1 - after / before)) if before > 0 else 0.0
