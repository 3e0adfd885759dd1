"""What stands for a class in prompts: its name, aliases and sub-classes, and scenes to put it in.

One YAML file for a set of classes, such as `label_spaces/prompt_words/voc.yaml`:

    dog:
      aliases: [hound]                # told from the text alone, never written by a template
      sub_classes: {puppy: 2, husky: 1}         # what {thing} is, each with its weight
      templates: {"a {thing} on a beach": 3, "a {thing} in the snow": 1}
      uncountable: false              # true: no `a` in front of its name, as in "on grass"
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from scribblegen.classes import is_file
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import read_text, shown
from scribblegen.yaml_files import parse_yaml

SHIPPED = ("voc", "cityscapes", "scenes")
AUTO, NONE = "auto", "none"
_FIELDS = ("aliases", "sub_classes", "templates", "uncountable")


@dataclass(frozen=True)
class ClassWords:
    """What stands for one class.

    Args:
        name: of the class.
        aliases: other names.
        sub_classes: what a template may write in place of the name, each with its weight, > 0.
        templates: texts with {thing}, each with its weight, > 0; empty where it has none.
        uncountable: whether no article goes in front of the name; sub-classes have one.
    """

    name: str
    aliases: tuple[str, ...] = ()
    sub_classes: tuple[tuple[str, float], ...] = ()
    templates: tuple[tuple[str, float], ...] = ()
    uncountable: bool = False

    @property
    def things(self) -> tuple[tuple[str, float], ...]:
        """What a template may write, each with its weight: sub-classes, else the name."""
        return self.sub_classes or ((self.name, 1.0),)

    def takes_article(self, thing: str) -> bool:
        """Whether `a` goes in front of a thing of this class."""
        return thing != self.name or not self.uncountable

    @property
    def phrases(self) -> tuple[str, ...]:
        """All that names the class in a text; nothing where its name has no letter."""
        named = dict.fromkeys([self.name, *self.aliases, *(name for name, _ in self.sub_classes)])
        return tuple(phrase for phrase in named if re.search(r"\w", phrase))


def class_words(spec: str, names: Sequence[str]) -> list[ClassWords]:
    """The words of every class, in their order; a class without any has its name alone.

    Args:
        spec: a file; or the name of one that ships; `auto` for the one that has all these classes,
            if there is one; `none`.
        names: of the classes. Case, spaces and hyphens of names do not matter; background needs no
            words.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of words, or has none of these classes.
    """
    wanted = {name: _key(name) for name in names if name != "background"}
    found: Mapping[str, ClassWords] = {}
    if spec == AUTO:
        files = [shipped_words(name) for name in SHIPPED]
        covering = [words for words in files if words.keys() >= set(wanted.values())]
        # Of several the one for these classes and no other, else the first.
        found = min(covering, key=lambda words: len(words) != len(wanted), default={})
    elif spec in SHIPPED:
        found = shipped_words(spec)
    elif spec != NONE:
        path = Path(spec)
        if not is_file(path):
            raise FileNotFoundError(
                f"`prompt_words` must be {AUTO}, {NONE}, one of {', '.join(SHIPPED)}, or a YAML "
                f"file. Got {shown(spec)}, which is no file."
            )
        found = parse_words(read_text(path, "`prompt_words`"), f"`prompt_words` {path}")
    if spec not in (AUTO, NONE) and not found.keys() & set(wanted.values()):
        raise ValueError(
            f"`prompt_words` {spec} must have words of at least one of the classes. Got "
            f"{shown([words.name for words in found.values()])} for {shown(list(wanted))}."
        )
    return [_named(found.get(wanted.get(name, "")), name) for name in names]


@cache
def shipped_words(name: str) -> Mapping[str, ClassWords]:
    """A file that ships with the package, `name` one of `SHIPPED`, as `parse_words` gives it."""
    file = resources.files("scribblegen") / "label_spaces" / "prompt_words" / f"{name}.yaml"
    return parse_words(file.read_text("utf-8"), f"`prompt_words` {name}")


def parse_words(text: str, where: str) -> dict[str, ClassWords]:
    """The classes of a file, by their names in small letters without spaces.

    Raises:
        ValueError: it is no YAML, or holds something else; `where` names it in the message.
    """
    data = parse_yaml(text, where)
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{where} must hold `class:` entries. Got {shown(data)}.")
    words: dict[str, ClassWords] = {}
    for name, entry in data.items():
        made = _entry(_text(name, where), {} if entry is None else entry, where)
        if words.setdefault(_key(made.name), made) is not made:
            raise ValueError(f"{where} must hold each class once. Got {name} twice.")
    return words


def _entry(name: str, entry: Any, where: str) -> ClassWords:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: {name} must hold some of {_FIELDS}. Got {shown(entry)}.")
    for field in entry:
        if field not in _FIELDS:
            near = did_you_mean(str(field), _FIELDS)
            raise ValueError(
                f"{where}: {name} must hold none but {_FIELDS}. Got {shown(field)}.{near}"
            )
    aliases, uncountable = entry.get("aliases") or [], entry.get("uncountable", False)
    if not isinstance(aliases, list):
        raise ValueError(f"{where}: `aliases` of {name} must be a list. Got {shown(aliases)}.")
    if not isinstance(uncountable, bool):
        raise ValueError(
            f"{where}: `uncountable` of {name} must be true or false. Got {shown(uncountable)}."
        )
    templates = _weighted(entry, "templates", name, where)
    lacking = [template for template, _ in templates if "{thing}" not in template]
    if lacking:
        raise ValueError(
            f"{where}: `templates` of {name} must each hold {{thing}}. Got {shown(lacking[0])}."
        )
    return ClassWords(
        name,
        tuple(_text(alias, where) for alias in aliases),
        _weighted(entry, "sub_classes", name, where),
        templates,
        uncountable,
    )


def _weighted(
    entry: Mapping[str, Any], field: str, name: str, where: str
) -> tuple[tuple[str, float], ...]:
    found = entry.get(field) or {}
    weights = found.values() if isinstance(found, dict) else [None]
    if not all(
        isinstance(w, int | float) and not isinstance(w, bool) and 0 < w < float("inf")
        for w in weights
    ):
        raise ValueError(
            f"{where}: `{field}` of {name} must be `text: weight` pairs with weights above 0. "
            f"Got {shown(found)}."
        )
    return tuple((_text(text, where), float(weight)) for text, weight in found.items())


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not re.search(r"\w", value):
        # YAML reads no as False: the word that was meant is lost.
        raise ValueError(
            f"{where} must name things in words. Got {shown(value)}. Put it in quotes."
        )
    return value


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _named(words: ClassWords | None, name: str) -> ClassWords:
    """The words of a class, called as the class list calls it."""
    if words is None or words.name == name:
        return words or ClassWords(name)
    return ClassWords(
        name,
        tuple(dict.fromkeys([words.name, *words.aliases])),
        words.sub_classes,
        words.templates,
        words.uncountable,
    )
