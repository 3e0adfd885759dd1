"""A text becomes a description: where it names what it was asked for, and what else it names."""

import re
from collections.abc import Sequence
from functools import cached_property

from scribblegen.descriptions import Asked, Description, Mention
from scribblegen.segmenting.phrases import Occurrence, PhraseFinder, singular
from scribblegen.text_files import printable
from scribblegen.vocabulary import Vocabulary

FEWEST_WORDS, LONGEST = 3, 400  # words, characters of a description
_MOST_NOUNS = 40
_NOUN = re.compile(r"[^\W\d_](?:[\w' -]{0,38}\w)?")
_ARTICLE = re.compile(r"^(?:an?|the|some|\d+)\s+")


class Verifier:
    """Finds the words of a vocabulary in texts.

    Args:
        vocabulary: whose words are asked for.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @cached_property
    def finder(self) -> PhraseFinder:
        """Of all words, whose phrases are compiled when the first text comes."""
        return PhraseFinder([word.phrases for word in self.vocabulary.words])

    def description(
        self, text: str, asked: Asked, prompt_source: str, said: Sequence[str] = ()
    ) -> Description | str:
        """The description of a text, or why it is none.

        A word is named where its name, a plural, or a synonym stands that is no part of the name
        of another word: a hot dog is no dog. Its `nouns` are every other word of the vocabulary
        that is named, by its name and as the text has it, and what is `said` to be in it, singular
        and in small letters; nothing that stands for a word that was asked for.

        Args:
            text: any.
            asked: what it has to name.
            prompt_source: of the description.
            said: nouns that whoever wrote the text says are in it.
        """
        text = _cleaned(text)
        if len(text.split()) < FEWEST_WORDS or len(text) > LONGEST:
            return f"description must have {FEWEST_WORDS} words to {LONGEST} characters"
        found = self.finder.find(text)
        words = sorted(asked.words, key=lambda word: word.id)
        spans = {word.id: [o.span for o in found if self._id(o) == word.id] for word in words}
        for word in words:
            if not spans[word.id]:
                return f"description does not name {word.name}"
        mentions = tuple(
            Mention(local, word.id, word.name, tuple(spans[word.id]))
            for local, word in enumerate(words, 1)
        )
        taken = {span for each in spans.values() for span in each}
        beside = [o for o in found if o.span not in taken]
        named = [
            noun
            for o in beside
            for noun in (self.vocabulary.words[o.row].name.lower(), singular(o.phrase.lower()))
        ]
        own = {phrase.lower() for word in words for phrase in word.phrases}
        nouns = dict.fromkeys([*named, *filter(None, map(_noun, said))])
        kept = [noun for noun in nouns if noun not in own][:_MOST_NOUNS]
        return Description(asked.source_id, text, mentions, tuple(kept), prompt_source)

    def _id(self, found: Occurrence) -> int:
        return self.vocabulary.words[found.row].id


def _cleaned(text: str) -> str:
    """One line that any file can hold."""
    visible = "".join(c if c.isprintable() else " " for c in printable(text))
    return " ".join(visible.split())


def _noun(said: str) -> str | None:
    noun = _ARTICLE.sub("", _cleaned(said).lower().strip(" .,;:!?\"'"))
    return singular(noun) if _NOUN.fullmatch(noun) and len(noun.split()) <= 4 else None
