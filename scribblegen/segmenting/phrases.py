"""Where a text names a class: whole words, in any case, singular or plural, longest match first.

Of "two beach balls by a potted-plant" the phrases "ball", "beach ball" and "potted plant" stand for
"beach balls" and "potted-plant"; "ball" alone is nowhere in it.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

# Of plurals that no ending gives. Words of one form, such as sheep, are in every plural anyway.
IRREGULAR_PLURALS = {
    "calf": ("calves",),
    "child": ("children",),
    "foot": ("feet",),
    "goose": ("geese",),
    "half": ("halves",),
    "knife": ("knives",),
    "leaf": ("leaves",),
    "loaf": ("loaves",),
    "man": ("men",),
    "mouse": ("mice",),
    "ox": ("oxen",),
    "person": ("people", "persons"),
    "scarf": ("scarves", "scarfs"),
    "shelf": ("shelves",),
    "thief": ("thieves",),
    "tooth": ("teeth",),
    "wife": ("wives",),
    "wolf": ("wolves",),
    "woman": ("women",),
}
_SINGULARS = {plural: word for word, plurals in IRREGULAR_PLURALS.items() for plural in plurals}
_MEN = re.compile(r"(?i)^(\w+)(man|men)$")  # policeman, fishermen
_NOT_MEN = ("human", "german", "roman", "shaman", "talisman", "caiman", "ottoman")


@dataclass(frozen=True)
class Occurrence:
    """A phrase in a text.

    Args:
        start, stop: the characters `text[start:stop]`.
        row: the position of the class that it stands for.
        phrase: as the class has it, not as the text writes it.
    """

    start: int
    stop: int
    row: int
    phrase: str

    @property
    def span(self) -> tuple[int, int]:
        """Its characters."""
        return self.start, self.stop


def occurrences(text: str, phrases: Sequence[Sequence[str]]) -> list[Occurrence]:
    """Every place where a class is named, from the first to the last.

    A longer match is taken before a shorter one, whatever their classes, and no character stands
    for two phrases; only where two classes have the same phrase, it stands for both.

    Args:
        text: any.
        phrases: for each class what stands for it: its name, aliases, sub-classes.

    Raises:
        ValueError: a phrase has no word in it.
    """
    lowered = text.lower()
    found = []
    for row, names in enumerate(phrases):
        for phrase in names:
            beginning, pattern = _pattern(phrase)
            if beginning in lowered:  # most phrases are in no text: this is told fast
                found += [Occurrence(*m.span(), row, phrase) for m in pattern.finditer(text)]
    found.sort(key=lambda o: (o.start - o.stop, o.start, o.row, o.phrase))
    taken: list[Occurrence] = []
    for one in found:
        clashes = [o for o in taken if o.start < one.stop and one.start < o.stop]
        if all((o.start, o.stop) == (one.start, one.stop) and o.row != one.row for o in clashes):
            taken.append(one)
    return sorted(taken, key=lambda o: (o.start, o.row))


class PhraseFinder:
    """`occurrences` of very many phrases: only those are looked for that a word of the text begins.

    Args:
        phrases: as of `occurrences`.
    """

    def __init__(self, phrases: Sequence[Sequence[str]]) -> None:
        self.phrases = phrases
        self._rows: dict[str, set[int]] = {}  # by the letters that all forms of a phrase begin with
        for row, names in enumerate(phrases):
            for phrase in names:
                self._rows.setdefault(_pattern(phrase)[0], set()).add(row)
        self._longest = max(map(len, self._rows), default=0)
        odd = (rows for start, rows in self._rows.items() if not re.match(r"\w", start))
        self._always = set().union(*odd)

    def find(self, text: str) -> list[Occurrence]:
        """What `occurrences` gives for a text."""
        lowered, near = text.lower(), set(self._always)
        for word in re.finditer(r"\w+", lowered):
            start = lowered[word.start() : word.start() + self._longest]
            for length in range(1, len(start) + 1):
                if (rows := self._rows.get(start[:length])) is not None:
                    near |= rows
        order = sorted(near)
        found = occurrences(text, [self.phrases[row] for row in order])
        return [replace(one, row=order[one.row]) for one in found]


def is_plural(written: str, phrase: str) -> bool:
    """Whether a phrase is written in a plural that it is not in itself: "zebras" for "zebra"."""
    last, own = _pieces(written)[-1].lower(), _pieces(phrase)[-1].lower()
    return last != own and last in _plurals(own)


def plural(phrase: str) -> str:
    """A phrase of a singular noun, with the plural of its last word."""
    last = _pieces(phrase)[-1]
    return phrase[: len(phrase) - len(last)] + _plurals(last.lower())[0]


def singular(phrase: str) -> str:
    """A phrase with the singular of its last word; as it is where that is no plural."""
    last = _pieces(phrase)[-1]
    found = _singulars(last.lower()) or [last]
    if found == [last] and last != "lens" and re.fullmatch(r"\w\w[^aeious\W]s", last):
        found = [last[:-1]]  # dogs; a text that names a class is not read so, for fear of "gas"
    return phrase[: len(phrase) - len(last)] + found[0]


def _pieces(phrase: str) -> list[str]:
    return [piece for piece in re.split(r"[\s_-]+", phrase) if piece]


@lru_cache(maxsize=100_000)
def _pattern(phrase: str) -> tuple[str, re.Pattern[str]]:
    """The letters that all forms of a phrase begin with, and a pattern of all of them."""
    pieces = _pieces(phrase)
    if not re.search(r"\w", phrase):
        raise ValueError(f"`phrases` must each hold a word. Got {phrase!r}.")
    forms = _forms(pieces[-1])
    firsts = [pieces[0]] if len(pieces) > 1 else forms
    last = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    # "potted plant" is written potted-plant and pottedplant too.
    joined = r"[\s_-]*".join([*map(re.escape, pieces[:-1]), f"(?:{last})"])
    # A hyphen goes on with the word: a hot-dog is no dog.
    pattern = re.compile(rf"(?<![\w-]){joined}(?![\w-])", re.IGNORECASE)
    return os.path.commonprefix([first.lower() for first in firsts]), pattern


def _forms(word: str) -> list[str]:
    """A noun, its plurals, and, where it is one, its singular."""
    lower = word.lower()
    plural_of = [lower, *_singulars(lower)]
    return list(dict.fromkeys([word, *plural_of, *(p for w in plural_of for p in _plurals(w))]))


def _plurals(word: str) -> list[str]:
    men = _MEN.match(word)
    if word in IRREGULAR_PLURALS:
        return list(IRREGULAR_PLURALS[word])
    if men and men[2] == "man" and word not in _NOT_MEN:
        return [f"{men[1]}men"]
    if re.search(r"[^aeiou]y$", word):
        return [f"{word[:-1]}ies"]
    if re.search(r"(s|x|z|ch|sh)$", word):
        return [f"{word}es"]
    if word.endswith("o"):
        return [f"{word}s", f"{word}es"]
    return [f"{word}s"]


def _singulars(word: str) -> list[str]:
    men = _MEN.match(word)
    if word in _SINGULARS:
        return [_SINGULARS[word]]
    if men and men[2] == "men":
        return [f"{men[1]}man"]
    if len(word) > 4 and word.endswith("ies"):
        return [f"{word[:-3]}y"]
    if re.search(r"(ss|x|z|ch|sh)es$", word):
        return [word[:-2]]
    if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return [word[:-1]]
    return []
