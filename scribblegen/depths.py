"""Photographs of more than 8 bits a channel -> 8 bits, by one rule.

A value is scaled by what its file can hold, never by what it happens to hold: a dark photograph
stays dark. Whole numbers of 16 bits are divided by 65535 and those of 12 bits by 4095; floats from
0 to 1 are taken as they are. Whole numbers of 32 bits or with a sign, and floats outside 0 to 1,
have no clear range and are refused, as is what is no number.
"""

import numpy as np
from PIL import Image

_BITS_PER_SAMPLE = 258


def depth_of(picture: Image.Image, data: bytes) -> int | None:
    """The bits of a channel in a file; None where its format has but one depth, or none is clear.

    Args:
        picture: as PIL opened it.
        data: the file.
    """
    if picture.format == "PNG":
        return data[24]
    if picture.format == "PPM":
        return 16 if picture.mode == "I" else None  # PIL scales each to what 16 bits hold
    if picture.format == "TIFF" and picture.mode != "I":  # 32 bits, or 16 with a sign
        bits = getattr(picture, "tag_v2", {}).get(_BITS_PER_SAMPLE, (1,))
        return int(bits[0])
    return 16 if picture.mode.startswith("I;16") else None


def eight_bit(values: np.ndarray, depth: int | None) -> np.ndarray:
    """Grey values of another depth -> (H, W) uint8.

    Args:
        values: (H, W), whole numbers or floats.
        depth: as `depth_of` tells it.

    Raises:
        ValueError: their range is not clear. The message is the reason, for a rejection.
    """
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("photograph holds values that are no numbers (NaN or infinity)")
        low, high = values.min(initial=0), values.max(initial=0)
        if low < 0 or high > 1:
            raise ValueError(
                f"photograph of floats from {low:g} to {high:g}, whose range is not clear; 0 to 1, "
                "or a file of 8 or 16 bits, is needed"
            )
        return np.rint(values.astype(np.float64) * 255).astype(np.uint8)
    if depth is None or depth > 16:
        raise ValueError(
            "photograph of whole numbers of 32 bits or with a sign, whose range is not clear; a "
            "file of 8 or 16 bits is needed"
        )
    return np.rint(values.astype(np.float64) * (255 / (2**depth - 1))).astype(np.uint8)
