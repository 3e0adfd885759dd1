"""The one place where pictures change their form: files, arrays, sizes, ranges.

Images are (H, W, 3) uint8 RGB at rest and (3, H, W) float32 in [-1, 1] in flight. Labels are
(H, W) uint8 class ids and are only ever resized by nearest neighbour.
"""

import io
import struct
import warnings
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from scribblegen.classes import Classes
from scribblegen.colour_profiles import to_srgb
from scribblegen.depths import depth_of, eight_bit
from scribblegen.photograph_files import is_bare

if TYPE_CHECKING:
    import torch

IMAGE_FORMATS = ("webp", "png", "jpeg")
# What PIL raises for damaged files, found by damaging some.
PIL_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    ArithmeticError,
    LookupError,
    struct.error,
)


class BadImageError(ValueError):
    """A picture file that cannot be used. The message is the reason, for a rejection."""


def decode_image(data: bytes) -> tuple[np.ndarray, bytes | None]:
    """Decodes a photograph: any mode and depth, upright.

    Pictures of another depth are scaled to 8 bit by their file's depth (16-bit by 65535, floats by
    1), transparent ones laid on white, CMYK, grey and palette pictures converted, EXIF rotation
    and colour profiles applied.

    Returns:
        (H, W, 3) uint8 RGB in the colours of sRGB, and `data` itself if it may be stored as it
        is: 8-bit RGB, and nothing in the file but these pixels. Else None.

    Raises:
        BadImageError: If the file is truncated, unreadable or of a dangerous size, holds NaN, or
            whole numbers of 32 bits or floats outside 0..1, whose range is not clear.
    """
    picture = open_picture(data)
    upright = turned_upright(picture)
    as_is = picture.mode == "RGB" and is_bare(data, picture.format)
    if upright.mode.startswith("I") or upright.mode == "F":
        try:
            values = eight_bit(np.asarray(upright), depth_of(picture, data))
        except ValueError as error:
            raise BadImageError(str(error)) from error
        upright = Image.fromarray(values)
    upright = to_srgb(upright, picture.info.get("icc_profile"))
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(upright.convert("RGB")), data if as_is else None


def encode_image(image: np.ndarray, image_format: str) -> bytes:
    """(H, W, 3) uint8 RGB -> file bytes: lossless `webp` or `png`, or `jpeg` of quality 95."""
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


def open_picture(data: bytes, *, load: bool = True) -> Image.Image:
    """A picture file as PIL opens it; with its pixels, where `load`.

    Raises:
        BadImageError: the file is unreadable or of a dangerous size.
    """
    try:
        with warnings.catch_warnings():
            # A picture past PIL's size warning is refused like one past its error.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data))
            if load:
                picture.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError(f"dangerous size: {error}") from error
    except UnidentifiedImageError as error:
        raise BadImageError("not a picture file") from error
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable: {error}") from error
    return picture


def turned_upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says; a copy where it says nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except PIL_ERRORS as error:
        raise BadImageError(f"unreadable EXIF: {error}") from error
