"""The data of templates: a YAML file, checked."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from scribblegen.classes import is_file
from scribblegen.text_files import read_text, shown
from scribblegen.yaml_files import parse_yaml

DEFAULT = "default"
_FIELDS = ("openings", "attributes", "scenes", "lights", "uncountable")
Weighted = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Scene:
    """Where things are.

    Args:
        text: behind the things, such as "on a table by a window".
        nouns: that it names.
        kinds: parents of the words that it is for; empty where it is for all.
    """

    text: str
    nouns: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Templates:
    """What descriptions are put together from, each option with its weight, above 0.

    Args:
        openings: in front of the things.
        attributes: of things, by parent, the kind of thing that they are for; `thing` for others.
        scenes: behind them.
        lights: behind it all.
        uncountable: names that no article goes in front of.
        digest: changes with any of it.
    """

    openings: Weighted
    attributes: dict[str, Weighted]
    scenes: tuple[tuple[Scene, float], ...]
    lights: Weighted
    uncountable: frozenset[str]
    digest: str


def read_templates(spec: str) -> Templates:
    """Reads `default`, or a YAML file of the same form.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no YAML, or holds something else.
    """
    if spec == DEFAULT:
        shipped = resources.files("scribblegen") / "label_spaces" / "description_templates.yaml"
        return parse_templates(shipped.read_text("utf-8"), "`description_templates` default")
    path = Path(spec)
    if not is_file(path):
        raise FileNotFoundError(
            f"`description_templates` must be {DEFAULT} or a YAML file. Got {shown(spec)}, which "
            "is no file."
        )
    where = f"`description_templates` {path}"
    return parse_templates(read_text(path, "`description_templates`"), where)


def parse_templates(text: str, where: str) -> Templates:
    """The templates of a file's text; raises as `read_templates`."""
    data = parse_yaml(text, where)
    if not isinstance(data, dict) or set(data) - set(_FIELDS) or not data.get("scenes"):
        raise ValueError(
            f"{where} must hold {', '.join(_FIELDS)}, at least `scenes`. Got {shown(data)}."
        )
    attributes = data.get("attributes") or {"thing": {"": 1}}
    if not isinstance(attributes, dict) or "thing" not in attributes:
        raise ValueError(f"{where}: `attributes` must be of kinds, and of thing for all others.")
    scenes = data["scenes"]
    if not isinstance(scenes, list):
        raise ValueError(f"{where}: `scenes` must be a list. Got {shown(scenes)}.")
    read = Templates(
        openings=_weighted(data.get("openings") or {"": 1}, f"{where}: `openings`"),
        attributes={
            str(kind): _weighted(options, f"{where}: `attributes` of {kind}")
            for kind, options in attributes.items()
        },
        scenes=tuple(_scene(entry, where) for entry in scenes),
        lights=_weighted(data.get("lights") or {"": 1}, f"{where}: `lights`"),
        uncountable=frozenset(map(str, data.get("uncountable") or [])),
        digest=hashlib.sha256(repr(data).encode()).hexdigest()[:16],
    )
    if not any(not scene.kinds for scene, _ in read.scenes):
        raise ValueError(f"{where}: `scenes` must hold one without `kinds`, for all other words.")
    return read


def _scene(entry: Any, where: str) -> tuple[Scene, float]:
    fields = entry if isinstance(entry, dict) else {"text": entry}
    text, weight = fields.get("text"), fields.get("weight", 1)
    lists = [fields.get(name) or [] for name in ("nouns", "kinds")]
    if (
        set(fields) - {"text", "weight", "nouns", "kinds"}
        or not isinstance(text, str)
        or not _is_weight(weight)
        or not all(isinstance(names, list) for names in lists)
    ):
        raise ValueError(
            f"{where}: each of `scenes` must be a text, or `text`, `weight` above 0, and lists of "
            f"`nouns` and `kinds`. Got {shown(entry)}."
        )
    nouns, kinds = (tuple(map(str, names)) for names in lists)
    return Scene(text, nouns, kinds), float(weight)


def _weighted(options: Any, where: str) -> Weighted:
    if not isinstance(options, dict) or not all(
        isinstance(text, str) and _is_weight(weight) for text, weight in options.items()
    ):
        raise ValueError(
            f"{where} must be `text: weight` pairs with weights above 0. Got {shown(options)}."
        )
    return tuple((text, float(weight)) for text, weight in options.items())


def _is_weight(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < float("inf")
