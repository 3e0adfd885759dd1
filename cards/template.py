"""Card templates, and the filters that any text goes through in them."""

from functools import cache
from importlib import resources

import jinja2

from scribblegen.cards import escape

_DATASET = "dataset_card.md"


def read_template(path: str) -> str:
    """The text of a template of this folder."""
    text: str = (resources.files("scribblegen.cards") / path).read_text("utf-8")
    return text


@cache
def card_environment() -> jinja2.Environment:
    """Undefined names are errors; the filters keep any text plain text where it stands."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_load),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "argument": escape.argument,
        "cell": escape.plain,
        "code": escape.code,
        "code_cell": escape.code_cell,
        "in_json": escape.in_json,
        "line": escape.line,
        "literal": escape.literal,
        "setting": escape.setting,
    }
    return environment


def dataset_template(method: str) -> jinja2.Template:
    """The card of a method's datasets: its own blocks in `dataset_card.md`, where it has any."""
    return card_environment().select_template([f"methods/{method}.md", _DATASET])


def method_text(method: str) -> str:
    """What the card says of a method itself: how it works, its limits, whom to cite."""
    template = dataset_template(method)
    return "".join(template.blocks["method"](template.new_context())).strip()


def _load(path: str) -> str | None:
    try:
        return read_template(path)
    except FileNotFoundError:
        return None
