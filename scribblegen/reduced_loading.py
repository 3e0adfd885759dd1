"""Photographs of hundreds of megapixels, made smaller before they become arrays."""

import numpy as np
from PIL import Image

from scribblegen.depths import eight_bit

_BAND = 2**24  # pixels that are scaled at a time


def fitted_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """The sides of a picture, in their order, reduced so that the longer one is `max_side`."""
    first, second = (max(1, round(side * max_side / max(size))) for side in size)
    return first, second


def draft(picture: Image.Image, max_side: int) -> tuple[float, float] | None:
    """Has a JPEG decoded at a half, a quarter or an eighth, if it stays twice as large as wanted.

    Args:
        picture: not decoded yet.
        max_side: what the longer side will be reduced to.

    Returns:
        The width and height of what will be decoded, of which the last pixels may be a fraction;
        None where all of it is.
    """
    width, height = fitted_size(picture.size, max_side)
    drafted = picture.draft(None, (2 * width, 2 * height))
    return drafted and drafted[1][2:]


def shrink(
    picture: Image.Image,
    size: tuple[int, int],
    depth: int | None,
    extent: tuple[float, float] | None,
) -> Image.Image:
    """A picture of 8 bits, reduced.

    Args:
        picture: of any mode, decoded, and larger than that.
        size: width and height of the result.
        depth: of the file, as `depth_of` tells it.
        extent: as of `draft`.

    Raises:
        ValueError: its values have no clear range.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture)
        scaled = np.empty(values.shape, np.uint8)
        step = max(1, _BAND // values.shape[1])
        for top in range(0, len(values), step):
            scaled[top : top + step] = eight_bit(values[top : top + step], depth)
        info, picture = picture.info, Image.fromarray(scaled)
        picture.info = {k: v for k, v in info.items() if k != "transparency"}
    if picture.has_transparency_data and picture.mode not in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
    elif picture.mode in ("P", "1"):
        picture = picture.convert("RGB" if picture.mode == "P" else "L")
    box = (0, 0, *(extent or picture.size))
    return picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
