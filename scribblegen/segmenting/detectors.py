"""Detectors that look for what a text names: Grounding DINO and OWLv2, through transformers."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from transformers import AutoConfig

from scribblegen.families.loading_errors import loading
from scribblegen.segmenting.grounding_dino import open_grounding_dino
from scribblegen.segmenting.instances import Detection
from scribblegen.segmenting.owlv2 import open_owlv2

BOX_THRESHOLD, TEXT_THRESHOLD = 0.30, 0.25  # of MagicSeg (arXiv 2603.19575)


class Detector(Protocol):
    """Finds what phrases name."""

    def detect(
        self,
        image: np.ndarray,
        phrases: Sequence[Sequence[str]],
        *,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
    ) -> list[Detection]:
        """Everything in an image that one of the classes names.

        Args:
            image: (H, W, 3) uint8 RGB.
            phrases: for each class what stands for it: its name, synonyms. At least one each.
            box_threshold: in [0, 1]; a box is kept if the score of its phrase is greater.
            text_threshold: in [0, 1]; a word counts for a box if its score is greater. Of
                Grounding DINO alone, which scores words; OWLv2 scores phrases.

        Returns:
            From the surest to the least sure; several may be of one thing, see
            `instances.suppressed`. Empty where nothing is found.

        Raises:
            ValueError: a class has no phrase, a phrase has no word in it or is too long, or a
                threshold is outside [0, 1].
        """
        ...

    def fingerprint(self) -> str:
        """Changes with any weight, with the tokenizer, and with how images are shown."""
        ...


_OPEN: dict[str, Callable[[str, torch.device], Any]] = {
    "grounding-dino": open_grounding_dino,
    "owlv2": open_owlv2,
}
DETECTORS = tuple(_OPEN)


def open_detector(name: str, device: torch.device) -> Detector:
    """A detector with its weights, ready to look at images.

    Args:
        name: folder or Hub id of a model of one of `DETECTORS`, with its tokenizer and its image
            processor.
        device: that it runs on.

    Raises:
        ValueError: it is another kind of model.
        OSError: it cannot be loaded, its weights are pickled, or not all there.
    """
    with loading("detector", name):
        kind = AutoConfig.from_pretrained(name).model_type
    if kind not in _OPEN:
        raise ValueError(
            f"`detector` must be a model of one of {list(DETECTORS)}. Got {name}, a {kind}."
        )
    detector: Detector = _OPEN[kind](name, device)
    return detector
