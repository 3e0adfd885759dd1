"""Pictures in the colours that their profile means, as sRGB.

A profile is never published with a picture, since its names tell of devices and people. What it
says of the colours is done to the pixels before it goes.
"""

import io

import numpy as np
from PIL import Image, ImageCms

# PIL's mode -> the colour space of a profile for it, as the ICC spells it.
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_EXACT = {"L": ImageCms.Flags.NOOPTIMIZE}  # else dark greys are off by up to 10
_SAME = 2  # grey levels by which one maker's sRGB differs from another's
_STEPS = 9


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture with its colour profile applied; itself where that changes nothing.

    A profile that is broken, or of other colours than the picture's, is left out of account, as
    viewers do. Transparency is kept.

    Args:
        picture: of any mode, of 8 bits.
        profile: the ICC profile of its file, where that has one.
    """
    if not profile:
        return picture
    layer = picture
    if picture.has_transparency_data:
        layer = picture if picture.mode in ("RGBA", "LA") else picture.convert("RGBA")
    elif picture.mode == "P":
        layer = picture.convert("RGB")
    alpha = layer.getchannel("A") if layer.mode in ("RGBA", "LA") else None
    colours = layer.convert(layer.mode.removesuffix("A")) if alpha is not None else layer
    transform = _transform(profile, colours.mode)
    if transform is None:
        return picture
    shown = transform.apply(colours)
    if alpha is not None:
        shown.putalpha(alpha)
    return shown


def _transform(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where it cannot be used or means sRGB already."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if profile.profile.xcolor_space != _SPACES.get(mode):
            return None
        transform = ImageCms.ImageCmsTransform(
            profile,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | _EXACT.get(mode, 0),
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode == "CMYK":  # there is no such thing as what a CMYK picture looks like without one
        return transform
    samples = _samples(mode)
    before, after = (np.asarray(p.convert("RGB")) for p in (samples, transform.apply(samples)))
    return transform if np.abs(before.astype(int) - after).max() > _SAME else None


def _samples(mode: str) -> Image.Image:
    """Colours from all over the cube of RGB, or every grey."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(cube.reshape(_STEPS, -1, 3))
