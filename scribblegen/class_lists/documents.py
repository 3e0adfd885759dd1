"""JSON and YAML, read strictly: no key twice, no aliases, not nested without end."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from scribblegen.text_files import shown, shown_message

_TOO_DEEP = "it must be nested a few levels deep. Got more levels than can be read."


def parse_json(text: str) -> object:
    """The data of a JSON text.

    Raises:
        ValueError: it is not JSON, is nested too deep, or an object has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_yaml(text: str) -> object:
    """The data of a YAML text.

    Aliases are refused: a class list needs none, and a few lines of them stand for gigabytes.

    Raises:
        ValueError: it is not YAML, has aliases, is nested too deep, or a mapping has a key twice.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except yaml.YAMLError as error:
        raise ValueError(f"it must be YAML. Got {shown_message(error)}.") from error


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise ValueError(
                f"it must be without aliases. Got *{alias.anchor} in line "
                f"{alias.start_mark.line + 1}. Write it out."
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _check_keys([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return super().construct_mapping(node, deep)


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _check_keys([key for key, _ in pairs])
    return found


def _check_keys(keys: Sequence[str]) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"every key must be given once. Got {shown(key)} twice.")
        seen.add(key)
