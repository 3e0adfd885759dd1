"""Prompts: the paper's stem and class names, or the source's caption."""

import pytest

from scribblegen.prompts import PROMPT_STEM, class_prompt, sample_prompt


def test_the_class_prompt_is_the_paper_s() -> None:
    assert class_prompt(["cat", "potted plant"]) == (
        "a high-quality, detailed, and professional image of cat, potted plant"
    )
    assert class_prompt(["cat"]) == f"{PROMPT_STEM} of cat"


def test_without_a_class_the_prompt_is_the_stem() -> None:
    assert class_prompt([]) == PROMPT_STEM
    assert class_prompt((), "a photo") == "a photo"


@pytest.mark.parametrize(
    ("mode", "caption", "expected"),
    [
        ("classes", None, "a photo of cat, dog"),
        ("classes", "two pets", "a photo of cat, dog"),
        ("stem", "two pets", "a photo"),
        ("caption", "two pets", "two pets"),
        ("caption", None, "a photo of cat, dog"),
        ("caption", "", "a photo of cat, dog"),
    ],
)
def test_each_mode_takes_its_own_words(mode: str, caption: str | None, expected: str) -> None:
    assert sample_prompt(["cat", "dog"], caption, mode, "a photo") == expected


@pytest.mark.parametrize("caption", [None, "two pets"])
def test_an_unknown_mode_is_refused(caption: str | None) -> None:
    with pytest.raises(ValueError, match="`prompt_mode` must be one of .*Got 'poem'"):
        sample_prompt(["cat"], caption, "poem")
