"""Text that a user or a disk gives: read as UTF-8 and as JSON, or refused by its file."""

import json
from pathlib import Path
from typing import Any

_MOST_SHOWN = 200  # characters of a value in a message


def shown(value: Any) -> str:
    """A value as `Got ...` tells it: as `repr`, cut at 200 characters."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


def read_text(path: Path, option: str, *, encoding: str = "utf-8") -> str:
    """The text of a file.

    Args:
        path: of the file.
        option: that named it, or what it is, for the message.
        encoding: `utf-8`, or `utf-8-sig`, which passes over a byte order mark.

    Raises:
        ValueError: it is not UTF-8; file, byte and fix are named.
        OSError: it cannot be read.
    """
    try:
        return path.read_text(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{option} {path} must be UTF-8 text. Got byte 0x{error.object[error.start]:02x} at "
            f"position {error.start}. Save it as UTF-8."
        ) from error


def parse_json(text: str | bytes, what: str, fix: str) -> Any:
    """What JSON says.

    Args:
        text: the JSON.
        what: it is, such as the path of its file, for the message.
        fix: what to do where it is damaged.

    Raises:
        ValueError: it is cut short, nested too deeply, or no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # bytes that are no text are a ValueError too
        reason = "nested too deeply" if isinstance(error, RecursionError) else shown_message(error)
        raise ValueError(f"{what} is damaged: it is not JSON ({reason}). {fix}") from error


def read_json(path: Path, fix: str) -> Any:
    """What a JSON file of this program says; raises as `parse_json`, or OSError."""
    return parse_json(path.read_bytes(), str(path), fix)


def read_fields(path: Path, fix: str) -> dict[str, Any]:
    """What a JSON file of this program says, which is fields; raises as `read_json`."""
    found = read_json(path, fix)
    if not isinstance(found, dict):
        raise ValueError(f"{path} was edited or damaged: it must hold fields. {fix}")
    return found


def shown_message(error: BaseException) -> str:
    """A library's message in one line, cut at 200 characters."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."
