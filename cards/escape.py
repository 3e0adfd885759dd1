"""Any text made plain text, wherever a card has it: in prose and tables, in code, in commands.

Names of classes, files and repositories are other people's words. In a card they are read, and
nothing more: they are no link, no picture, no HTML and no command.
"""

import html
import json
import re
import shlex
from typing import Any

# Besides white space: control characters, and what turns the direction of the text around it.
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_MARKUP = re.compile(r"[\\`*\[\]~|#$]|(?<=\])\(")
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # inside of a word it is a letter
# What a viewer makes a link of without any markup. Shown, these are the same characters.
_ADDRESSES = re.compile(r":(?=//)|(?<=\bwww)\.|(?<=\bmailto):|(?<=\bxmpp):|@", re.IGNORECASE)


def line(value: Any) -> str:
    """One line of a code block that does not begin with this text."""
    return _BLANK.sub(" ", str(value))


def plain(value: Any) -> str:
    """Text for prose, headings and table cells: one line, shown as it was given."""
    text = html.escape(line(value), quote=False)
    text = _UNDERSCORE.sub(r"\\_", _MARKUP.sub(r"\\\g<0>", text))
    return _ADDRESSES.sub(lambda found: f"&#{ord(found.group())};", text)


def code(value: Any) -> str:
    """Text between backticks: one line, without backticks."""
    return line(value).replace("`", "'")


def code_cell(value: Any) -> str:
    """`code` in a table, which takes a bar for the end of the cell even there."""
    return code(value).replace("|", "\\|")


def literal(value: Any) -> str:
    """A string of Python, with its quotes."""
    return in_json(json.dumps(str(value), ensure_ascii=False))


def argument(value: Any) -> str:
    """One argument of a shell's command."""
    return shlex.quote(code(value))


def in_json(text: str) -> str:
    """JSON that ends no code block and holds no mark of a run; it says the same."""
    return text.replace("`", "\\u0060").replace("<!--", "<\\u0021--")


def setting(value: Any) -> str:
    """A number, or text for a table cell."""
    return plain(value) if isinstance(value, str) else f"{value:g}"
