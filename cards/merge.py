"""One card for what several runs, and people, have written.

A run writes its part of a card between two marks and its own subsets into the YAML. Whatever stands
outside, others wrote: it is kept as it is.
"""

import re
from typing import Any

import yaml

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>10M")


def marked(text: str, key: str) -> str:
    """A run's part of a card, between its marks."""
    return f"{_begin(key)}\n\n{text.strip()}\n\n{_end(key)}\n"


def merge_cards(there: str | None, here: str, key: str, replaces: tuple[str, ...] = ()) -> str:
    """The card of a repository after a run is published to it.

    Args:
        there: the card that the repository has; None where it has none.
        here: the card of the run, YAML and its marked part.
        key: the key of the run.
        replaces: keys of runs that this one stands for from now on; their parts go.

    Raises:
        ValueError: the YAML of the card that is there cannot be read, so it cannot be kept.
    """
    if there is None:
        return here
    theirs, their_body = _split(there)
    ours, our_body = _split(here)
    merged = _merged_metadata(theirs, ours)
    body = their_body
    part = our_body.strip()
    placed = False
    for old in (key, *replaces):
        begin, end = body.find(_begin(old)), body.find(_end(old))
        if 0 <= begin < end:
            body = body[:begin] + ("" if placed else part) + body[end + len(_end(old)) :]
            placed = True
    if not placed:
        body = f"{body.rstrip()}\n\n{part}\n" if body.strip() else f"\n{part}\n"
    if merged == theirs and _FRONT.match(there):
        front = there[: len(there) - len(their_body)]  # not even its spelling is touched
    else:
        front = f"---\n{yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)}---\n"
    return front + body


def _merged_metadata(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Theirs, with our subsets, and with our other entries where they have none."""
    merged = {**ours, **theirs}
    own = {config["config_name"]: config for config in ours.get("configs", [])}
    configs = []
    for config in theirs.get("configs") or []:
        new = own.pop(config.get("config_name"), None)
        if new is not None:
            # Which subset is shown first is theirs to say.
            new = {k: v for k, v in new.items() if k != "default"}
            if config.get("default"):
                new["default"] = True
        configs.append(new or config)
    has_default = any(config.get("default") for config in configs)
    for config in own.values():
        configs.append({k: v for k, v in config.items() if k != "default" or not has_default})
    if configs:
        merged["configs"] = configs
    sizes = [*(theirs.get("size_categories") or []), *(ours.get("size_categories") or [])]
    known = [size for size in sizes if size in _SIZES]
    if known:
        merged["size_categories"] = [max(known, key=_SIZES.index)]
    # In their order, then what only we have.
    return {key: merged[key] for key in (*theirs, *(k for k in merged if k not in theirs))}


def _split(card: str) -> tuple[dict[str, Any], str]:
    found = _FRONT.match(card)
    if found is None:
        return {}, card
    try:
        data = yaml.safe_load(found.group(1)) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"the card's YAML cannot be read: {error}. Mend it on the Hub.") from error
    if not isinstance(data, dict):
        raise ValueError("the card's YAML must hold `key: value` lines. Mend it on the Hub.")
    return data, card[found.end() :]


def _begin(key: str) -> str:
    return f"<!-- scribblegen run {key} -->"


def _end(key: str) -> str:
    return f"<!-- end of scribblegen run {key} -->"
