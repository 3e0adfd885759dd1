"""Scribbles that others stored as polylines: ScribbleSup's XML, and text with a stroke a line."""

import io
import math
import re
from collections.abc import Sequence

import numpy as np

from scribblegen.classes import Classes
from scribblegen.scribbles.pen import covered_pixels, length_on
from scribblegen.scribbles.strokes import Stroke
from scribblegen.scribbles.xml_elements import elements
from scribblegen.text_files import decode_text, shown

SCRIBBLESUP_WIDTH = 3.0  # pixels: what everyone draws ScribbleSup's strokes with
_SIDES = ("height", "width")
# More than any hand draws, and no more than can be drawn in seconds.
_MOST_BYTES = 16 * 2**20
_MOST_STROKES = 100_000
_MOST_POINTS = 1_000_000  # of a stroke
_LONGEST = 1e7  # pixels on the picture, of all strokes together
_FARTHEST = 1e6  # pixels from the picture: what lies beyond is no coordinate


def read_scribblesup_xml(
    data: bytes,
    name: str,
    classes: Classes,
    image_size: tuple[int, int] | None = None,
    width: float = SCRIBBLESUP_WIDTH,
) -> tuple[list[Stroke], tuple[int, int]]:
    """Reads one image's strokes in ScribbleSup's format: each `polygon` is a stroke.

    Args:
        data: An XML file with `size/width`, `size/height`, and `polygon` elements of a `tag` (the
            class name) and ordered `point` elements with `X` and `Y`, in pixels from 0. UTF-8,
            UTF-16, ISO-8859-1 or US-ASCII, of at most 16 MiB.
        name: The file's name, for the message.
        classes: The classes that the tags are matched with, spaces and case aside: `diningtable`
            and `dining table` are the same.
        image_size: (height, width) of the image, where it is known, to check the file against.
        width: The width of the strokes in pixels, which the file does not say.

    Returns:
        The strokes in the file's order, and (height, width) of the image as the file has it.

    Raises:
        ValueError: with the file's name, if it is malformed or too large, has a tag that is no
            class, has a stroke without points or that does not touch the image, or is for an image
            of another size.
    """
    _check_bytes(data, name)
    sides: dict[str, str] = {}
    polygons: list[tuple[str, list[float]]] = []
    tag: str | None = None
    point: dict[str, str] = {}
    corners: list[float] = []
    for path, text in elements(data, name):
        element, where = path[-1], f"{name}, polygon {len(polygons) + 1}"
        if len(path) == 3 and path[1] == "size":
            sides.setdefault(element, text)
        elif element == "polygon":
            if "polygon" in path[:-1]:
                raise ValueError(f"{where} must not lie in another one. Got one that does.")
            polygons.append((tag or "", corners))
            tag, corners = None, []
            _check_count(len(polygons), name)
        elif element == "tag" and path[-2:-1] == ("polygon",):
            tag = text if tag is None else tag
        elif element in ("X", "Y") and path[-2:-1] == ("point",):
            point.setdefault(element, text)
        elif element == "point":
            if "polygon" in path:
                corners += [_coordinate(point.get(axis, ""), axis, where) for axis in "XY"]
            point = {}
    size = _size(sides, name)
    if image_size is not None and tuple(image_size) != size:
        raise ValueError(
            f"{name} must be for the image, which is {image_size[1]}x{image_size[0]}. "
            f"Got a size of {size[1]}x{size[0]}."
        )
    class_ids = {_bare(label): class_id for class_id, label in enumerate(classes.names)}
    strokes = []
    for component, (tag, corners) in enumerate(polygons):
        where = f"{name}, polygon {component + 1}"
        if _bare(tag) not in class_ids:
            raise ValueError(
                f"{where} must have a tag among the {len(classes)} classes. Got {shown(tag)}. "
                "Give the `classes` that the file was drawn for."
            )
        if not corners:
            raise ValueError(f"{where} must have at least one `point`. Got none.")
        points = np.array(corners, np.float64).reshape(-1, 2)
        _check_on_picture(points, size, width, where)
        strokes.append(Stroke(class_ids[_bare(tag)], points, width, component=component))
    _check_length(strokes, size, name)
    return strokes, size


