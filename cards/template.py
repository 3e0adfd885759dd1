"""Card templates, and what makes any text safe in them."""

import html
import re
from importlib import resources
from typing import Any

import jinja2


def read_template(path: str) -> str:
    """A template of this folder."""
    text: str = (resources.files("scribblegen.cards") / path).read_text("utf-8")
    return text


def card_environment() -> jinja2.Environment:
    """Undefined names are errors; the filter `cell` keeps any text inside one table cell."""
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    return environment


def _cell(value: Any) -> str:
    line = re.sub(r"\s+", " ", str(value))
    return html.escape(line, quote=False).replace("|", "\\|").replace("`", "'")
