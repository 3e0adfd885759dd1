"""What every class list comes to: names in the order of their ids, with or without colours."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scribblegen.text_files import shown

MAX_NAME = 200  # characters
MAX_NAMES = 254  # ids 0..253 of a label of 8 bits, as in `classes.Classes`

Colour = tuple[int, int, int]

_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, ends of lines
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class ListedClasses:
    """The classes of one list, checked.

    Args:
        names: The names, in the order of the ids 0..K-1.
        palette: As many colours (R, G, B), each 0..255, or none.
        first_id: The number that the tool gives the first of them, whose class id is 0.

    Raises:
        ValueError: there are none or too many, a name is no name, or a colour is none.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...] = ()
    first_id: int = 0

    def __post_init__(self) -> None:
        check_names(self.names)
        if self.palette and len(self.palette) != len(self.names):
            raise ValueError(
                f"`palette` must hold one colour per class ({len(self.names)}), or none at all. "
                f"Got {len(self.palette)}."
            )


def check_names(names: Sequence[str]) -> None:
    """Refuses, with a ValueError, what no list of class names can hold."""
    if not 1 <= len(names) <= MAX_NAMES:
        raise ValueError(f"`names` must hold 1 to {MAX_NAMES} class names. Got {len(names)}.")
    for index, name in enumerate(names):
        if not name.strip():
            raise ValueError(f"`names` must not be empty. Got {shown(name)} for id {index}.")
        if len(name) > MAX_NAME:
            raise ValueError(
                f"`names` must have at most {MAX_NAME} characters each. "
                f"Got {len(name)} for id {index}: {shown(name[:40])}..."
            )
        if any(unicodedata.category(c) in _CONTROL or c in _DIRECTIONS for c in name):
            raise ValueError(
                "`names` must hold no control characters and no halves of characters. "
                f"Got {shown(name)} for id {index}."
            )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"`names` must differ from each other. Got {shown(repeated)} twice or more."
        )


def name_of(value: object) -> str:
    """A name as it is written: text, or a whole number, as the classes of digits are called."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(
        f"`names` must be text. Got {shown(value)}. Put quotes round a name such as 'no' or 'null'."
    )


def id_of(value: object) -> int:
    """A whole number, also as text such as "3" (keys of JSON objects are always text)."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"ids must be whole numbers. Got {shown(value)}.")


def colour_of(value: object) -> Colour:
    """(R, G, B) of 0..255, from three numbers or `#RRGGBB` (an opacity after it is left out)."""
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    if isinstance(value, (list, tuple)) and len(value) == 3:
        if all(isinstance(v, (int, float)) and v in range(256) for v in value):
            return int(value[0]), int(value[1]), int(value[2])
    raise ValueError(
        f"`palette` must hold (R, G, B) of 0..255, or #RRGGBB, for each class. Got {shown(value)}."
    )


def in_order_of_ids(
    rows: Iterable[tuple[int, str, Colour | None]], *, may_begin_at_one: bool = False
) -> ListedClasses:
    """The classes of rows of id, name and colour, whose ids must run from 0 without a gap.

    Args:
        rows: in any order.
        may_begin_at_one: whether they may run from 1 as well; see `ListedClasses.first_id`.
    """
    ordered = sorted(rows, key=lambda row: row[0])
    ids = [row[0] for row in ordered]
    first = 1 if may_begin_at_one and ids and ids[0] == 1 else 0
    if ids != list(range(first, first + len(ids))):
        runs = f"0..{len(ids) - 1}" + (f" or 1..{len(ids)}" if may_begin_at_one else "")
        raise ValueError(f"ids must run {runs} without a gap. Got {shown(ids)}. {_mended(ids)}")
    palette = tuple(colour for _, _, colour in ordered if colour is not None)
    return ListedClasses(tuple(name for _, name, _ in ordered), palette, first)


def _mended(ids: Sequence[int]) -> str:
    """How to mend ids, sorted, that do not run as they must."""
    if len(set(ids)) < len(ids):
        return "Give every class an id of its own."
    if list(ids) == list(range(1, len(ids) + 1)):
        return (
            "Where 0 in the masks is a class, list it too; where nobody drew there, give the names "
            "alone, in this order, and `label_convention` one_based."
        )
    return (
        "Number the classes anew, and rename the ids of the masks with `label_map`; or list the "
        "ids between as well, with names that no mask needs."
    )
