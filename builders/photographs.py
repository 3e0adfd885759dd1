"""A photograph and its labels as they are read, and reduced where they are too large."""

from dataclasses import dataclass

import numpy as np

from scribblegen.families.stable_diffusion.conditioning import fit_scribble
from scribblegen.images import (
    BadImageError,
    decode_image,
    decode_reduced,
    picture_size,
    resize_image,
    resize_label,
)
from scribblegen.pixel_limits import MAX_PIXELS
from scribblegen.records import label_size_fault
from scribblegen.reduced_loading import fitted_size


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph and its labels, as read, before there is a scribble to use.

    Args:
        image: (H, W, 3) uint8 RGB.
        image_file: the file that `image` was decoded from, if it may be stored as it is.
        drawn: the source's own scribble, (H, W) uint8 class ids, where it has one.
        mask: the dense mask, (H, W) uint8 class ids, where it has one.
        size: height and width of the whole photograph, where `image` was reduced as it was loaded.
    """

    image: np.ndarray
    image_file: bytes | None = None
    drawn: np.ndarray | None = None
    mask: np.ndarray | None = None
    size: tuple[int, int] | None = None


def read_image(file: bytes, max_side: int | None, max_pixels: int) -> Photograph:
    """The photograph in a file, without labels.

    One of more than `MAX_PIXELS` that is to be reduced is so as it is loaded.

    Args:
        file: the file.
        max_side: as of `reduced`, which is still to be called, for the labels.
        max_pixels: a larger photograph is refused.

    Raises:
        BadImageError: the file is no photograph, or too large.
    """
    if max_side is not None and max_pixels > MAX_PIXELS:
        width, height = picture_size(file)
        if width * height > MAX_PIXELS and max(width, height) > max_side:
            image, size = decode_reduced(file, max_side, max_pixels=max_pixels)
            return Photograph(image, size=size)
    return Photograph(*decode_image(file, max_pixels=max_pixels))


def reduced(photograph: Photograph, max_side: int | None) -> Photograph:
    """The photograph with at most `max_side` pixels on its longer side; itself where it fits.

    Labels of another size than the image are left as they are, and so is the image: the sample is
    rejected, and its true size told.

    Raises:
        BadImageError: the image was reduced as it was loaded, and a label is of another size than
            the whole photograph.
    """
    size = photograph.size or photograph.image.shape[:2]
    labels = (photograph.drawn, photograph.mask)
    if max_side is None or max(size) <= max_side:
        return photograph
    if photograph.size is not None:
        for name, found in (("mask", photograph.mask), ("label", photograph.drawn)):
            if found is not None and (fault := label_size_fault(name, found, photograph.size)):
                raise BadImageError(fault)
    if not all(label is None or label.shape == size for label in labels):
        return photograph
    height, width = fitted_size(size, max_side)
    drawn, mask = labels
    return Photograph(
        image=resize_image(photograph.image, height, width),
        drawn=None if drawn is None else fit_scribble(drawn, height, width),
        mask=None if mask is None else resize_label(mask, height, width),
    )
