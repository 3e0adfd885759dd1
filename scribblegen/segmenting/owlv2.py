"""OWLv2 (arXiv 2306.09683): a box for every patch of an image, scored by each phrase."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import Owlv2ForObjectDetection

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.weights import Allowed, load_weights
from scribblegen.segmenting.asked_phrases import asked_for, check_thresholds, found
from scribblegen.segmenting.instances import Detection
from scribblegen.segmenting.shown_images import Normalisation, padded, read_processor, resized
from scribblegen.segmenting.text_tokenizers import open_tokenizer, tokenizer_identity

_QUERY = "a photo of a {}"  # what it was trained to be asked
_SAME_WEIGHTS = Allowed(unexpected=(r".*\.position_ids$",))


class Owlv2:
    """A `Detector`; see there.

    Args:
        model: in its evaluation mode, on its device.
        tokenizer: of its text encoder.
        normalisation: of images.
    """

    def __init__(
        self, model: Owlv2ForObjectDetection, tokenizer: Any, normalisation: Normalisation
    ) -> None:
        self.model, self.tokenizer, self.normalisation = model, tokenizer, normalisation

    @torch.inference_mode()
    def detect(
        self,
        image: np.ndarray,
        phrases: Sequence[Sequence[str]],
        *,
        box_threshold: float = 0.30,
        text_threshold: float = 0.25,
    ) -> list[Detection]:
        """See `Detector.detect`; `text_threshold` has no effect: a phrase has one score."""
        check_thresholds(box_threshold=box_threshold, text_threshold=text_threshold)
        asked = asked_for(phrases)
        if not asked:
            return []
        longer = max(image.shape[:2])  # boxes are told as shares of the padded square's side
        side = self.model.config.vision_config.image_size
        pixels = self.normalisation(resized(padded(image, longer), side, side))
        told = self.tokenizer(
            [_QUERY.format(one.text) for one in asked],
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        device = self.model.device
        outputs = self.model(
            input_ids=told.input_ids.to(device),
            attention_mask=told.attention_mask.to(device),
            pixel_values=pixels.to(device),
        )
        scores, chosen = outputs.logits[0].float().sigmoid().cpu().max(dim=1)
        kept = (scores > box_threshold).numpy()
        boxes = outputs.pred_boxes[0].float().cpu().numpy()[kept] * longer
        of = [asked[number] for number in chosen[kept].tolist()]
        return found(boxes, scores.numpy()[kept], of, image.shape[:2])

    def fingerprint(self) -> str:
        """See `Detector.fingerprint`."""
        shown_as = (self.normalisation, _QUERY, tokenizer_identity(self.tokenizer))
        digest = hashlib.blake2b(repr(shown_as).encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]


def open_owlv2(name: str, device: torch.device) -> Owlv2:
    """See `detectors.open_detector`."""
    model = load_weights(
        Owlv2ForObjectDetection, "detector", name, allowed=_SAME_WEIGHTS, dtype="float32"
    )
    tokenizer = open_tokenizer("detector", name)
    _, normalisation = read_processor("detector", name)
    return Owlv2(model.to(device).eval(), tokenizer, normalisation)
