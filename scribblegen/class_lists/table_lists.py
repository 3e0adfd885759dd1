"""Class lists in tables (CSV, or columns between tabs): known by their header line.

| header | who writes it | class ids |
|---|---|---|
| `Pixel Value, Class` | Roboflow's _classes.csv beside semantic masks | the pixel value |
| `Idx,Ratio,Train,Val,Stuff,Name` | ADE20K's objectInfo150 | Idx less 1: 0 in its masks is void |
| `name,r,g,b` | class_dict.csv of many data sets | the line: the masks hold the colours |
"""

import csv
from collections.abc import Callable, Sequence
from importlib import resources

from scribblegen.class_lists.listed import (
    ListedClasses,
    colour_of,
    id_of,
    in_order_of_ids,
    name_of,
)
from scribblegen.text_files import shown

Rows = Sequence[dict[str, str]]

_HEADS = frozenset(
    "name names class classes label labels class_name category id ids idx index class_id color "
    "colour rgb r g b".split()
)


def read_table(lines: Sequence[str]) -> ListedClasses | None:
    """The classes of a table with a header of `FORMS`; None where the first line is no header.

    Raises:
        ValueError: the header is another one, or a line is no class.
    """
    if not lines:
        return None
    separator = "\t" if "\t" in lines[0] else ","
    header = [cell.casefold() for cell in _cells(lines[0], separator)]
    for columns, read in FORMS:
        if columns <= set(header):
            return read([_row(header, line, separator) for line in lines[1:]])
    if len(header) > 1 and set(header) <= _HEADS:
        check_no_table(lines)
    return None


def check_no_table(lines: Sequence[str]) -> None:
    """Refuses a table with another header, or with one cell a line and a header over it."""
    if lines and (any("," in line for line in lines) or lines[0].casefold() in _HEADS):
        known = "; ".join(",".join(sorted(columns)) for columns, _ in FORMS)
        raise ValueError(
            f"a table of classes must have a header with the columns {known}; a list of names has "
            f"no header and no commas. Got {shown(lines[0])}."
        )


def from_roboflow(rows: Rows) -> ListedClasses:
    """Roboflow's _classes.csv: the pixel values of the masks are the class ids."""
    return in_order_of_ids((id_of(row["pixel value"]), row["class"], None) for row in rows)


def from_ade(rows: Rows) -> ListedClasses:
    """ADE20K's objectInfo150, as CSV or text: Idx 1 is class id 0, for 0 in the masks is void.

    The whole list of 150 is the label space `ade20k`: the file has semicolons between synonyms
    and between the words of one name alike, so names cannot be told from it. In another list the
    first synonym is the name.
    """
    return in_order_of_ids(
        (
            (id_of(row["idx"]), row["name"].replace(";", ",").split(",")[0].strip(), None)
            for row in _named(rows)
        ),
        may_begin_at_one=True,
    )


def from_colours(rows: Rows) -> ListedClasses:
    """`name,r,g,b`: names and colours, in the order of the lines."""
    palette = tuple(colour_of([id_of(row[c]) for c in "rgb"]) for row in rows)
    return ListedClasses(tuple(name_of(row["name"]) for row in rows), palette)


def _named(rows: Rows) -> Rows:
    """ADE20K's rows with the names of `ade20k`, where they are all of its 150."""
    known = (resources.files("scribblegen") / "label_spaces" / "ade20k.txt").read_text("utf-8")
    names = known.splitlines()
    if [row["idx"] for row in rows] != [str(i + 1) for i in range(len(names))]:
        return rows
    return [{**row, "name": name} for row, name in zip(rows, names, strict=True)]


def _cells(line: str, separator: str) -> list[str]:
    try:
        (cells,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    except csv.Error as error:
        raise ValueError(f"it must be a table. Got {shown(line)}: {error}.") from error
    return [cell.strip() for cell in cells]


def _row(header: Sequence[str], line: str, separator: str) -> dict[str, str]:
    cells = _cells(line, separator)
    if len(cells) != len(header):
        raise ValueError(
            f"every line must have {len(header)} cells, as the header has. Got {shown(line)}."
        )
    return dict(zip(header, cells, strict=True))


FORMS: tuple[tuple[frozenset[str], Callable[[Rows], ListedClasses]], ...] = (
    (frozenset({"pixel value", "class"}), from_roboflow),
    (frozenset({"idx", "name"}), from_ade),
    (frozenset({"name", "r", "g", "b"}), from_colours),
)
