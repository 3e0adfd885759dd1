"""Tables of a label and a text in every line, and times in words, for terminals."""

import textwrap
from collections.abc import Iterable

_LABEL, _WIDTH = 14, 100


def plain_table(lines: Iterable[tuple[str, str]]) -> str:
    """A label and a text each; long texts go on below themselves."""
    return "\n".join(_laid_out(label, text) for label, text in lines)


def duration(seconds: float) -> str:
    """`0.3 s`, `42 s`, `12 min`, `3 h 10 min`, `2 d 4 h`."""
    if seconds < 60:
        return seconds_of(seconds)
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min"
    return f"{hours // 24} d {hours % 24} h"


def seconds_of(seconds: float) -> str:
    """`0.3 s`, `42 s`."""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _laid_out(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=label.ljust(_LABEL),
        subsequent_indent=" " * _LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
