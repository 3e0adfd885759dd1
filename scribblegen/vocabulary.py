"""Vocabularies: many words, each with what else it is called and what it is a kind of.

Label files count in bytes; a vocabulary does not: its ids are stable, and may be far beyond 255.
The label of an image counts the few words that it holds (`descriptions.Mention.local`).
"""

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Word:
    """An entry of a vocabulary.

    Args:
        id: at least 0; it never changes, whatever is added to the vocabulary.
        name: the plain noun, as a text has it: "yoke", not "yoke (animal equipment)".
        sense: which of its meanings, such as "animal equipment"; told to text encoders.
        synonyms: other names; a detector is asked for them too.
        plural: where no ending gives it.
        parents: what it is a kind of, the nearest first, such as ("mammal", "animal").
    """

    id: int
    name: str
    sense: str | None = None
    synonyms: tuple[str, ...] = ()
    plural: str | None = None
    parents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.id < 0:
            raise ValueError(f"`id` of a word must be at least 0. Got {self.id} for {self.name!r}.")
        if not re.search(r"\w", self.name):
            raise ValueError(f"`name` of a word must hold a letter. Got {self.name!r}.")

    @property
    def phrases(self) -> tuple[str, ...]:
        """All that names it in a text, its parents not among them; see `segmenting.phrases`."""
        plural = () if self.plural is None else (self.plural,)
        return tuple(dict.fromkeys((self.name, *self.synonyms, *plural)))

    @property
    def glossed(self) -> str:
        """What a text encoder is told: "yoke, animal equipment"."""
        return self.name if self.sense is None else f"{self.name}, {self.sense}"


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of their list.

    Raises:
        ValueError: there are none, or two share an id, or a name and its sense.
    """

    words: tuple[Word, ...]

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("`vocabulary` must hold at least one word. Got none.")
        self._refuse_twice("id", [str(word.id) for word in self.words])
        self._refuse_twice("name", [word.glossed for word in self.words])

    def _refuse_twice(self, field: str, keys: list[str]) -> None:
        if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
            raise ValueError(
                f"`vocabulary` must hold each {field} once. Got {twice[0]!r} "
                f"{keys.count(twice[0])} times."
            )

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def by_id(self) -> dict[int, Word]:
        """The words by id."""
        return {word.id: word for word in self.words}

    @property
    def id2label(self) -> dict[int, str]:
        """What `id2label.json` holds."""
        return {word.id: word.glossed for word in self.words}
