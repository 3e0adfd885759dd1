"""A photograph with what was found in it: colours over it, and a legend below."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scribblegen.classes import Classes
from scribblegen.images import encode_image

_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_OPACITY = 0.5  # of the colours; their edges are drawn full
_LEAST_SIDE = 320  # pixels of the shorter side: a smaller picture is enlarged, to read its legend


def render_overlay(
    image: np.ndarray, mask: np.ndarray, classes: Classes, notes: Sequence[str]
) -> bytes:
    """A JPEG for a person to look at.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) uint8 class ids and `IGNORE_INDEX`, where the photograph is left as it is.
        classes: names and colours.
        notes: for each class what stands behind its name, such as its share of the pixels.
    """
    times = max(1, -(-_LEAST_SIDE // min(image.shape[:2])))
    if times > 1:
        image = np.asarray(
            Image.fromarray(image).resize(
                (image.shape[1] * times, image.shape[0] * times), Image.Resampling.BICUBIC
            )
        )
        mask = mask.repeat(times, axis=0).repeat(times, axis=1)
    found = mask < len(classes)
    colours = classes.colours()[mask]
    weight = np.where(_edges(mask), 1.0, _OPACITY)[..., None] * found[..., None]
    blended = (image * (1 - weight) + colours * weight).round().astype(np.uint8)
    return encode_image(_with_legend(blended, classes, notes), "jpeg")


def _edges(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels beside one of another value."""
    edge = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def _with_legend(image: np.ndarray, classes: Classes, notes: Sequence[str]) -> np.ndarray:
    """The picture above lines of coloured squares and names, as many beside each other as fit."""
    height, width = image.shape[:2]
    size = max(12, min(height, width) // 30)
    font, line, gap = ImageFont.load_default(size=size), round(1.6 * size), size // 2
    texts = [f"{name}  {note}" for name, note in zip(classes.names, notes, strict=True)]
    places, x, y = [], gap, height + gap
    for text in texts:
        length = size + gap + round(font.getlength(text)) + 2 * gap
        if x > gap and x + length > width:
            x, y = gap, y + line
        places.append((x, y))
        x += length
    sheet = Image.new("RGB", (width, y + line), _PAPER)
    sheet.paste(Image.fromarray(image), (0, 0))
    pen = ImageDraw.Draw(sheet)
    for (left, top), text, colour in zip(places, texts, classes.palette, strict=True):
        pen.rectangle((left, top, left + size, top + size), tuple(colour), _INK)
        pen.text((left + size + gap, top + size / 2), text, _INK, font, "lm")
    return np.asarray(sheet)
