"""The words that descriptions are asked for: every word of a vocabulary equally often.

Of K words description i is of the word i mod K, in round i div K. So every beginning is as even
among the words as can be, and more descriptions leave those before them as they are.
"""

import re
from collections.abc import Sequence

from scribblegen.builders.descriptions_config import VocabularyConfig
from scribblegen.descriptions import MASK_CLASSES, Asked
from scribblegen.seeds import derive_seed, numpy_generator
from scribblegen.sources import Source
from scribblegen.vocabulary import Vocabulary, Word
from scribblegen.vocabulary_files import load_vocabulary


class VocabularySource(Source[Asked]):
    """What descriptions are to name, one after the other.

    Where several words are asked for, the others stand a fixed number of places behind the first
    in the vocabulary, another number in every round: so each is beside others equally often. Words
    that may be in the same pixels are not asked for together; such a description has fewer.

    Args:
        config: the vocabulary, and how many there are.
        ids: None; they are made, not chosen from.

    Raises:
        FileNotFoundError, ValueError: there is no such vocabulary, or it is none.
    """

    item = Asked

    def __init__(self, config: VocabularyConfig, ids: str | None = None) -> None:
        self.vocabulary: Vocabulary = load_vocabulary(config.vocabulary)
        self.config, words = config, self.vocabulary.words
        self.steps = [
            _steps(config.description_seed, number, len(words))
            for number in range(config.descriptions_per_class)
        ]
        super().__init__(
            MASK_CLASSES,
            [
                f"{word.id}-{_slug(word)}-{number:06d}"
                for number in range(config.descriptions_per_class)
                for word in words
            ],
        )

    def load(self, index: int) -> Asked:
        number, place = divmod(range(len(self))[index], len(self.vocabulary))
        words = self.vocabulary.words
        wanted = 1 + number % self.config.classes_per_description
        asked: list[Word] = []
        taken: set[int] = set()
        for step in (0, *self.steps[number][: wanted - 1]):
            word = words[(place + step) % len(words)]
            if word.id not in taken:
                asked.append(word)
                taken |= self.vocabulary.related(word)
        seed = derive_seed(self.config.description_seed, "description", asked[0].id, number)
        return Asked(self.source_ids[index], tuple(asked), number, place, seed)

    def check(self, item: Asked) -> str | None:
        return None

    def content_keys(self) -> Sequence[str]:
        return [f"{self.config.description_seed} {self.config.classes_per_description}"]


def _slug(word: Word) -> str:
    return re.sub(r"[^\w-]+", "_", word.name)


def _steps(seed: int, number: int, count: int) -> list[int]:
    """How far behind a word those stand that are asked for beside it in a round."""
    steps = 1 + numpy_generator(seed, "beside", number).permutation(count - 1)
    return [int(step) for step in steps]
