"""What is looked for in the image of a text: its own words, and what else it names.

Attention is shared out among all that a text names. Where another of its nouns draws more of it,
none of the words is, however high their own maps are there.
"""

import re

from scribblegen.descriptions import Description
from scribblegen.segmenting.phrases import occurrences
from scribblegen.segmenting.token_spans import Span
from scribblegen.vocabulary import MOST_WORDS

Named = tuple[str, tuple[Span, ...]]  # a noun, and the characters that name it


def rivals(description: Description) -> list[Named]:
    """The other nouns of a text, in their order, as far as rows keep maps of so many words.

    What names one of the words too, such as the "ball" of "beach ball", is left out.
    """
    taken = [span for mention in description.mentions for span in mention.spans]
    nouns = [noun for noun in dict.fromkeys(description.nouns) if re.search(r"\w", noun)]
    spans: list[list[Span]] = [[] for _ in nouns]
    for found in occurrences(description.text, [(noun,) for noun in nouns]):
        if all(found.stop <= start or stop <= found.start for start, stop in taken):
            spans[found.row].append((found.start, found.stop))
    named = [(noun, tuple(places)) for noun, places in zip(nouns, spans, strict=True) if places]
    return named[: max(0, MOST_WORDS - len(description.mentions))]
