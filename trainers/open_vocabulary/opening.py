"""A trained segmentor of any words, as it was left in its folder or on the Hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import load_weights
from scribblegen.segmenting.shown_images import Normalisation, resized
from scribblegen.segmenting.text_tokenizers import open_tokenizer
from scribblegen.trainers.open_vocabulary.model import OpenVocabularyConfig, OpenVocabularyModel
from scribblegen.trainers.segmentation.windows import in_windows

STRIDE = 426 / 512  # of windows, as a share of their side: the paper's
_OPTION = "model"


@dataclass(frozen=True, eq=False)
class WordSegmentor:
    """Masks of any words on pictures of any size.

    Args:
        model: the network, in evaluation mode.
        tokenizer: of its text encoder.
        stride: of the windows that slide over a picture, as a share of their side.
    """

    model: OpenVocabularyModel
    tokenizer: Any
    stride: float = STRIDE

    @property
    def side(self) -> int:
        """Of the squares that it was trained on, in pixels."""
        side: int = self.model.config.side
        return side

    def texts(self, words: Sequence[str]) -> Tensor:
        """(K, D) embeddings of words, to be looked for in any number of pictures."""
        return self.model.embed(self.tokenizer, words)

    @torch.inference_mode()
    def scores(self, image: np.ndarray, texts: Tensor) -> Tensor:
        """How likely every word is at every place.

        Args:
            image: (H, W, 3) uint8; its shorter side is brought to `side`, and squares slide along
                the other one.
            texts: (K, D), of `texts`.

        Returns:
            (K, h, w) float32 in [0, 1], of the picture as it was shown.
        """
        config = self.model.config
        scale = self.side / min(image.shape[:2])
        height, width = (max(self.side, round(length * scale)) for length in image.shape[:2])
        normalised = Normalisation(tuple(config.image_mean), tuple(config.image_std))
        shown = normalised(resized(image, height, width)).to(self.model.device)

        def called(window: Tensor) -> Tensor:
            seen = self.model.see(window)
            return torch.sigmoid(self.model.masks(seen, texts[None], window.shape[-2:]).float())

        return in_windows(called, shown, self.side, self.stride)[0]


def open_segmentor(name: str, device: torch.device | str = "cpu") -> WordSegmentor:
    """What `train-open-vocabulary` left.

    Args:
        name: folder or Hub id.
        device: that it runs on.

    Raises:
        OSError: there is none, it is of another kind, or files of it are damaged.
    """
    with loading(_OPTION, name, "is no segmentor of any words"):
        found, _ = OpenVocabularyConfig.get_config_dict(name)
        kind = found.get("model_type")
        if kind != OpenVocabularyConfig.model_type:
            raise ValueError(
                f"`train-open-vocabulary` makes models of type {OpenVocabularyConfig.model_type}, "
                f"and this one is of {kind!r}."
            )
    model = load_weights(OpenVocabularyModel, _OPTION, name, dtype="float32")
    return WordSegmentor(model.to(device).eval(), open_tokenizer(_OPTION, name))
