"""Scribbles that others stored as polylines: ScribbleSup's XML, and text with a stroke a line."""

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scribblegen.classes import Classes
from scribblegen.scribbles.strokes import Stroke

SCRIBBLESUP_WIDTH = 3.0  # pixels: what everyone draws ScribbleSup's strokes with
_SIDES = ("height", "width")


def read_scribblesup_xml(
    path: str | Path,
    classes: Classes,
    image_size: tuple[int, int] | None = None,
    width: float = SCRIBBLESUP_WIDTH,
) -> tuple[list[Stroke], tuple[int, int]]:
    """Reads one image's strokes in ScribbleSup's format: each `polygon` is a stroke.

    Args:
        path: An XML file with `size/width`, `size/height`, and `polygon` elements of a `tag` (the
            class name) and ordered `point` elements with `X` and `Y`, in pixels from 0.
        classes: The classes that the tags are matched with, spaces and case aside: `diningtable`
            and `dining table` are the same.
        image_size: (height, width) of the image, where it is known, to check the file against.
        width: The width of the strokes in pixels, which the file does not say.

    Returns:
        The strokes in the file's order, and (height, width) of the image as the file has it.

    Raises:
        ValueError: with the file's name, if it is malformed, has a tag that is no class, has a
            stroke without points or outside the image, or is for an image of another size.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} must be XML: {error}.") from error
    height, picture_width = (int(_number(root, f"size/{side}", path)) for side in _SIDES)
    if image_size is not None and tuple(image_size) != (height, picture_width):
        raise ValueError(
            f"{path} must be for the image, which is {image_size[1]}x{image_size[0]}. "
            f"Got a size of {picture_width}x{height}."
        )
    class_ids = {_bare(name): class_id for class_id, name in enumerate(classes.names)}
    strokes = []
    for component, polygon in enumerate(root.iter("polygon")):
        tag = (polygon.findtext("tag") or "").strip()
        if _bare(tag) not in class_ids:
            raise ValueError(
                f"{path} must have tags among the {len(classes)} classes. Got {tag!r}. "
                "Give the `classes` that the file was drawn for."
            )
        corners = [[_number(point, axis, path) for axis in "XY"] for point in polygon.iter("point")]
        points = np.array(corners, np.float64).reshape(-1, 2)
        _check_on_picture(points, height, picture_width, f"{path}, polygon {component + 1}")
        strokes.append(Stroke(class_ids[_bare(tag)], points, width, component=component))
    return strokes, (height, picture_width)


def read_polyline_text(
    path: str | Path, num_classes: int, width: float = SCRIBBLESUP_WIDTH
) -> list[Stroke]:
    """Reads strokes from text: a line `class_id,x1,y1,x2,y2,...` for each, in pixels from 0.

    Args:
        path: A text file. Blank lines are skipped.
        num_classes: The number of classes; their ids are 0..num_classes - 1.
        width: The width of the strokes in pixels, which the file does not say.

    Raises:
        ValueError: with the file's name and the line, for anything else.
    """
    strokes: list[Stroke] = []
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), start=1):
        fields = line.strip().rstrip(",").split(",")
        if fields == [""]:
            continue
        where = f"{path}, line {number}"
        try:
            class_id, values = int(fields[0]), [float(field) for field in fields[1:]]
        except ValueError as error:
            raise ValueError(f"{where} must hold numbers, separated by commas: {error}.") from error
        if not 0 <= class_id < num_classes:
            raise ValueError(
                f"{where} must start with a class id in 0..{num_classes - 1}. Got {class_id}."
            )
        if len(values) < 2 or len(values) % 2 or not all(map(math.isfinite, values)):
            raise ValueError(
                f"{where} must hold finite pairs x,y after the class id, at least one. "
                f"Got {len(values)} values."
            )
        points = np.array(values, np.float64).reshape(-1, 2)
        strokes.append(Stroke(class_id, points, width, component=len(strokes)))
    return strokes


def _bare(name: str) -> str:
    return name.replace(" ", "").casefold()


def _number(element: ElementTree.Element, name: str, path: str | Path) -> float:
    text = (element.findtext(name) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path} must have a number at `{element.tag}/{name}`. Got {text!r}.")
    return value


def _check_on_picture(points: np.ndarray, height: int, width: int, where: str) -> None:
    """A stroke may leave the picture, as a hand does; but not lie outside as a whole."""
    if len(points) == 0:
        raise ValueError(f"{where} must have at least one `point`. Got none.")
    on_picture = (points >= -0.5) & (points < np.array([width, height]) - 0.5)
    if not on_picture.all(axis=1).any():
        raise ValueError(
            f"{where} must touch the picture of {width}x{height} (width x height). Got points "
            f"from {points.min(axis=0).tolist()} to {points.max(axis=0).tolist()} (x, y)."
        )
