"""A class list from a file: its size and encoding, then the reader for its kind of file."""

import re
from collections.abc import Callable
from pathlib import Path

from scribblegen.class_lists.document_lists import read_document
from scribblegen.class_lists.documents import parse_json, parse_yaml
from scribblegen.class_lists.listed import ListedClasses
from scribblegen.class_lists.table_lists import check_no_table, read_table
from scribblegen.class_lists.text_lists import read_lines
from scribblegen.text_files import decode_text

MAX_JSON_BYTES = 256 << 20  # COCO's annotations and manifests are class lists too
MAX_TEXT_BYTES = 1 << 20


def read_class_list(path: Path) -> ListedClasses:
    """The classes of a file in any form that `document_lists`, `table_lists` and `text_lists` tell.

    `.json` and `.yaml` are read as such, everything else as lines of UTF-8 text.

    Raises:
        ValueError: it is none of these, with what was expected and what was found.
        OSError: it cannot be read.
    """
    suffix = path.suffix.lower()
    read = _READERS.get(suffix, _read_text)
    limit = MAX_JSON_BYTES if suffix == ".json" else MAX_TEXT_BYTES
    size = path.stat().st_size
    if size > limit:
        raise ValueError(
            f"it must have at most {limit} bytes. Got {size}. Keep the names and ids alone."
        )
    text = decode_text(path.read_bytes(), "it", encoding="utf-8-sig")
    return read(text)


def _read_text(text: str) -> ListedClasses:
    lines = _lines(text)
    return read_table(lines) or read_lines(lines)


def _read_csv(text: str) -> ListedClasses:
    lines = _lines(text)
    found = read_table(lines)
    if found is None:
        check_no_table(lines)
        found = read_lines(lines)
    return found


def _lines(text: str) -> list[str]:
    """Ends of lines alone part lines: a control character inside a name stays, and is refused."""
    return [stripped for line in re.split(r"\r\n|\r|\n", text) if (stripped := line.strip(" \t"))]


_READERS: dict[str, Callable[[str], ListedClasses]] = {
    ".json": lambda text: read_document(parse_json(text)),
    ".yaml": lambda text: read_document(parse_yaml(text)),
    ".yml": lambda text: read_document(parse_yaml(text)),
    ".csv": _read_csv,
    ".tsv": _read_csv,
}