def read_polyline_text(
    data: bytes,
    name: str,
    num_classes: int,
    image_size: tuple[int, int],
    width: float = SCRIBBLESUP_WIDTH,
) -> list[Stroke]:
    """Reads strokes from text: a line `class_id,x1,y1,x2,y2,...` for each, in pixels from 0.

    Args:
        data: A text file in UTF-8, with or without a byte order mark, of at most 16 MiB. Blank
            lines are skipped, and commas at the end of a line.
        name: The file's name, for the message.
        num_classes: The number of classes; their ids are 0..num_classes - 1.
        image_size: (height, width) of the image, which every stroke must touch.
        width: The width of the strokes in pixels, which the file does not say.

    Returns:
        The strokes in the file's order; none where the file is empty.

    Raises:
        ValueError: with the file's name and the line, for anything else.
    """
    _check_bytes(data, name)
    strokes: list[Stroke] = []
    lines = io.StringIO(decode_text(data, name, encoding="utf-8-sig"), newline=None)
    for number, line in enumerate(lines, start=1):
        line = line.strip().rstrip(",")
        if not line:
            continue
        where = f"{name}, line {number}"
        if line.count(",") > 2 * _MOST_POINTS:
            raise ValueError(f"{where} must have at most {_MOST_POINTS:,} points. Got more.")
        first, *fields = line.split(",")
        if not re.fullmatch(r"[+-]?[0-9]+", first.strip()):
            raise ValueError(
                f"{where} must hold numbers, separated by commas, and first a whole one, the "
                f"class id. Got {shown(first)}."
            )
        # No class has an id of as many digits as int() refuses.
        if len(first) > 1000 or not 0 <= int(first) < num_classes:
            raise ValueError(
                f"{where} must start with a class id in 0..{num_classes - 1}. Got {shown(first)}."
            )
        values = [_coordinate(field, "x,y", where) for field in fields]
        if len(values) < 2 or len(values) % 2:
            raise ValueError(
                f"{where} must hold pairs x,y after the class id, at least one. "
                f"Got {len(values)} values."
            )
        points = np.array(values, np.float64).reshape(-1, 2)
        _check_on_picture(points, image_size, width, where)
        strokes.append(Stroke(int(first), points, width, component=len(strokes)))
        _check_count(len(strokes), name)
    _check_length(strokes, image_size, name)
    return strokes


def _bare(name: str) -> str:
    return name.replace(" ", "").casefold()


def _check_bytes(data: bytes, name: str) -> None:
    if len(data) > _MOST_BYTES:
        raise ValueError(
            f"{name} must be of at most {_MOST_BYTES // 2**20} MiB, as files of strokes are. "
            f"Got {len(data) / 2**20:.1f} MiB."
        )


def _check_count(count: int, name: str) -> None:
    if count > _MOST_STROKES:
        raise ValueError(f"{name} must hold at most {_MOST_STROKES:,} strokes. Got more.")


def _check_length(strokes: Sequence[Stroke], size: tuple[int, int], name: str) -> None:
    length = sum(length_on(stroke.points, size) for stroke in strokes)
    if length > _LONGEST:
        raise ValueError(
            f"{name} must hold strokes of at most {_LONGEST:.0e} pixels together. Got {length:.1e}."
        )


def _number(text: str) -> float:
    """NaN where the text is no finite number, as written by a program: `1_0` is none."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _coordinate(text: str, axis: str, where: str) -> float:
    value = _number(text)
    if math.isnan(value):
        raise ValueError(f"{where} must have a finite number at each `{axis}`. Got {shown(text)}.")
    return value


def _size(sides: dict[str, str], name: str) -> tuple[int, int]:
    """(height, width) of the picture that the file is for."""
    found = []
    for side in _SIDES:
        value = _number(sides.get(side, ""))
        if not (1 <= value <= _FARTHEST and value == int(value)):
            raise ValueError(
                f"{name} must have a whole number of pixels at `size/{side}`. "
                f"Got {shown(sides[side]) if side in sides else 'none'}."
            )
        found.append(int(value))
    return found[0], found[1]


def _check_on_picture(points: np.ndarray, size: tuple[int, int], width: float, where: str) -> None:
    """A stroke may leave the picture, as a hand does; but not lie outside as a whole."""
    picture = f"the picture of {size[1]}x{size[0]} (width x height)"
    sides = np.array([size[1], size[0]])
    got = f"Got points from {points.min(axis=0).tolist()} to {points.max(axis=0).tolist()} (x, y)."
    if ((points < -_FARTHEST) | (points > sides + _FARTHEST)).any():
        raise ValueError(
            f"{where} must have coordinates in pixels, within {_FARTHEST:.0e} of {picture}. {got}"
        )
    on_picture = ((points >= -0.5) & (points < sides - 0.5)).all(axis=1)
    if not on_picture.any() and covered_pixels(points, width, size)[0].size == 0:
        raise ValueError(f"{where} must touch {picture}. {got}")
