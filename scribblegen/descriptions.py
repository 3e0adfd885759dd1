"""Descriptions: texts that name words of a vocabulary, before anything is drawn.

They are a subset of their own, so that texts are written once, looked at, and drawn many times.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Features, List, Value

from scribblegen.classes import Classes
from scribblegen.vocabulary import MOST_WORDS, Word

SUBSET = "descriptions"
# Of masks, in which an image counts the words of its own description.
MASK_CLASSES = Classes(("none of its words", *(f"word {i}" for i in range(1, MOST_WORDS + 1))))


@dataclass(frozen=True)
class Mention:
    """A word of the vocabulary that a description was asked for.

    Args:
        local: its value in the `mask` of an image of this text: 1, 2, ...; 0 is nothing of these.
        id: in the vocabulary.
        name: the word, as the vocabulary has it.
        spans: every `(start, stop)` of characters that names it in the text, in order; plurals and
            synonyms too.
    """

    local: int
    id: int
    name: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Description:
    """A text to draw.

    Args:
        source_id: unique within the source.
        text: the prompt.
        mentions: the words it was asked for, in the order of their ids, each with a span.
        nouns: everything else that it names, singular and small letters, whether or not the
            vocabulary has it: none of these is called absent from its image.
        prompt_source: template, model, endpoint, file or scenes.
    """

    source_id: str
    text: str
    mentions: tuple[Mention, ...]
    nouns: tuple[str, ...]
    prompt_source: str

    def row(self) -> dict[str, Any]:
        """As a row of `description_features`."""
        return {
            "source_id": self.source_id,
            "prompt": self.text,
            "prompt_source": self.prompt_source,
            "classes": [
                {"local": m.local, "id": m.id, "name": m.name, "spans": [list(s) for s in m.spans]}
                for m in self.mentions
            ],
            "nouns": list(self.nouns),
        }


@dataclass(frozen=True)
class Asked:
    """What a description is asked for.

    Args:
        source_id: of the description.
        words: that it is to name, the one whose turn it is first.
        number: of the round; the same word was asked for in so many before it.
        place: of the first word in its vocabulary.
        seed: of all that is drawn for this description, in [0, 2**63).
    """

    source_id: str
    words: tuple[Word, ...]
    number: int
    place: int
    seed: int


def description_features() -> Features:
    """The columns of a description."""
    return Features(
        {
            "source_id": Value("string"),
            "prompt": Value("string"),
            "prompt_source": Value("string"),
            "classes": List(
                {
                    "local": Value("uint8"),
                    "id": Value("int32"),
                    "name": Value("string"),
                    "spans": List(List(Value("int32"), length=2)),
                }
            ),
            "nouns": List(Value("string")),
        }
    )


def description_of(row: Mapping[str, Any]) -> Description:
    """The other way round."""
    return Description(
        source_id=row["source_id"],
        text=row["prompt"],
        mentions=tuple(
            Mention(c["local"], c["id"], c["name"], tuple((a, b) for a, b in c["spans"]))
            for c in row["classes"]
        ),
        nouns=tuple(row["nouns"]),
        prompt_source=row["prompt_source"],
    )
