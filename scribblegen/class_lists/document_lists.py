"""Class lists in JSON or YAML: one function for each form, and the table of them.

| form | who writes it | class ids |
|---|---|---|
| `["cat", ...]` | by hand | the place in the list |
| `[{"name", "id", "color"}, ...]` | by hand, CVAT's raw labels | `id`, else the place |
| `{"classes": [{"id", "name", "palette_rgb"}]}` | our classes.json and manifest | `id` |
| `{"classes": [{"title", "color"}]}` | Supervisely's meta.json | the place |
| `{"cat": [1, 1, 1], ...}` | Supervisely's obj_class_to_machine_color.json | the value less 1 |
| `{"categories": [{"id", "name"}]}` | COCO, Label Studio's notes.json, Roboflow | `id`, or less 1 |
| `{"names": [...]}` or `{"names": {0: ...}}` | YOLO's data.yaml | the place, or the key |
| `{"0": "cat", ...}` | the Hub's id2label.json | the key |
| `{"cat": 0, ...}` | label2id.json | the value |

Where a tool counts from 1, 0 in its masks is where nothing was drawn; then the first class is id 0
here and `first_id` is 1. `label_convention` one_based reads its masks so.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from scribblegen.class_lists.listed import (
    Colour,
    ListedClasses,
    colour_of,
    id_of,
    in_order_of_ids,
    name_of,
)
from scribblegen.text_files import shown

COLOURS = ("palette_rgb", "color", "colour")


def read_document(data: object) -> ListedClasses:
    """The classes of parsed JSON or YAML in any form of `FORMS`, or a ValueError."""
    if not isinstance(data, (dict, list)):
        raise ValueError(f"a list or an object is needed. Got {shown(data)}.")
    for is_written_so, read in FORMS:
        if is_written_so(data):
            return read(data)
    raise ValueError(f"{EXPECTED} is needed. Got {shown(data)}.")


def from_names(data: Sequence[object]) -> ListedClasses:
    """A list of names, in the order of the ids."""
    return ListedClasses(tuple(name_of(name) for name in data))


def from_rows(data: Sequence[object], *, may_begin_at_one: bool = False) -> ListedClasses:
    """A list of objects with `name`, and `id` and `color` in all of them or in none.

    Ids are label values: they run from 0, or they are refused with how to mend them.
    """
    rows = [_row(row, "name") for row in data]
    has_ids = ["id" in row for row in rows]
    if any(has_ids) and not all(has_ids):
        bare = rows[has_ids.index(False)]
        raise ValueError(f"every class must have an `id`, or none. Got {shown(bare)}.")
    return in_order_of_ids(
        (
            (id_of(row.get("id", place)), name_of(row["name"]), _colour(row))
            for place, row in enumerate(rows)
        ),
        may_begin_at_one=may_begin_at_one,
    )


def from_classes(data: dict[str, Any]) -> ListedClasses:
    """Our own classes.json and manifest, or any object with such a list called `classes`."""
    listed = data["classes"]
    return from_rows(listed) if _holds_rows(listed) else from_names(listed)


def from_supervisely(data: dict[str, Any]) -> ListedClasses:
    """Supervisely's meta.json, in its order; the `id` there is a row of its data base.

    Machine masks hold 1..K in this order and 0 where nothing was drawn; human masks hold the
    colours.
    """
    rows = [_row(row, "title") for row in data["classes"]]
    palette = tuple(colour for row in rows if (colour := _colour(row)) is not None)
    return ListedClasses(tuple(name_of(row["title"]) for row in rows), palette, first_id=1)


def from_machine_colours(data: dict[str, Any]) -> ListedClasses:
    """Supervisely's obj_class_to_machine_color.json: `[1, 1, 1]` is the grey of the first class."""
    for grey in data.values():
        if grey.count(grey[0]) != 3:
            raise ValueError(f"machine colours must be grey, such as [1, 1, 1]. Got {shown(grey)}.")
    rows = ((id_of(grey[0]), name, None) for name, grey in data.items())
    return in_order_of_ids(rows, may_begin_at_one=True)


def from_categories(data: dict[str, Any]) -> ListedClasses:
    """The `categories` of COCO files; Label Studio and Roboflow count from 0, all others from 1.

    Those of COCO itself have gaps, which are refused with how to mend them.
    """
    return from_rows(data["categories"], may_begin_at_one=True)


def from_yolo(data: dict[str, Any]) -> ListedClasses:
    """YOLO's data.yaml: `names`, a list or a mapping of ids; `nc`, their number, must agree."""
    names = data["names"]
    listed = from_names(names) if isinstance(names, list) else from_id2label(names)
    if "nc" in data and data["nc"] != len(listed.names):
        number = len(listed.names)
        raise ValueError(f"`nc` must be the number of names, {number}. Got {shown(data['nc'])}.")
    return listed


def from_id2label(data: dict[Any, Any]) -> ListedClasses:
    """Ids as keys, names as values."""
    return in_order_of_ids((id_of(i), name_of(name), None) for i, name in data.items())


def from_label2id(data: dict[Any, Any]) -> ListedClasses:
    """Names as keys, ids as values."""
    return in_order_of_ids((id_of(i), name_of(name), None) for name, i in data.items())


def _row(row: object, key: str) -> dict[str, Any]:
    if not isinstance(row, dict) or key not in row:
        raise ValueError(f"every class must be an object with a `{key}`. Got {shown(row)}.")
    return row


def _colour(row: dict[str, Any]) -> Colour | None:
    given = [row[key] for key in COLOURS if row.get(key) is not None]
    return colour_of(given[0]) if given else None


def _holds_rows(data: object) -> bool:
    return isinstance(data, list) and any(isinstance(row, dict) for row in data)


def _has_list(key: str) -> Callable[[Any], bool]:
    return lambda data: isinstance(data, dict) and isinstance(data.get(key), list)


def _is_supervisely(data: Any) -> bool:
    return _has_list("classes")(data) and any(
        isinstance(row, dict) and "title" in row for row in data["classes"]
    )


def _is_yolo(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("names"), (list, dict))


def _are_machine_colours(data: Any) -> bool:
    return isinstance(data, dict) and all(
        isinstance(v, list) and len(v) == 3 and all(isinstance(grey, int) for grey in v)
        for v in data.values()
    )


def _is_label2id(data: Any) -> bool:
    """Where keys and values are all numbers, the keys are the ids, as on the Hub."""
    return (
        isinstance(data, dict)
        and all(isinstance(v, (int, float)) for v in data.values())
        and not all(_is_number(key) for key in data)
    )


def _is_id2label(data: Any) -> bool:
    return isinstance(data, dict) and any(_is_number(key) for key in data)


def _is_number(key: object) -> bool:
    return re.fullmatch("-?[0-9]+", str(key)) is not None


EXPECTED = (
    "a list of names, a list of objects with `name`, or an object of ids and names, or one with "
    "`classes`, `categories` or `names`"
)
FORMS: tuple[tuple[Callable[[Any], bool], Callable[[Any], ListedClasses]], ...] = (
    (_holds_rows, from_rows),
    (lambda data: isinstance(data, list), from_names),
    (_is_supervisely, from_supervisely),
    (_has_list("classes"), from_classes),
    (_has_list("categories"), from_categories),
    (_is_yolo, from_yolo),
    (_is_label2id, from_label2id),
    (_is_id2label, from_id2label),
    (_are_machine_colours, from_machine_colours),
)
