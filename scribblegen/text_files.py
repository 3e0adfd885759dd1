"""Text that a user or a disk gives: read as UTF-8 and as JSON, or refused by its file."""

import json
import reprlib
from pathlib import Path
from typing import Any

_MOST_SHOWN = 200  # characters of a value in a message
# What lies beyond is never shown, so it is never written out, however large the value is.
_REPR = reprlib.Repr()
_REPR.maxlist = _REPR.maxtuple = _REPR.maxset = _REPR.maxdict = 50
_REPR.maxlevel = 4
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 10_000


def cut(text: str, most: int = _MOST_SHOWN) -> str:
    """A text as a message has room for: its first `most` characters, 200."""
    return text if len(text) <= most else f"{text[:most]} ..."


def printable(text: str) -> str:
    """A text that any file can hold: halves of characters, as JSON may have them, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value: Any) -> str:
    """A value as `Got ...` tells it: as `repr`, cut."""
    return cut(_REPR.repr(value))


def shown_message(error: BaseException, most: int = _MOST_SHOWN) -> str:
    """A library's message in one line, cut to `most` characters."""
    told = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return printable(cut(told, most))


def decode_text(data: bytes, what: str, *, encoding: str = "utf-8") -> str:
    """The text of some bytes.

    Args:
        data: the text, encoded.
        what: it is, such as its file, for the message.
        encoding: `utf-8`, or `utf-8-sig`, which passes over a byte order mark.

    Raises:
        ValueError: it is not UTF-8; the byte and the fix are named.
    """
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what} must be UTF-8 text. Got byte 0x{error.object[error.start]:02x} at "
            f"position {error.start}. Save it as UTF-8."
        ) from error


def read_text(path: Path, option: str, *, encoding: str = "utf-8") -> str:
    """The text of a file; raises as `decode_text`, or OSError.

    Args:
        path: of the file.
        option: that named it, or what it is, for the message.
        encoding: as of `decode_text`.
    """
    return decode_text(path.read_bytes(), f"{option} {path}", encoding=encoding)


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
