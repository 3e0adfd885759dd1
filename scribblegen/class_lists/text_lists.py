"""Class lists in lines of text: one function for each form, and the table of them.

| form | who writes it | class ids |
|---|---|---|
| `__ignore__`, `_background_`, names | LabelMe's labels.txt | -1 for the first: the place less 1 |
| `_background_`, names | LabelMe's class_names.txt | the place |
| `cat:48,112,32::` | CVAT's labelmap.txt | the line: its masks hold the colours |
| `64 128 64 Animal` | CamVid's label_colors.txt | the line: its masks hold the colours |
| `0: background` or `0 background` | COCO-Stuff's labels.txt, by hand | the number |
| a name a line | Label Studio's classes.txt, YOLO's obj.names, by hand | the line |
"""

import re
from collections.abc import Callable, Sequence

from scribblegen.class_lists.listed import (
    ListedClasses,
    colour_of,
    id_of,
    in_order_of_ids,
)
from scribblegen.text_files import shown

_IGNORE = "__ignore__"
_BACKGROUND = "_background_"
_CVAT_HEADER = re.compile(r"#\s*label\s*:\s*color", re.IGNORECASE)
_CVAT = re.compile(r"(.+):((?:\d+,\d+,\d+)?):([^:]*):([^:]*)")
_CAMVID = re.compile(r"(\d+)\s+(\d+)\s+(\d+)\s+(.+)")
_NUMBERED = re.compile(r"(\d+)\s*[:\t]\s*(.+)")
_COUNTED = re.compile(r"(\d+)\s+(.+)")
_MARKUP = re.compile(r"#( .*)?|names\s*:.*|item\s*\{")  # comments, YAML, TensorFlow's .pbtxt
_BRACKETS = ("{", "}"), ("[", "]"), ("<", ">")


def read_lines(lines: Sequence[str]) -> ListedClasses:
    """The classes of stripped lines, none empty, in any form of `FORMS`, or a ValueError."""
    for is_written_so, read in FORMS:
        if is_written_so(lines):
            return read(lines)
    raise ValueError("a name a line is needed. Got no line.")


def from_labelme(lines: Sequence[str]) -> ListedClasses:
    """LabelMe's labels.txt or class_names.txt.

    `__ignore__` has id -1 there, which its masks store as 255, so it is no class; `_background_`
    has id 0 and is called background here.
    """
    names = list(lines[1:] if lines[0] == _IGNORE else lines)
    if _IGNORE in names or _BACKGROUND in names[1:]:
        raise ValueError(
            f"{_IGNORE} must be the first line and {_BACKGROUND} the one after it, or the first, "
            f"as LabelMe has them. Got {shown(list(lines))}."
        )
    if names and names[0] == _BACKGROUND:
        names[0] = "background"
    return ListedClasses(tuple(names))


def from_cvat(lines: Sequence[str]) -> ListedClasses:
    """CVAT's labelmap.txt, `label:color_rgb:parts:actions`; parts and actions are no classes."""
    names, palette = [], []
    for line in lines:
        if line.startswith("#"):
            continue
        found = _CVAT.fullmatch(line)
        if found is None:
            raise ValueError(f"every line must be label:R,G,B:parts:actions. Got {shown(line)}.")
        names.append(found[1].strip())
        if found[2]:
            palette.append(colour_of([int(v[:9]) for v in found[2].split(",")]))
    return ListedClasses(tuple(names), tuple(palette))


def from_camvid(lines: Sequence[str]) -> ListedClasses:
    """CamVid's label_colors.txt, which CVAT exports too: `R G B name`."""
    found = [_CAMVID.fullmatch(line) for line in lines]
    rows = [row for row in found if row is not None]
    palette = tuple(colour_of([int(row[i][:9]) for i in (1, 2, 3)]) for row in rows)
    return ListedClasses(tuple(row[4] for row in rows), palette)


def from_numbered(lines: Sequence[str]) -> ListedClasses:
    """An id and a name a line, with a colon, a tab or spaces between them.

    COCO-Stuff begins with `0: unlabeled`, which is no class: its masks hold 255 there, and the id
    less 1 everywhere else.
    """
    found = [_NUMBERED.fullmatch(line) or _COUNTED.fullmatch(line) for line in lines]
    rows = [(id_of(row[1]), row[2], None) for row in found if row is not None]
    if rows[0][:2] == (0, "unlabeled"):
        return in_order_of_ids(rows[1:], may_begin_at_one=True)
    return in_order_of_ids(rows)


def from_plain(lines: Sequence[str]) -> ListedClasses:
    """A name a line. What looks like the markup of a format that is not read is refused."""
    marked = [line for line in lines if _MARKUP.fullmatch(line)]
    if marked or _is_markup(lines):
        raise ValueError(
            "a name a line is needed, or a list as LabelMe, CVAT, Roboflow, COCO, Supervisely, "
            "Label Studio or YOLO writes it (JSON as .json, YAML as .yaml). "
            f"Got {shown((marked or lines)[0])}."
        )
    return ListedClasses(tuple(lines))


def _is_markup(lines: Sequence[str]) -> bool:
    """Whether this is JSON or XML; a name alone may well be in brackets."""
    begins, ends = lines[0][0], lines[-1][-1]
    is_bracketed = any(begins == opens and ends == closes for opens, closes in _BRACKETS)
    return is_bracketed and any(mark in line for line in lines for mark in ('"', "/"))


def _is_cvat(lines: Sequence[str]) -> bool:
    return any(_CVAT_HEADER.match(line) for line in lines) or _all_are(_CVAT)(lines)


def _all_are(form: re.Pattern[str]) -> Callable[[Sequence[str]], bool]:
    return lambda lines: bool(lines) and all(form.fullmatch(line) for line in lines)


def _is_counted(lines: Sequence[str]) -> bool:
    """Whether the numbers before the names count them; "2 euro" and "1 euro" are names."""
    if not _all_are(_COUNTED)(lines):
        return False
    numbers = [int(line.split()[0][:9]) for line in lines]
    return numbers in (list(range(len(lines))), list(range(1, len(lines) + 1)))


FORMS: tuple[
    tuple[Callable[[Sequence[str]], bool], Callable[[Sequence[str]], ListedClasses]], ...
] = (
    (_is_cvat, from_cvat),
    (lambda lines: _IGNORE in lines or _BACKGROUND in lines, from_labelme),
    (_all_are(_CAMVID), from_camvid),
    (_all_are(_NUMBERED), from_numbered),
    (_is_counted, from_numbered),
    (bool, from_plain),
)
