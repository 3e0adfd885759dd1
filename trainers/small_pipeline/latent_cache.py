"""Latents and tokens of a whole source, in memory: the frozen encoder is paid once."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPTokenizer

from scribblegen.classes import present_classes
from scribblegen.images import image_to_tensor, resize_image, resize_label
from scribblegen.prompt_words import class_words
from scribblegen.prompts import class_prompt
from scribblegen.segmenting.token_spans import token_words
from scribblegen.sources import Source
from scribblegen.trainers.small_pipeline.grounding import labels_of_cells
from scribblegen.trainers.small_pipeline.photographs import caption_of, read_usable
from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig
from scribblegen.trainers.small_pipeline.tokenizer import tokens_of, word_tokenizer

_ENCODED_AT_ONCE = 32


class LatentCache:
    """What a text-to-image model is trained on.

    Args:
        source: photographs, with captions unless all prompts are of class names.
        encode: (B, 3, H, W) in [-1, 1] -> (B, 2, C, h, w): mean and std of the latents.
        config: resolution, flips and length of the text.
        tokenizer: of the prompts; if None, one with a token for each of their words.
        show: draw a progress bar.

    Raises:
        ValueError: a photograph has no caption, or one too long.
    """

    def __init__(
        self,
        source: Source,
        encode: Callable[[Tensor], Tensor],
        config: TextToImageConfig,
        *,
        tokenizer: CLIPTokenizer | None = None,
        show: bool,
    ) -> None:
        side = config.resolution
        prompts: list[str] = []  # caption and class prompt in turn
        encoded: list[Tensor] = []
        images: list[Tensor] = []
        labels: list[np.ndarray] = []
        for index in tqdm(range(len(source)), desc="encode", unit="image", disable=not show):
            sample = read_usable(source, index)
            names = [source.classes.names[i] for i in present_classes(sample.scribble)]
            by_classes = class_prompt(names, config.prompt_stem)
            caption = caption_of(sample) if config.class_prompts < 1 else by_classes
            prompts += [caption, by_classes]
            image = image_to_tensor(resize_image(sample.image, side, side))
            images += [image, image.flip(2)] if config.random_flip else [image]
            labels.append(resize_label(sample.scribble, side, side))
            if len(images) >= _ENCODED_AT_ONCE or index == len(source) - 1:
                encoded.append(encode(torch.stack(images)).float().cpu())
                images = []
        # (N, flips, 2, C, h, w)
        self._latents = torch.cat(encoded).unflatten(0, (len(source), -1))
        self.tokenizer = tokenizer or word_tokenizer(prompts, config.text_length)
        self._tokens = tokens_of(self.tokenizer, prompts)  # (2 N, T) int64
        self.no_text = tokens_of(self.tokenizer, [""])  # (1, T)
        if config.grounding_weight:
            self._ground(source, prompts, labels, config)

    def tokens(self, indices: list[int], by_classes: list[bool]) -> Tensor:
        """(B, T) int64: of each photograph's caption, or of its class names."""
        return self._tokens[
            [2 * i + int(names) for i, names in zip(indices, by_classes, strict=True)]
        ]

    def latents(self, indices: list[int], flips: list[bool]) -> Tensor:
        """(2, B, C, h, w) float32: mean and std of each photograph, mirrored or not."""
        return self._latents[indices, [int(flip) for flip in flips]].transpose(0, 1)

    def _ground(
        self,
        source: Source,
        prompts: list[str],
        labels: list[np.ndarray],
        config: TextToImageConfig,
    ) -> None:
        """Where each class is, and by which tokens a prompt names it."""
        names = source.classes.names
        height, width = self._latents.shape[-2:]
        cells = [labels_of_cells(label, (height, width), len(names)) for label in labels]
        self._labels = torch.from_numpy(np.stack(cells))  # (N, h, w)
        phrases = [words.phrases for words in class_words(config.prompt_words, names)]
        length = config.text_length
        words = [token_words(self.tokenizer, text, phrases, length=length) for text in prompts]
        self._words = torch.stack(words).half()  # (2 N, W, T)

    def labels(self, indices: list[int], flips: list[bool]) -> Tensor:
        """(B, h, w) uint8: the class of each cell of the latents, mirrored or not."""
        mirrored = torch.tensor(flips)[:, None, None]
        labels = self._labels[indices]
        return torch.where(mirrored, labels.flip(2), labels)

    def words(self, indices: list[int], by_classes: list[bool]) -> Tensor:
        """(B, W, T) float32: how much each token of those prompts counts for each class."""
        rows = [2 * i + int(names) for i, names in zip(indices, by_classes, strict=True)]
        return self._words[rows].float()
