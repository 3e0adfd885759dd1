"""Vocabularies: many words, each with what else it is called and what it is a kind of.

Label files count in bytes; a vocabulary does not: its ids are stable, and may be far beyond 255.
The label of an image counts the few words that it holds (`descriptions.Mention.local`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

VOCABULARY_FILE = "vocabulary.json"  # of repositories whose rows name words of one
MOST_WORDS = 12  # that a text may name: rows of one call keep equally many maps of attention


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
        self._refuse_twice("name", [word.glossed.lower() for word in self.words])

    def _refuse_twice(self, field: str, keys: list[str]) -> None:
        for key, count in Counter(keys).items():
            if count > 1:
                raise ValueError(
                    f"`vocabulary` must hold each {field} once. Got {key!r} {count} times. Give "
                    "two meanings of a name a sense each, as in bat (animal)."
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

    @cached_property
    def by_phrase(self) -> dict[str, tuple[Word, ...]]:
        """The words that each name or synonym, in small letters, may stand for."""
        found: dict[str, tuple[Word, ...]] = {}
        for word in self.words:
            for phrase in dict.fromkeys(phrase.lower() for phrase in word.phrases):
                found[phrase] = (*found.get(phrase, ()), word)
        return found

    @cached_property
    def children(self) -> dict[str, tuple[Word, ...]]:
        """The words that are a kind of each parent, in small letters."""
        found: dict[str, tuple[Word, ...]] = {}
        for word in self.words:
            for parent in dict.fromkeys(parent.lower() for parent in word.parents):
                found[parent] = (*found.get(parent, ()), word)
        return found

    def related(self, word: Word) -> frozenset[int]:
        """The ids of what may be in the same pixels as a word: itself, its synonyms and other
        senses, its parents, and what is a kind of it."""
        phrases = [phrase.lower() for phrase in word.phrases]
        same = [w for phrase in phrases for w in self.by_phrase.get(phrase, ())]
        above = [w for parent in word.parents for w in self.by_phrase.get(parent.lower(), ())]
        below = [w for phrase in phrases for w in self.children.get(phrase, ())]
        return frozenset(w.id for w in (word, *same, *above, *below))

    def excluded(self, ids: Iterable[int], nouns: Iterable[str] = ()) -> frozenset[int]:
        """The ids of all that an image may hold: words `related` to these, and to these nouns.

        Args:
            ids: of words that its description was asked for.
            nouns: what else it names; those that no word is called count for nothing.
        """
        words = [self.by_id[i] for i in ids]
        words += [word for noun in nouns for word in self.by_phrase.get(noun.lower(), ())]
        return frozenset().union(*map(self.related, dict.fromkeys(words)))

    def rows(self) -> list[dict[str, Any]]:
        """What `vocabulary.json` and a manifest hold."""
        rows = [asdict(word) for word in self.words]
        return [{k: list(v) if isinstance(v, tuple) else v for k, v in r.items()} for r in rows]


def vocabulary_of(rows: Sequence[Mapping[str, Any]]) -> Vocabulary:
    """The other way round of `Vocabulary.rows`.

    Raises:
        ValueError: they are no vocabulary.
    """
    return Vocabulary(
        tuple(
            Word(
                id=row["id"],
                name=row["name"],
                sense=row["sense"],
                synonyms=tuple(row["synonyms"]),
                plural=row["plural"],
                parents=tuple(row["parents"]),
            )
            for row in rows
        )
    )
