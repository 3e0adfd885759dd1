"""How much nearer an image is to one text than to another, by a CLIP model of transformers."""

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import Allowed, load_weights

_OPTION = "clip_model"
# Of transformers before its release 4.31: lists of numbers from 0, which the network has anew.
_ALLOWED = Allowed(unexpected=(r"(text|vision)_model\.embeddings\.position_ids$",))


class ClipMargins:
    """A CLIP model (arXiv 2103.00020), shown images as its own image processor says.

    Args:
        name: folder or Hub id.
        device: that it runs on.

    Raises:
        OSError: there is no such model, its weights are pickled, or it lacks a processor.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        model = load_weights(CLIPModel, _OPTION, name, allowed=_ALLOWED, dtype="float32")
        self.model: Any = model.to(device).eval()
        with loading(_OPTION, name, "has no usable tokenizer"):
            self.tokenizer = AutoTokenizer.from_pretrained(name)
        with loading(_OPTION, name, "has no image processor"):
            self.processor = AutoImageProcessor.from_pretrained(name)
        with loading(_OPTION, name, "cannot be shown a picture"):
            self.probability(np.zeros((64, 64, 3), np.uint8), "a photo of a cat", "a photo")

    @torch.inference_mode()
    def probability(self, image: np.ndarray, text: str, other: str) -> float:
        """How likely `text` rather than `other` is told of an image (H, W, 3) uint8, in [0, 1].

        The sigmoid of the margin of its similarity, at the model's own temperature.
        """
        seen = self.processor(images=image, return_tensors="pt", input_data_format="channels_last")
        tokens = self.tokenizer(
            [text, other],
            padding=True,
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        outputs = self.model(
            pixel_values=seen["pixel_values"].to(self.model.device),
            input_ids=tokens["input_ids"].to(self.model.device),
            attention_mask=tokens["attention_mask"].to(self.model.device),
        )
        logits: Tensor = outputs.logits_per_image[0].float()
        return float(torch.sigmoid(logits[0] - logits[1]))

    def fingerprint(self) -> str:
        """Changes with any weight, with the tokenizer, and with how images are shown."""
        digest = hashlib.blake2b(self.processor.to_json_string().encode())
        digest.update(repr(sorted(self.tokenizer.get_vocab().items())).encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]
