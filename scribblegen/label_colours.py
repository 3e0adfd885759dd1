"""Labels whose pixels have the colours of the classes, as tools draw them for the eye.

Where nobody drew a pixel is transparent, or of a colour that no class has: white, black, or the
pale #e0e0c0 with which PASCAL VOC draws its borders.
"""

from collections import Counter

import numpy as np

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError
from scribblegen.text_files import shown

Colour = tuple[int, int, int]

UNLABELLED: tuple[Colour, ...] = ((255, 255, 255), (0, 0, 0), (224, 224, 192))
_MOST_SHOWN = 5
_BAND = 2**20  # pixels looked up at a time


def ids_of_colours(colours: np.ndarray, classes: Classes) -> np.ndarray:
    """Class ids of colours.

    Args:
        colours: (H, W, 4) uint8 RGBA; left as it is.
        classes: their `palette` says which colour is which class. Of two classes of one colour
            none is found; see `check_colours`.

    Returns:
        (H, W) uint8, with `IGNORE_INDEX` where nobody drew.

    Raises:
        BadImageError: a pixel has a colour that means nothing here, or is half transparent.
    """
    ids = {**dict.fromkeys(UNLABELLED, IGNORE_INDEX), **colour_ids(classes)}
    known = sorted((_code(colour), class_id) for colour, class_id in ids.items())
    codes, values = (np.array(column) for column in zip(*known, strict=True))
    label = np.empty(colours.shape[:2], np.uint8)
    strange: Counter[int] = Counter()
    step = max(1, _BAND // max(1, colours.shape[1]))
    for top in range(0, len(colours), step):
        band = colours[top : top + step]
        opacity = band[..., 3]
        if ((opacity > 0) & (opacity < 255)).any():
            raise BadImageError("label is half transparent; its colours are not those of classes")
        red, green, blue = (band[..., i].astype(np.int64) for i in range(3))
        found = red << 16 | green << 8 | blue
        places = np.minimum(np.searchsorted(codes, found), len(codes) - 1)
        label[top : top + step] = np.where(opacity > 0, values[places], IGNORE_INDEX)
        others = found[(codes[places] != found) & (opacity > 0)]
        strange.update(dict(zip(*(c.tolist() for c in np.unique_counts(others)), strict=True)))
    if strange:
        most = sorted(strange, key=lambda code: (-strange[code], code))[:_MOST_SHOWN]
        more = f" and {len(strange) - len(most)} others" if len(strange) > len(most) else ""
        raise BadImageError(
            f"label holds colours that no class has: {', '.join(f'#{c:06x}' for c in most)}{more} "
            f"(pixels: {strange.total()})"
        )
    return label


def colour_ids(classes: Classes) -> dict[Colour, int]:
    """Colour -> class id."""
    return {colour: class_id for class_id, colour in enumerate(classes.palette)}


def check_colours(classes: Classes) -> None:
    """Refuses, with a ValueError, classes that share a colour."""
    if len(set(classes.palette)) < len(classes):
        repeated = next(c for c in classes.palette if classes.palette.count(c) > 1)
        names = [n for n, c in zip(classes.names, classes.palette, strict=True) if c == repeated]
        raise ValueError(
            "`classes` must have a colour for each class to read labels by their colours. "
            f"Got {hex_of(repeated)} for {shown(names)}."
        )


def hex_of(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
