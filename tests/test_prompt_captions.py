"""Prompts of a file of captions: which classes they name, and what is left out, and said."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.builders.sources import open_source
from scribblegen.prompts import Prompt

LINES = """Two tabby cats on a sofa

a lighthouse at night
A  dog, and   a hot-dog
dogs by a dining table
"""


def prompts(path: Path, **options: Any) -> list[Prompt]:
    config = PromptsConfig(**{"classes": "voc", **options}, prompt_file=str(path))
    source = open_source(config)
    return [source.read(i) for i in range(len(source))]


def test_a_plain_line_names_the_classes_whose_phrases_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "captions.txt"
    path.write_text(f"\ufeff{LINES}", "utf-8")
    with caplog.at_level(logging.INFO, "scribblegen"):
        made = prompts(path)
    assert [(p.source_id, p.text, p.class_ids, p.phrases) for p in made] == [
        ("caption-000000", "Two tabby cats on a sofa", (8, 18), (("tabby cat",), ("sofa",))),
        ("caption-000003", "A dog, and a hot-dog", (12,), (("dog",),)),
        ("caption-000004", "dogs by a dining table", (11, 12), (("dining table",), ("dog",))),
    ]
    assert {prompt.prompt_source for prompt in made} == {"file"}
    assert "prompt_file: 1 captions are left out (no class: 1)" in caplog.text
    assert "no caption names aeroplane, bicycle" in caplog.text
    path.write_text(f"{LINES}a bird\n", "utf-8")
    assert prompts(path)[:3] == made, "what is added below changes nothing above"


@pytest.mark.parametrize("lines", [False, True])
def test_json_says_the_classes_itself_or_leaves_it_to_the_caption(
    tmp_path: Path, lines: bool
) -> None:
    entries = [
        {"caption": "my best friend on a sofa", "classes": ["dog"]},
        {"caption": "a sofa", "filename": "1.jpg"},
        {"caption": "a stranger", "classes": ["unicorn", 3]},
        {"caption": None, "classes": ["dog"]},
        {"caption": "a cat and a dog", "classes": "cat"},
    ]
    path = tmp_path / "captions.json"
    texts = [json.dumps(entry) for entry in entries]
    path.write_text("\n".join(texts) if lines else f"[{','.join(texts)}]")
    made = prompts(path, classes="cat,dog,sofa", prompt_words="none")
    assert [(prompt.source_id[-1], prompt.class_ids) for prompt in made] == [
        *(("0", (1,)), ("1", (2,)), ("4", (0,)))
    ]
    assert made[0].phrases == (("dog",),), "its text has no word of it: a method rejects it"
    assert made[2].phrases == (("cat",),)


def test_with_a_number_the_captions_of_the_classes_come_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "captions.txt"
    path.write_text("a cat\na dog\ntwo dogs\n")
    made = prompts(path, classes="cat,cow,dog", images_per_class=3)
    assert [(prompt.source_id, prompt.text) for prompt in made] == [
        ("cat-000000", "a cat"),
        ("dog-000000", "a dog"),
        ("cat-000001", "a cat"),
        ("dog-000001", "two dogs"),
        ("cat-000002", "a cat"),
        ("dog-000002", "a dog"),
    ]
    assert made[:4] == prompts(path, classes="cat,cow,dog", num_samples=4)


def test_the_fingerprint_tells_of_the_file_and_of_what_words_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "captions.txt"
    prints = set()
    for text, words in ((LINES, "auto"), (LINES, "none"), (LINES.replace("Two", "2"), "auto")):
        path.write_text(text)
        config = PromptsConfig(classes="voc", prompt_words=words, prompt_file=str(path))
        prints.add(open_source(config).fingerprint())
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "must hold a caption that names one of.*cat.*with none .it is empty"),
        ("a.txt", "a tree\n", "with none .no class: 1.*go into `prompt_words`"),
        ("a.json", "[]", "with none .it is empty"),
        ("a.json", "[1, {}]", "with none .no caption: 2"),
        ("a.json", '[{"caption": "a cat"}', "a.json is damaged: it is not JSON"),
        ("a.jsonl", '{"caption": "a cat"}\n{"caption": ', "a.jsonl line 2 is damaged"),
    ],
)
def test_a_file_without_a_usable_caption_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=f"`prompt_file` .*{message}"):
        prompts(path, classes="cat,dog")


def test_a_file_that_is_not_there_or_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`prompt_file` must be a file of captions"):
        prompts(tmp_path / "none.txt")
    (tmp_path / "a.txt").write_bytes(b"a cat\xff")
    with pytest.raises(ValueError, match="`prompt_file` .*a.txt must be UTF-8 text"):
        prompts(tmp_path / "a.txt")
