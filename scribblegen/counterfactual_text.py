"""The text of a counterfactual image: a description without its words, and otherwise as it is.

After MagicSeg (arXiv 2603.19575), which writes "nothing" for each; there plurals, synonyms and
names with a sense stayed as they were, and nobody checked.
"""

import re
from collections.abc import Sequence

from scribblegen.descriptions import Description
from scribblegen.noun_phrases import start_of_phrase, with_fitting_article
from scribblegen.seeds import derive_seed
from scribblegen.segmenting.phrases import is_plural, occurrences, plural
from scribblegen.vocabulary import Vocabulary, Word

CF_MODES = ("nothing", "delete", "hypernym", "swap", "negative_prompt")
_NOTHING = "nothing"
_LINKS = r"and|or|with|of|by|near|beside|next to|behind|in front of|on|in|at|over|under"
# What nothing follows any more: at the end, before a mark, or before another one.
_DANGLING = re.compile(
    rf"(?i)\s*(?:,|\b(?:{_LINKS}))\s*(?=\0\s*(?:$|[,.;:!?)]|(?:{_LINKS}|under|against)\b))"
)
_LEADING = re.compile(r"(?i)(^|[.;:!?(,]\s*)\0\s*(?:,\s*|(?:and|or)\b\s*)?")
_FIRST_OF = re.compile(r"(?i)(\bof\s+)\0\s*(?:,|(?:and|or)\b)\s*")  # of several

Place = tuple[int, int, Word]  # characters [start, stop) that name a word


def counterfactual(
    description: Description, mode: str, vocabulary: Vocabulary
) -> tuple[str, str | None]:
    """The counterfactual prompt of a description, and its negative prompt.

    Every place that names one of its words is changed: in the plural, by a synonym, with its sense
    in brackets behind it.

    Args:
        description: with the words.
        mode: one of `CF_MODES`: "a photo of a brown horse in a field" becomes, by

            - nothing: "a photo of nothing in a field";
            - delete: "a photo in a field";
            - hypernym: "a photo of a brown animal in a field", by the word's first parent;
            - swap: "a photo of a brown car in a field", by a word of the vocabulary that the
              description does not name, always the same;
            - negative_prompt: itself, and "horse" is the negative prompt.
        vocabulary: of the words.

    Returns:
        the prompt, and the negative prompt, which is None but for `negative_prompt`.

    Raises:
        ValueError: there is no such mode; a word has no parent, or there is none to swap it for;
            or the prompt still names a word, or says nothing.
    """
    if mode not in CF_MODES:
        raise ValueError(f"`mode` must be one of {CF_MODES}. Got {mode!r}.")
    words = [vocabulary.by_id[mention.id] for mention in description.mentions]
    if mode == "negative_prompt":
        return description.text, ", ".join(word.name for word in words)
    places = _places(description, words)
    if mode in ("hypernym", "swap"):
        names = _others(description, words, mode, vocabulary)
        text = _renamed(description.text, places, names)
    else:
        nouns = {piece for noun in description.nouns for piece in noun.lower().split()}
        text = _emptied(description.text, places, nouns, "" if mode == "delete" else _NOTHING)
    text = _tidy(text)
    left = occurrences(text, [word.phrases for word in words])
    if left or text == description.text:
        name = words[left[0].row].name if left else "none of its words"
        raise ValueError(f"the counterfactual prompt must not name its words. It names {name}")
    if not re.search(r"\w", text):
        raise ValueError(f"the counterfactual prompt must say something. By {mode} nothing is left")
    return text, None


def _places(description: Description, words: Sequence[Word]) -> list[Place]:
    """Where the words are named, in order; of places that overlap the first."""
    text, found = description.text, []
    for mention, word in zip(description.mentions, words, strict=True):
        for start, stop in mention.spans:
            if word.sense is not None:
                sense = r"\s+".join(map(re.escape, word.sense.split()))
                behind = re.compile(rf"\s*\(\s*{sense}\s*\)", re.IGNORECASE).match(text, stop)
                stop = behind.end() if behind else stop
            found.append((start, stop, word))
    apart: list[Place] = []
    for place in sorted(found, key=lambda p: (p[0], -p[1], p[2].id)):
        if not apart or place[0] >= apart[-1][1]:
            apart.append(place)
    return apart


def _others(
    description: Description, words: Sequence[Word], mode: str, vocabulary: Vocabulary
) -> dict[int, str]:
    """What each word is called instead, by its id."""
    if mode == "hypernym":
        for word in words:
            if not word.parents:
                raise ValueError(f"`parents` must be known for a hypernym. {word.name} has none")
        return {word.id: word.parents[0] for word in words}
    taken = set(vocabulary.excluded([word.id for word in words], description.nouns))
    names = {}
    for word in words:
        free = [other for other in vocabulary.words if other.id not in taken]
        if not free:
            raise ValueError(f"no word of the vocabulary is left to swap {word.name} for")
        chosen = free[derive_seed(0, "swap", description.source_id, word.id) % len(free)]
        names[word.id] = chosen.name
        taken |= vocabulary.related(chosen)
    return names


def _renamed(text: str, places: Sequence[Place], names: dict[int, str]) -> str:
    for start, stop, word in reversed(places):
        written = text[start:stop]
        name = names[word.id]
        plurals = {word.plural.lower()} if word.plural else set()
        if written.lower() in plurals or any(is_plural(written, p) for p in word.phrases):
            name = plural(name)
        name = _like(written, name)
        text = with_fitting_article(text[:start], name + text[stop:])
    return text


def _emptied(text: str, places: Sequence[Place], nouns: set[str], instead: str) -> str:
    for start, stop, _ in reversed(places):
        start = start_of_phrase(text, start, nouns)
        if instead:
            text = text[:start] + _like(text[start:stop], instead) + text[stop:]
            continue
        text = f"{text[:start]}\0{text[stop:]}"
        text = _FIRST_OF.sub(r"\1", text)
        text = _LEADING.sub(r"\1", _DANGLING.sub(" ", text))
        text = re.sub(r"\s*\0\s*(?=[,.;:!?)])", "", text).replace("\0", " ")
    return text


def _like(written: str, new: str) -> str:
    """`new`, with a capital where what it replaces has one; a proper name gives it none."""
    starts = written[:1].isupper() and written[1:2] in (written[1:2].lower(), "")
    return new[:1].upper() + new[1:] if starts else new


def _tidy(text: str) -> str:
    return re.sub(r"\s+([,.;:!?)])", r"\1", " ".join(text.split())).lstrip(",;: ")
