"""Prompts that are captions of a file: plain lines, or JSON with the classes of each."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scribblegen.builders.prompt_drafts import Draft, Turns
from scribblegen.classes import is_file
from scribblegen.segmenting.phrases import occurrences
from scribblegen.text_files import parse_json, read_text, shown

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caption:
    """A caption of a file.

    Args:
        number: of its line or entry in the file, from 0; blank lines count.
        text: the caption.
        class_ids: that the file says it names, or that its text does, sorted.
    """

    number: int
    text: str
    class_ids: tuple[int, ...]


@dataclass(frozen=True)
class Captions:
    """The captions of a file.

    Args:
        used: those that name a class.
        left_out: reason -> how many were left out for it.
    """

    used: list[Caption]
    left_out: Counter[str] = field(default_factory=Counter)


def read_captions(
    name: str, class_names: Sequence[str], phrases: Sequence[Sequence[str]]
) -> Captions:
    """Reads a file of captions.

    Args:
        name: of the file.
        class_names: of all classes, by id; a file may name the same classes.
        phrases: what stands for each; nothing for one that no caption can name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text, or damaged JSON; or no caption names a class.
    """
    path = Path(name)
    if not is_file(path):
        raise FileNotFoundError(
            f"`prompt_file` must be a file of captions. Got {shown(name)}, which is no file."
        )
    read = Captions([])
    ids = {class_names[i]: i for i in range(len(class_names)) if phrases[i]}
    for number, entry in _entries(read_text(path, "`prompt_file`", encoding="utf-8-sig"), path):
        text, said = (entry, None) if isinstance(entry, str) else _fields(entry)
        if not isinstance(text, str) or not text.strip():
            read.left_out["no caption"] += 1
            continue
        text = " ".join(text.split())
        if said is None:
            named = {found.row for found in occurrences(text, phrases)}
        else:
            named = {ids[each] for each in said if isinstance(each, str) and each in ids}
        if named:
            read.used.append(Caption(number, text, tuple(sorted(named))))
        else:
            read.left_out["no class"] += 1
    reasons = ", ".join(f"{reason}: {count}" for reason, count in read.left_out.items())
    if not read.used:
        raise ValueError(
            "`prompt_file` must hold a caption that names one of the classes, such as "
            f"{shown(next(iter(ids), None))}. Got {path} with none ({reasons or 'it is empty'}). "
            "Other names for classes go into `prompt_words`."
        )
    if read.left_out:
        count = read.left_out.total()
        logger.warning(f"prompt_file: {count} captions are left out ({reasons})")
    return read


class CaptionWriter:
    """Captions of a file: each once, or, where `turns` are given, those of the class in turn.

    Args:
        captions: to write, at least one.
        turns: whose turn it is; a class that has had all of its captions begins again.
    """

    def __init__(self, captions: Sequence[Caption], turns: Turns | None) -> None:
        self.captions, self.turns = captions, turns
        self.of_class: dict[int, list[Caption]] = {}
        for caption in captions:
            for class_id in caption.class_ids:
                self.of_class.setdefault(class_id, []).append(caption)
        self.source_ids: Sequence[str] = (
            [f"caption-{caption.number:06d}" for caption in captions]
            if turns is None
            else turns.source_ids()
        )

    def write(self, position: int) -> Draft:
        if self.turns is None:
            caption = self.captions[position]
        else:
            class_id, number = self.turns.turn(position)
            theirs = self.of_class[class_id]
            caption = theirs[number % len(theirs)]
        return Draft(caption.text, "file", caption.class_ids, complete=True)

    def content_key(self, position: int) -> str:
        draft = self.write(position)
        return f"{draft.text}\0{draft.class_ids}"


def _entries(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Strings and JSON values, with their numbers, blank lines left out."""
    start = text.lstrip()[:1]
    fix = "Write a JSON list, or one JSON value a line."
    if start == "[" and path.suffix != ".txt":
        entries = parse_json(text, f"`prompt_file` {path}", fix)
        yield from enumerate(entries)
        return
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines()) if line.strip()]
    for number, line in lines:
        if start == "{":
            yield number, parse_json(line, f"`prompt_file` {path} line {number + 1}", fix)
        else:
            yield number, line


def _fields(entry: Any) -> tuple[Any, list[Any] | None]:
    """The caption of a JSON value, and the classes that it says it has, if it does."""
    if not isinstance(entry, dict):
        return None, None
    said = entry.get("classes")
    if isinstance(said, str):
        said = [said]
    return entry.get("caption"), said if isinstance(said, list) else None
