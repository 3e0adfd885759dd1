"""Grounding DINO (arXiv 2303.05499): boxes for the phrases of a caption.

It scores each box by each token of the caption. All classes are in one caption, "cat. beach ball.",
and a box is of the phrase that its tokens are in.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GroundingDinoForObjectDetection

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.weights import Allowed, load_weights
from scribblegen.segmenting.asked_phrases import Asked, asked_for, check_thresholds, found
from scribblegen.segmenting.instances import Detection, by_score
from scribblegen.segmenting.shown_images import (
    MOST_SIDE,
    Normalisation,
    read_processor,
    resized,
    shortest_side,
)
from scribblegen.segmenting.text_tokenizers import open_tokenizer, tokenizer_identity
from scribblegen.text_files import shown

_SHORTEST, _LONGEST = 800, 1333  # sides in pixels, where the image processor says nothing
_SAME_WEIGHTS = Allowed(missing=(r".*swin\.layernorm",), unexpected=(r".*\.position_ids$",))


class GroundingDino:
    """A `Detector`; see there.

    Args:
        model: in its evaluation mode, on its device.
        tokenizer: of its text encoder, one that knows the characters of tokens.
        normalisation: of images.
        sides: pixels of the shorter side of an image, and at most of the longer one.
    """

    def __init__(
        self,
        model: GroundingDinoForObjectDetection,
        tokenizer: Any,
        normalisation: Normalisation,
        sides: tuple[int, int],
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.normalisation, self.sides = normalisation, sides

    @torch.inference_mode()
    def detect(
        self,
        image: np.ndarray,
        phrases: Sequence[Sequence[str]],
        *,
        box_threshold: float = 0.30,
        text_threshold: float = 0.25,
    ) -> list[Detection]:
        """See `Detector.detect`. The score of a box is that of the best token of its phrase."""
        check_thresholds(box_threshold=box_threshold, text_threshold=text_threshold)
        asked = asked_for(phrases)
        size = image.shape[:2]
        pixels = self.normalisation(resized(image, *shortest_side(size, *self.sides)))
        pixels = pixels.to(self.model.device)
        detections: list[Detection] = []
        for part in self._parts(asked):
            told, tokens = caption_of(self.tokenizer, part)
            device = self.model.device
            outputs = self.model(
                pixel_values=pixels, **{key: value.to(device) for key, value in told.items()}
            )
            scores = outputs.logits[0].float().sigmoid()[:, : tokens.shape[1]].cpu()
            best, chosen = phrase_of_boxes(scores, tokens, box_threshold, text_threshold)
            kept = (best > box_threshold).numpy()
            scale = np.array([size[1], size[0], size[1], size[0]])
            boxes = outputs.pred_boxes[0].float().cpu().numpy()[kept] * scale
            of = [part[number] for number in chosen[kept].tolist()]
            detections += found(boxes, best.numpy()[kept], of, size)
        return by_score(detections)

    def fingerprint(self) -> str:
        """See `Detector.fingerprint`."""
        shown_as = (self.normalisation, self.sides, tokenizer_identity(self.tokenizer))
        digest = hashlib.blake2b(repr(shown_as).encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]

    def _parts(self, asked: list[Asked]) -> Iterator[list[Asked]]:
        """As many phrases as one caption holds, in their order."""
        most = min(self.model.config.max_text_len, self.tokenizer.model_max_length)
        part: list[Asked] = []
        length = 2  # its first and last token
        for one in asked:
            needed = len(self.tokenizer(one.text, add_special_tokens=False).input_ids) + 1
            if needed + 2 > most:
                raise ValueError(
                    f"`phrases` must have at most {most - 3} tokens each. Got {needed - 1}: "
                    f"{shown(one.phrase)}."
                )
            if part and length + needed > most:
                yield part
                part, length = [], 2
            part.append(one)
            length += needed
        if part:
            yield part


def caption_of(tokenizer: Any, asked: Sequence[Asked]) -> tuple[dict[str, Tensor], Tensor]:
    """All phrases in one caption.

    Args:
        tokenizer: one that knows from which characters a token is made.
        asked: P phrases.

    Returns:
        What the network is told, (1, T) each; and (P, T) bool, which tokens each phrase has.
    """
    caption, spans = "", []
    for one in asked:
        spans.append((len(caption), len(caption) + len(one.text)))
        caption += f"{one.text}. "
    encoded = tokenizer(caption.strip(), return_tensors="pt", return_offsets_mapping=True)
    starts, stops = encoded["offset_mapping"][0].T
    tokens = [(starts < stops) & (starts < stop) & (start < stops) for start, stop in spans]
    told = ("input_ids", "attention_mask", "token_type_ids")
    return {key: encoded[key] for key in told if key in encoded}, torch.stack(tokens)


def phrase_of_boxes(
    scores: Tensor, tokens: Tensor, box_threshold: float, text_threshold: float
) -> tuple[Tensor, Tensor]:
    """Which phrase each box is of.

    Of the phrases with a token above `box_threshold`, the one whose tokens agree most: the mean of
    their scores, those not above `text_threshold` counted as 0. So a bear is no "polar bear" whose
    "bear" alone is found.

    Args:
        scores: (N, T) in [0, 1], of each box and token.
        tokens: (P, T) bool, which tokens each phrase has.
        box_threshold, text_threshold: as `Detector.detect` has them.

    Returns:
        (N,) float32, the score of the best token of the box's phrase, 0 where no phrase is found;
        and (N,) int64, the phrase.
    """
    own = tokens.float()
    best = (scores[:, None] * own).amax(dim=2)  # (N, P)
    agreed = (scores * (scores > text_threshold)) @ own.T / own.sum(dim=1).clamp(min=1)
    agreed = agreed.masked_fill((best <= box_threshold) | (agreed == 0), -1)
    most, phrase = agreed.max(dim=1)
    return best.gather(1, phrase[:, None])[:, 0].masked_fill(most < 0, 0), phrase


def open_grounding_dino(name: str, device: torch.device) -> GroundingDino:
    """See `detectors.open_detector`."""
    model = load_weights(
        GroundingDinoForObjectDetection, "detector", name, allowed=_SAME_WEIGHTS, dtype="float32"
    )
    tokenizer = open_tokenizer("detector", name)
    processor, normalisation = read_processor("detector", name)
    return GroundingDino(
        model.to(device).eval(), tokenizer, normalisation, _sides(name, processor.get("size"))
    )


def _sides(name: str, size: Any) -> tuple[int, int]:
    """The shorter side and the longer, of what an image processor says."""
    sides = size if isinstance(size, dict) else {"shortest_edge": size or _SHORTEST}
    pair = sides.get("shortest_edge", _SHORTEST), sides.get("longest_edge", _LONGEST)
    if not all(isinstance(side, int) and 1 <= side <= MOST_SIDE for side in pair):
        raise ValueError(
            f"`size` of the image processor of `detector` {name} must be sides of 1 to {MOST_SIDE} "
            f"pixels. Got {shown(size)}."
        )
    return pair
