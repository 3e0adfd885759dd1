"""Labels whose pixels have the colours of the classes, as tools draw them for the eye.

Where nobody drew a pixel is transparent, or of a colour that no class has: white, black, or the
pale #e0e0c0 with which PASCAL VOC draws its borders.
"""

import numpy as np

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError
from scribblegen.text_files import shown

Colour = tuple[int, int, int]

UNLABELLED: tuple[Colour, ...] = ((255, 255, 255), (0, 0, 0), (224, 224, 192))
_MOST_SHOWN = 5


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
    opacity = colours[..., 3]
    if ((opacity > 0) & (opacity < 255)).any():
        raise BadImageError("label is half transparent; its colours are not those of classes")
    ids = {**dict.fromkeys(UNLABELLED, IGNORE_INDEX), **colour_ids(classes)}
    codes = np.array(sorted(_code(colour) for colour in ids), np.uint32)
    by_code = {_code(colour): class_id for colour, class_id in ids.items()}
    values = np.array([by_code[int(code)] for code in codes], np.uint8)
    pixels = colours.astype(np.uint32)
    pixel_codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    places = np.minimum(np.searchsorted(codes, pixel_codes), len(codes) - 1)
    strange = (codes[places] != pixel_codes) & (opacity > 0)
    if strange.any():
        found, counts = np.unique(pixel_codes[strange], return_counts=True)
        most = [f"#{found[i]:06x}" for i in np.argsort(-counts, kind="stable")[:_MOST_SHOWN]]
        others = f" and {len(found) - len(most)} others" if len(found) > len(most) else ""
        raise BadImageError(
            f"label holds colours that no class has: {', '.join(most)}{others} "
            f"(pixels: {counts.sum()})"
        )
    return np.where(opacity > 0, values[places], np.uint8(IGNORE_INDEX))


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
