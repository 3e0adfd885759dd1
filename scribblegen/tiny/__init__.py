"""The pipelines that are there without any download: a small trained one, and random weights."""

import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from scribblegen.classes import Classes

TINY = "tiny"  # trained on procedural scenes; it draws their classes and nothing else
RANDOM = "random"  # of any classes; its pictures mean nothing


def tiny_folder() -> Path:
    """The trained pipeline, in diffusers' layout."""
    return Path(str(resources.files(__name__))) / "pipeline"


def default_pipeline(classes: Classes, conditioning_encoding: str) -> str:
    """`tiny` where its ControlNet was trained on these classes, else `random`."""
    encoding = _record()["conditioning_encoding"]
    return (
        TINY if drawn_classes() == classes.names and encoding == conditioning_encoding else RANDOM
    )


def drawn_classes() -> tuple[str, ...]:
    """The names of the classes that `tiny` draws, in id order."""
    return tuple(_record()["class_names"])


def words_not_drawn(names: Sequence[str]) -> list[str]:
    """The names that `tiny` was never told: one of their words is in no caption of its scenes."""
    file = tiny_folder() / "tokenizer" / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    known = {token["content"] for token in tokenizer["added_tokens"]}
    return [name for name in names if not known.issuperset(re.findall(r"\w+", name.lower()))]


def _record() -> dict[str, Any]:
    config = json.loads((tiny_folder() / "controlnet" / "config.json").read_text("utf-8"))
    record: dict[str, Any] = config["_scribblegen"]
    return record
