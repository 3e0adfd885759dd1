"""Stand-in until the texts are there."""

from scribblegen.descriptions import Description
from scribblegen.vocabulary import Vocabulary


def counterfactual(
    description: Description, mode: str, vocabulary: Vocabulary
) -> tuple[str, str | None]:
    """The counterfactual prompt, and the negative one.

    Raises:
        ValueError: the text does not change.
    """
    text, names = description.text, [m.name for m in description.mentions]
    if mode == "negative_prompt":
        return text, ", ".join(names)
    spans = sorted(((s, m) for m in description.mentions for s in m.spans), key=lambda x: x[0])
    for span, mention in reversed(spans):
        word = vocabulary.by_id[mention.id]
        new = {"nothing": "nothing", "delete": ""}.get(mode) or (word.parents or ("",))[0]
        if mode == "swap":
            new = next(w.name for w in vocabulary.words if w.name not in names)
        start, stop = span
        text = f"{text[:start]}{new}{text[stop:]}"
    if text == description.text:
        raise ValueError("the counterfactual prompt is the prompt")
    return text, None
