"""Names of files as text that can be stored, compared and shown anywhere.

A name on a disk is bytes: it need not be UTF-8, may hold a line break, and the same letters may be
spelt in two ways (macOS writes an accent as a character of its own).
"""

import os
import unicodedata
from pathlib import Path

from scribblegen.text_files import cut

_UNSAFE = ("Cc", "Cs", "Zl", "Zp")  # control characters, lone surrogates, line separators


def safe_text(name: str) -> str:
    """A name as text in the spelling NFC.

    Bytes that are no UTF-8, control characters and line breaks are written as escapes, such as
    `caf\\xe9` and `a\\nb`. Any other name stays as it is.

    Args:
        name: as the system gave it, with bytes that are no UTF-8 as lone surrogates.
    """
    if name.isascii() and name.isprintable():
        return name
    try:
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        text = name
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSAFE else c
        for c in unicodedata.normalize("NFC", text)
    )


def shown_path(path: Path) -> str:
    """The folder and the name at the end of a path: reasons tell nothing else of a disk."""
    return cut(safe_text("/".join(path.parts[-2:])))
