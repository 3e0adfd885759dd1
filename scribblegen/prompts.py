"""Class names -> prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

PROMPT_STEM = "a high-quality, detailed, and professional image"
PROMPT_MODES = ("classes", "stem", "caption")
PROMPT_SOURCES = ("template", "captions", "file", "model", "scenes")


@dataclass(frozen=True)
class Prompt:
    """What a method starts from that needs no photograph.

    Args:
        source_id: unique within the source.
        text: the prompt.
        class_ids: the classes that it names, in id order.
        phrases: for each of them what stands for it in this text, as its class has it: name,
            alias, sub-class; see `segmenting.phrases`.
        prompt_source: where the text is from, one of `PROMPT_SOURCES`.

    Raises:
        ValueError: `phrases` are not those of `class_ids`, or nobody knows the `prompt_source`.
    """

    source_id: str
    text: str
    class_ids: tuple[int, ...]
    phrases: tuple[tuple[str, ...], ...]
    prompt_source: str

    def __post_init__(self) -> None:
        if len(self.phrases) != len(self.class_ids):
            raise ValueError(
                "`phrases` must be one entry for each of `class_ids`. Got "
                f"{len(self.phrases)} for {len(self.class_ids)}."
            )
        if self.prompt_source not in PROMPT_SOURCES:
            raise ValueError(
                f"`prompt_source` must be one of {PROMPT_SOURCES}. Got {self.prompt_source!r}."
            )


def class_prompt(class_names: Sequence[str], stem: str = PROMPT_STEM) -> str:
    """The paper's prompt: the stem, then the classes that are present.

    `class_prompt(["cat", "sofa"])` is "a high-quality, detailed, and professional image of cat,
    sofa". Without a class it is the stem alone.
    """
    return f"{stem} of {', '.join(class_names)}" if class_names else stem


def sample_prompt(
    class_names: Sequence[str],
    caption: str | None,
    mode: str = "classes",
    stem: str = PROMPT_STEM,
) -> str:
    """The prompt of one source.

    Args:
        class_names: The names of the classes drawn in its scribble, in the order of their ids.
        caption: The source's own caption, if it has one.
        mode: What the prompt is made of: `classes` (stem and class names), `stem` (the paper's
            "no text"), or `caption` (the source's caption; class names where it has none).
        stem: The first words of the prompt.
    """
    if mode == "stem":
        return stem
    if mode == "caption" and caption:
        return caption
    if mode in PROMPT_MODES:
        return class_prompt(class_names, stem)
    raise ValueError(f"`prompt_mode` must be one of {PROMPT_MODES}. Got {mode!r}.")
