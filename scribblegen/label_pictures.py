"""Label files -> the values or the colours that they hold, exactly as they were written."""

from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from scribblegen.classes import values_of
from scribblegen.depths import depth_of
from scribblegen.images import BadImageError, open_header, open_pixels, turned_upright
from scribblegen.label_files import altered_values, png_damage
from scribblegen.picture_formats import PIL_ERRORS
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS

_AS_STORED = 1  # the EXIF orientation of a picture that needs no turning


class LabelPicture(NamedTuple):
    """A label file, opened: whole, lossless and upright.

    Args:
        picture: of any mode.
        depth: the bits of a channel in the file, where its format has several.
    """

    picture: Image.Image
    depth: int | None


def decode_label(data: bytes, photograph: bytes | None = None) -> np.ndarray:
    """Decodes a label file, (H, W) uint8: palette or grey PNG, whose values are class ids.

    Args:
        data, photograph: see `open_label`.

    Raises:
        BadImageError: see `open_label`; or the file is coloured, or has values outside 0..255.
    """
    return label_values(open_label(data, photograph))


def open_label(
    data: bytes, photograph: bytes | None = None, *, max_pixels: int = LARGEST_MAX_PIXELS
) -> LabelPicture:
    """Opens a label file.

    A label whose EXIF says how it is to be turned is turned so, as its photograph is. One that
    says nothing lies upright.

    Args:
        data: the file.
        photograph: the file of the photograph that it lies over; its EXIF must say the same, where
            the label's says anything, for the size of a square or of a half turn tells nothing.
        max_pixels: a larger label is refused before its pixels are decoded.

    Raises:
        BadImageError: the file is unreadable or damaged (every checksum of a PNG is verified),
            too large, lossy, of several pictures, or turned otherwise than its photograph.
    """
    picture = _open_exact(data, "label is", max_pixels)
    depth = depth_of(picture, data)
    turned = _orientation(picture, data)
    if photograph is not None and turned != _AS_STORED:
        expected = _orientation(open_header(photograph), photograph)
        if turned != expected:
            raise BadImageError(
                f"label is turned otherwise than its photograph: EXIF orientation {turned} and "
                f"{expected}"
            )
    return LabelPicture(turned_upright(picture), depth)


def label_values(label: LabelPicture) -> np.ndarray:
    """The values of a grey or palette picture, (H, W) uint8.

    A grey picture that was stored with three equal channels is read as the grey that it is.

    Raises:
        BadImageError: it is coloured, or has values outside 0..255.
    """
    picture = label.picture
    if picture.mode == "L" and label.depth in (2, 4):
        # PIL spreads these over 0..255.
        return np.asarray(picture) // np.uint8(255 // (2**label.depth - 1))
    if picture.mode in ("P", "L"):
        return np.asarray(picture)
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if picture.mode in ("I", "I;16", "I;16B"):
        values = np.asarray(picture)
        outside = (values < 0) | (values > 255)
        if outside.any():
            raise BadImageError(f"label holds {values[outside][0]}, outside 0..255")
        return values.astype(np.uint8)
    if picture.mode == "RGB" and label.depth in (None, 8):
        colours = np.asarray(picture)
        if (colours == colours[..., :1]).all():
            return np.ascontiguousarray(colours[..., 0])
    raise BadImageError(
        f"label is coloured (mode {picture.mode}); class ids are needed, or `label_convention` "
        "colors"
    )


def label_colours(label: LabelPicture) -> np.ndarray:
    """The colours of a picture of any mode, (H, W, 4) uint8 RGBA.

    Raises:
        BadImageError: it has more than 8 bits a channel, or is of inks (CMYK) and the like.
    """
    picture = label.picture
    if picture.mode not in ("P", "L", "1", "RGB", "RGBA", "LA", "PA") or (label.depth or 8) > 8:
        depth = "" if label.depth is None else f" of {label.depth} bits"
        raise BadImageError(
            f"label is of mode {picture.mode}{depth}; colours of 8 bits, or a palette, are needed"
        )
    return np.asarray(picture.convert("RGBA"))


def used_palette(label: LabelPicture) -> dict[int, tuple[int, int, int]] | None:
    """Value -> colour (R, G, B), of the values that a palette picture holds; None for others."""
    if label.picture.mode != "P":
        return None
    values = values_of(np.asarray(label.picture))
    flat = [*(label.picture.getpalette("RGB") or []), *[0] * 768]
    return {v: (flat[3 * v], flat[3 * v + 1], flat[3 * v + 2]) for v in values}


def decode_weights(data: bytes) -> np.ndarray:
    """Decodes a map of weights, (H, W): uint8 of a grey picture, float32 of one of floats (TIFF).

    Raises:
        BadImageError: unreadable, damaged, lossy, of another kind, or with NaN or infinity in it.
    """
    picture = _open_exact(data, "weights are", LARGEST_MAX_PIXELS)
    if picture.mode not in ("L", "F"):
        raise BadImageError(f"weights are of mode {picture.mode}; grey or floats are needed")
    weights = np.asarray(turned_upright(picture))
    if not np.isfinite(weights).all():
        raise BadImageError("weights hold values that are no numbers (NaN or infinity)")
    return weights


def _open_exact(data: bytes, subject: str, max_pixels: int) -> Image.Image:
    """Opens a file whose values must be those that were written; `subject` begins the reason."""
    if damage := png_damage(data):
        raise BadImageError(f"unreadable: {damage}")
    picture = open_pixels(data, max_pixels)
    try:
        fault = altered_values(picture, data)
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable: {error}") from error
    if fault:
        raise BadImageError(f"{subject} {fault}")
    return picture


def _orientation(picture: Image.Image, data: bytes) -> int:
    """How EXIF says that a picture was stored: 1, as it is to be shown, or turned, 2 to 8."""
    try:
        if picture.format == "TIFF":  # turned as it was loaded, and its tag dropped
            picture = open_header(data)
        found = picture.getexif().get(ExifTags.Base.Orientation)
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable EXIF: {error}") from error
    return found if isinstance(found, int) and 2 <= found <= 8 else _AS_STORED
