"""YAML as configs have it: a few options, whatever its anchors would make of them."""

from typing import Any

import yaml

from scribblegen.text_files import shown_message

# Of a config with every alias written out; the shipped ones have less than 10 000.
_MOST_CHARACTERS = 1_000_000


def parse_yaml(text: str, where: str) -> Any:
    """What YAML says.

    Args:
        text: the YAML.
        where: it stands, such as "`config` run.yaml", for the message.

    Raises:
        ValueError: it is no YAML; it is nested too deeply; or its aliases stand for far more than
            a config holds, or for themselves.
    """
    try:
        _check_aliases(text, where)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not valid YAML: {shown_message(error)}.") from error
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply. Write `option: value` lines.") from error
    except ValueError as error:
        if str(error).startswith(where):
            raise
        # A date such as 2024-13-45 is one by its form alone.
        raise ValueError(
            f"{where} holds a value that cannot be read: {shown_message(error)}. Put it in quotes."
        ) from error


def _check_aliases(text: str, where: str) -> None:
    """Refuses aliases inside of aliases that would fill the memory: sizes are added up instead."""
    sizes: dict[str, int] = {}  # of what is anchored, with its aliases written out
    opened: list[tuple[str | None, int]] = []  # collections around: anchor, characters before them
    total = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise ValueError(
                    f"{where} must not hold an alias of what it stands in. Got *{event.anchor}."
                )
            total += sizes.get(str(event.anchor), 0)
        elif isinstance(event, yaml.ScalarEvent):
            total += len(event.value) + 1
            if event.anchor is not None:
                sizes[event.anchor] = len(event.value) + 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if total > _MOST_CHARACTERS:
            raise ValueError(
                f"{where} must hold at most {_MOST_CHARACTERS} characters with all aliases written "
                "out. Got more. Write `option: value` lines without anchors."
            )
