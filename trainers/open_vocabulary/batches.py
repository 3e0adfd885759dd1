"""Rows of a call as the network takes them: images, twins, words, and where they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, values_of
from scribblegen.descriptions import Description
from scribblegen.seeds import numpy_generator
from scribblegen.segmenting.shown_images import Normalisation
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig
from scribblegen.trainers.open_vocabulary.rows import PairTable
from scribblegen.trainers.open_vocabulary.word_sampling import draw_words
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.vocabulary import Vocabulary


@dataclass(frozen=True)
class PairBatch:
    """B rows with K words each, of which some have fewer.

    Args:
        images: (B, 3, H, W) float32, normalised.
        twins: (T, 3, H, W), of the rows that have one.
        has_twin: (B,) bool, T of them.
        texts: (B, K, D); zeros behind the last word of a row.
        valid: (B, K) bool, words that there are.
        targets: (B, K, H, W) bool.
        counted: (B, H, W) bool, pixels that are sure.
    """

    images: Tensor
    twins: Tensor
    has_twin: Tensor
    texts: Tensor
    valid: Tensor
    targets: Tensor
    counted: Tensor


@dataclass(frozen=True, eq=False)
class Batches:
    """Makes batches of draws.

    Args:
        rows: what is read.
        vocabulary: what words are drawn from.
        texts: embeddings (D,) of all of its words, by id.
        config: sizes and seed.
        normalisation: of images, that of the CLIP model.
    """

    rows: PairTable
    vocabulary: Vocabulary
    texts: Mapping[int, Tensor]
    config: OpenVocabularyTrainingConfig
    normalisation: Normalisation

    def batch(self, draws: Sequence[Draw]) -> PairBatch:
        """A row's part is of its epoch and place in the table alone."""
        config, parts = self.config, []
        for draw in draws:
            image, mask, twin, description = self._view(draw)
            drawn = draw_words(
                self.vocabulary,
                description,
                set(values_of(mask)),
                config.words_per_image,
                numpy_generator(config.seed, "words", draw.epoch, draw.index),
                exclude=config.exclude_related,
                hard_share=config.hard_negative_share,
                texts=self.texts,
            )
            parts.append((image, twin, drawn.places(mask), drawn))
        most = max(1, *(len(drawn.ids) for *_, drawn in parts))
        width = len(next(iter(self.texts.values())))
        texts = torch.zeros(len(parts), most, width)
        valid = torch.zeros(len(parts), most, dtype=torch.bool)
        for number, (*_, drawn) in enumerate(parts):
            valid[number, : len(drawn.ids)] = True
            for place, word in enumerate(drawn.ids):
                texts[number, place] = self.texts[word]
        places = torch.from_numpy(np.stack([places for _, _, places, _ in parts]))
        twins = [twin for _, twin, _, _ in parts if twin is not None]
        images = self.shown([image for image, *_ in parts])
        return PairBatch(
            images=images,
            twins=self.shown(twins) if twins else images[:0],
            has_twin=torch.tensor([twin is not None for _, twin, _, _ in parts]),
            texts=texts,
            valid=valid,
            targets=places[:, None] == torch.arange(most)[None, :, None, None],
            counted=places != IGNORE_INDEX,
        )

    def _view(self, draw: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Description]:
        """A random crop of an image and its mask, the same of its twin, and what it shows."""
        pair, view = self.rows.read(draw.index), self.config.augmentation()

        def rng() -> np.random.Generator:
            return numpy_generator(self.config.seed, "view", draw.epoch, draw.index)

        # What is drawn for a view does not depend on what is shown in it: both are cut alike.
        shown = view({"image": pair.image, LABEL: pair.mask}, rng())
        twin = None
        if pair.twin is not None and self.config.counterfactual_losses:
            twin = view({"image": pair.twin, LABEL: pair.mask}, rng())["image"]
        return shown["image"], shown[LABEL], twin, pair.description

    def shown(self, images: Sequence[np.ndarray]) -> Tensor:
        """(H, W, 3) uint8 each -> (B, 3, H, W) float32, normalised."""
        return torch.cat([self.normalisation(np.ascontiguousarray(image)) for image in images])
