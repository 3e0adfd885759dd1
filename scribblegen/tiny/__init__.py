"""The pipelines that are there without any download: a small trained one, and random weights."""

import json
from importlib import resources
from pathlib import Path

from scribblegen.classes import Classes

TINY = "tiny"  # trained on procedural scenes; it draws their classes and nothing else
RANDOM = "random"  # of any classes; its pictures mean nothing


def tiny_folder() -> Path:
    """The trained pipeline, in diffusers' layout."""
    return Path(str(resources.files(__name__))) / "pipeline"


def default_pipeline(classes: Classes, conditioning_encoding: str) -> str:
    """`tiny` where its ControlNet was trained on these classes, else `random`."""
    config = json.loads((tiny_folder() / "controlnet" / "config.json").read_text("utf-8"))
    record = config["_scribblegen"]
    fits = tuple(record["class_names"]) == classes.names
    return TINY if fits and record["conditioning_encoding"] == conditioning_encoding else RANDOM
