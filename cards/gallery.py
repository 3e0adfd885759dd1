"""The picture of a run: rows are sources, columns the photograph, its scribble and its twins."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scribblegen.classes import Classes

_GAP = 4
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


@dataclass(frozen=True, eq=False)
class GalleryRow:
    """Pictures of one source, in column order, (H, W, 3) uint8; None leaves a cell empty."""

    pictures: tuple[np.ndarray | None, ...]


def draw_scribble(image: np.ndarray, scribble: np.ndarray, classes: Classes) -> np.ndarray:
    """The scribble in class colours, over the faded photograph, thick enough to be seen.

    Args:
        image: (H, W, 3) uint8.
        scribble: (H, W) uint8 class ids and `IGNORE_INDEX`.

    Returns:
        (H, W, 3) uint8.
    """
    faded = (image.astype(np.float32).mean(axis=2, keepdims=True) * 0.35 + 160).clip(0, 255)
    drawn = np.repeat(faded, 3, axis=2).astype(np.uint8)
    labelled = scribble < len(classes)
    drawn[labelled] = classes.colours()[scribble[labelled]]
    return drawn


def render_gallery(
    columns: Sequence[str], rows: Sequence[GalleryRow], *, cell_height: int = 120
) -> bytes:
    """One PNG of all rows under column headings.

    Args:
        columns: a heading for each column; a line break separates its lines.
        rows: each with one picture per column.
        cell_height: in pixels; widths follow the widest picture of each row's aspect.
    """
    sizes = [p.shape[:2] for row in rows for p in row.pictures if p is not None]
    widest = max((w / h for h, w in sizes), default=1.0)
    cell_width = max(48, round(cell_height * min(widest, 2.0)))
    font_size = max(9, min(14, cell_width // 9))
    font = ImageFont.load_default(size=font_size)
    lines = max((heading.count("\n") + 1 for heading in columns), default=1)
    top = lines * (font_size + 4) + 2 * _GAP
    sheet = Image.new(
        "RGB",
        (
            len(columns) * (cell_width + _GAP) + _GAP,
            top + len(rows) * (cell_height + _GAP),
        ),
        _PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    for column, heading in enumerate(columns):
        left = _GAP + column * (cell_width + _GAP)
        pen.multiline_text(
            (left + cell_width / 2, top - _GAP), heading, _INK, font, "md", align="center"
        )
        for number, row in enumerate(rows):
            picture = row.pictures[column]
            if picture is not None:
                shown = _fit(picture, cell_height, cell_width)
                x = left + (cell_width - shown.width) // 2
                y = top + number * (cell_height + _GAP) + (cell_height - shown.height) // 2
                sheet.paste(shown, (x, y))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fit(picture: np.ndarray, height: int, width: int) -> Image.Image:
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
