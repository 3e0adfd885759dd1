"""The one place where pictures change their form: files, arrays, sizes, ranges.

Images are (H, W, 3) uint8 RGB at rest and (3, H, W) float32 in [-1, 1] in flight. Labels are
(H, W) uint8 class ids and are only ever resized by nearest neighbour.
"""

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from scribblegen.classes import Classes
from scribblegen.colour_profiles import to_srgb
from scribblegen.depths import depth_of, eight_bit
from scribblegen.photograph_files import is_bare
from scribblegen.picture_formats import NOT_READ, PIL_ERRORS, open_picture
from scribblegen.pixel_limits import MAX_PIXELS, size_fault
from scribblegen.reduced_loading import draft, fitted_size, shrink

if TYPE_CHECKING:
    import torch

IMAGE_FORMATS = ("webp", "png", "jpeg")
_MAX_SIDES = {"webp": 16383, "jpeg": 65500}  # what the formats, or their encoders, can hold


class BadImageError(ValueError):
    """A picture file that cannot be used. The message is the reason, for a rejection."""


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, bytes | None]:
    """Decodes a photograph: any mode and depth, upright.

    Pictures of another depth are scaled to 8 bit by their file's depth (16-bit by 65535, floats by
    1), transparent ones laid on white, CMYK, grey and palette pictures converted, EXIF rotation
    and colour profiles applied.

    Args:
        data: the file.
        max_pixels: a larger picture is refused before its pixels are decoded.

    Returns:
        (H, W, 3) uint8 RGB in the colours of sRGB, and `data` itself if it may be stored as it
        is: 8-bit RGB, and nothing in the file but these pixels. Else None.

    Raises:
        BadImageError: If the file is truncated, unreadable or of a dangerous size, holds NaN, or
            whole numbers of 32 bits or floats outside 0..1, whose range is not clear.
    """
    picture = open_pixels(data, max_pixels)
    upright = turned_upright(picture)
    as_is = picture.mode == "RGB" and is_bare(data, picture.format)
    if upright.mode.startswith("I") or upright.mode == "F":
        try:
            values = eight_bit(np.asarray(upright), depth_of(picture, data))
        except ValueError as error:
            raise BadImageError(str(error)) from error
        upright = Image.fromarray(values)
    return _as_shown(upright, picture), data if as_is else None


def decode_reduced(
    data: bytes, max_side: int, *, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decodes a photograph, reduced as it is loaded: with less memory than `decode_image`.

    Args:
        data: the file.
        max_side: pixels that the longer side is reduced to; a smaller photograph stays as it is.
        max_pixels: a larger picture is refused before its pixels are decoded.

    Returns:
        (H, W, 3) uint8 RGB as of `decode_image`, and the height and width of the whole photograph,
        upright.

    Raises:
        BadImageError: as `decode_image`.
    """
    picture = open_header(data, max_pixels)
    width, height = picture.size
    if max(width, height) <= max_side:
        return (image := decode_image(data, max_pixels=max_pixels)[0]), image.shape[:2]
    try:
        extent = draft(picture, max_side)
        picture.load()
        if picture.format == "TIFF":  # turned as it was loaded
            width, height = picture.size
        target = fitted_size((width, height), max_side)
        small = shrink(picture, target, depth_of(picture, data), extent)
        turned = small.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable: {error}") from error
    size = (width, height) if turned else (height, width)
    return _as_shown(turned_upright(small), picture), size


def picture_size(data: bytes) -> tuple[int, int]:
    """The width and height of a picture as it is stored, of its header alone.

    Raises:
        BadImageError: it has none.
    """
    return open_header(data).size


def encode_image(image: np.ndarray, image_format: str) -> bytes:
    """(H, W, 3) uint8 RGB -> file bytes: lossless `webp` or `png`, or `jpeg` of quality 95.

    A picture with a side that the format cannot hold becomes a PNG.
    """
    if max(image.shape[:2]) > _MAX_SIDES.get(image_format, math.inf):
        image_format = "png"
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    if image_format == "webp":
        picture.save(buffer, "WEBP", lossless=True, quality=0, method=0)
    elif image_format == "png":
        picture.save(buffer, "PNG", compress_level=1)
    elif image_format == "jpeg":
        picture.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        raise ValueError(f"`image_format` must be one of {IMAGE_FORMATS}. Got {image_format!r}.")
    return buffer.getvalue()


def encode_label(label: np.ndarray, classes: Classes) -> bytes:
    """(H, W) uint8 -> palette PNG: values are class ids, and a viewer shows the class colours."""
    picture = Image.fromarray(np.ascontiguousarray(label)).convert("P")
    picture.frombytes(np.ascontiguousarray(label).tobytes())
    picture.putpalette(classes.colours().tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (height, width, 3) uint8, bicubic."""
    if image.shape[:2] == (height, width):
        return image
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def resize_label(label: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) uint8 -> (height, width) uint8, nearest: no value appears that was not there."""
    if label.shape == (height, width):
        return label
    resized = Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized)


def image_to_tensor(image: np.ndarray) -> "torch.Tensor":
    """(H, W, 3) uint8 -> (3, H, W) float32 in [-1, 1]."""
    import torch

    return torch.from_numpy(image.astype(np.float32) / 255.0).permute(2, 0, 1) * 2.0 - 1.0


def tensor_to_image(tensor: "torch.Tensor") -> np.ndarray:
    """(3, H, W) floats, nominally in [-1, 1] -> (H, W, 3) uint8, clamped and rounded."""
    unit = (tensor.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return (unit * 255).round().astype(np.uint8)


def _as_shown(upright: Image.Image, picture: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture of 8 bits, in the colours of the file it comes from."""
    upright = to_srgb(upright, picture.info.get("icc_profile"))
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(upright.convert("RGB"))


def open_header(data: bytes, max_pixels: int | None = None) -> Image.Image:
    """A picture as PIL opens it, whose pixels are not decoded yet.

    Raises:
        BadImageError: the file is unreadable, of no kind that is read, or too large.
    """
    try:
        picture = open_picture(data)
    except UnidentifiedImageError as error:
        raise BadImageError(NOT_READ) from error
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable: {error}") from error
    if max_pixels is not None and (fault := size_fault(picture.size, max_pixels)):
        raise BadImageError(fault)
    return picture


def open_pixels(data: bytes, max_pixels: int) -> Image.Image:
    """A picture as PIL opens it, decoded.

    Raises:
        BadImageError: as `open_header`, or the pixels are damaged.
    """
    picture = open_header(data, max_pixels)
    try:
        picture.load()
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable: {error}") from error
    return picture


def turned_upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says; a copy where it says nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable EXIF: {error}") from error
