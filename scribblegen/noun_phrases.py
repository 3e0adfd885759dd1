"""The part of a text that goes with a noun: "a brown" of "a brown horse"; and a or an."""

import re
from collections.abc import Collection

# Vowels that are spoken as consonants: a unicycle, a one-way street, a ewe.
_CONSONANTS = re.compile(r"(?i)(uni|use|usu|ute|eu|ewe|one\b|once\b)")
_ARTICLE = re.compile(r"\b(an?)(\s+)$", re.IGNORECASE)
_WORD = re.compile(r"([^\s,.;:!?()\"“”]+)(\s+)$")
_MOST_ADJECTIVES = 3
DETERMINERS = frozenset(
    "a an the one two three four five six seven eight nine ten some several many few both all any "
    "each every another this that these those my your his her its our their".split()
)
# None of these is an adjective: what is in front of them is of another noun.
_FUNCTION_WORDS = frozenset(
    "and or nor but of with without in on at by to from for into onto over under above below "
    "behind beside besides between among near against across along around through toward "
    "towards up down off out past inside outside beyond beneath upon within as like than "
    "while where when who which that whose is are was were be been being has have had there "
    "not no it he she they him them".split()
)


def wants_n(text: str) -> bool:
    """Whether "an" goes in front of a text and not "a"."""
    return text[:1].lower() in tuple("aeiou") and not _CONSONANTS.match(text)


def start_of_phrase(text: str, start: int, nouns: Collection[str] = ()) -> int:
    """Where the phrase of the noun at `start` begins: with its determiner and adjectives.

    Without a determiner it begins with the noun: of "red horses" the adjective stays.

    Args:
        text: any.
        start: of the noun.
        nouns: small letters; none of these words is an adjective.
    """
    at = start
    for _ in range(_MOST_ADJECTIVES + 1):
        found = _WORD.search(text, 0, at)
        if found is None:
            return start
        word = found[1].lower()
        if word in DETERMINERS or word.isdigit():
            return found.start(1)
        if word in _FUNCTION_WORDS or word in nouns:
            return start
        at = found.start(1)
    return start


def with_fitting_article(before: str, after: str) -> str:
    """A text in two halves, joined: an article at the end of the first is made to fit."""
    found = _ARTICLE.search(before)
    if found is None or not after:
        return before + after
    article = f"{found[1][0]}{'n' if wants_n(after) else ''}"
    return f"{before[: found.start()]}{article}{found[2]}{after}"
