"""Rows of a call as the network takes them: images, twins, words, and where they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, values_of
from scribblegen.seeds import numpy_generator
from scribblegen.segmenting.shown_images import Normalisation
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig
from scribblegen.trainers.open_vocabulary.rows import PairTable
from scribblegen.trainers.open_vocabulary.word_sampling import draw_words
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
            pair = self.rows.read(draw.index)
            rng = numpy_generator(config.seed, "words", draw.epoch, draw.index)
            drawn = draw_words(
                self.vocabulary,
                pair.description,
                set(values_of(pair.mask)),
                config.words_per_image,
                rng,
                exclude=config.exclude_related,
            )
            is_mirrored = config.random_flip and rng.random() < 0.5
            turned = slice(None, None, -1 if is_mirrored else 1)
            twin = None if pair.twin is None or not config.cf_loss else pair.twin[:, turned]
            parts.append((pair.image[:, turned], twin, drawn.places(pair.mask[:, turned]), drawn))
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

    def shown(self, images: Sequence[np.ndarray]) -> Tensor:
        """(H, W, 3) uint8 each -> (B, 3, H, W) float32, normalised."""
        return torch.cat([self.normalisation(np.ascontiguousarray(image)) for image in images])
