"""Which words an image is asked for in a step: its own first, and others that it cannot hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX
from scribblegen.descriptions import Description
from scribblegen.vocabulary import Vocabulary

NOTHING = 254  # in a mask of places: none of the words


@dataclass(frozen=True)
class DrawnWords:
    """The words of one image in one step.

    Args:
        ids: in the vocabulary; those that are in the image come first.
        locals: the values of these in the mask, as many as are in the image.
    """

    ids: tuple[int, ...]
    locals: tuple[int, ...]

    def places(self, mask: np.ndarray) -> np.ndarray:
        """A mask of local values -> of places in `ids`.

        Args:
            mask: (H, W) uint8; 0 is none of its words, `IGNORE_INDEX` unsure.

        Returns:
            (H, W) uint8: 0, 1, ... the first words of `ids`, `NOTHING`, and `IGNORE_INDEX` where
            the mask is unsure or has another value.
        """
        table = np.full(256, IGNORE_INDEX, np.uint8)
        table[0] = NOTHING
        table[list(self.locals)] = np.arange(len(self.locals), dtype=np.uint8)
        return table[mask]


def draw_words(
    vocabulary: Vocabulary,
    description: Description,
    present: set[int],
    number: int,
    rng: np.random.Generator,
    *,
    exclude: bool = True,
    hard_share: float = 0.0,
    texts: Mapping[int, Tensor] | None = None,
) -> DrawnWords:
    """Category random sampling of MagicSeg (arXiv 2603.19575).

    Args:
        vocabulary: what is drawn from.
        description: of the image.
        present: values of its mask.
        number: of words; there are fewer where the vocabulary has not so many that may be drawn.
        rng: what the others are drawn from.
        exclude: leave out what may be in the image too: synonyms, parents and children of its
            words, and whatever its text names.
        hard_share: of the others, that are the nearest to its own words that have a pixel; the
            rest is drawn.
        texts: embeddings of all words, of length 1, by id, that say what is near.

    Returns:
        Its own words that have a pixel, in the order of their local values; behind them others,
        each once: the nearest ones, and the rest in random order. A word of its text without a
        pixel is none of them.
    """
    own = sorted(description.mentions, key=lambda mention: mention.local)
    positive = [mention for mention in own if mention.local in present][:number]
    asked = {mention.id for mention in own}
    taken = vocabulary.excluded(asked, description.nouns) if exclude else frozenset(asked)
    free = [word.id for word in vocabulary.words if word.id not in taken]
    wanted = min(number - len(positive), len(free))
    hard = _nearest(free, [m.id for m in positive], round(hard_share * wanted), texts or {})
    rest = [word for word in free if word not in hard]
    chosen = [rest[int(i)] for i in rng.permutation(len(rest))[: wanted - len(hard)]]
    return DrawnWords(
        (*(m.id for m in positive), *hard, *chosen),
        tuple(m.local for m in positive),
    )


def _nearest(
    free: Sequence[int], own: Sequence[int], number: int, texts: Mapping[int, Tensor]
) -> list[int]:
    """So many of `free` as are nearest to any of `own`, the nearest first; the first of equals."""
    if not number or not own:
        return []
    similar = torch.stack([texts[i] for i in free]) @ torch.stack([texts[i] for i in own]).T
    order = torch.argsort(similar.amax(dim=1), descending=True, stable=True)
    return [free[int(i)] for i in order[:number]]
