"""A photograph and its labels as they are read, and reduced where they are too large."""

from dataclasses import dataclass

import numpy as np

from scribblegen.families.stable_diffusion.conditioning import fit_scribble
from scribblegen.images import resize_image, resize_label


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph and its labels, as read, before there is a scribble to use.

    Args:
        image: (H, W, 3) uint8 RGB.
        image_file: the file that `image` was decoded from, if it may be stored as it is.
        drawn: the source's own scribble, (H, W) uint8 class ids, where it has one.
        mask: the dense mask, (H, W) uint8 class ids, where it has one.
    """

    image: np.ndarray
    image_file: bytes | None = None
    drawn: np.ndarray | None = None
    mask: np.ndarray | None = None


def reduced(photograph: Photograph, max_side: int | None) -> Photograph:
    """The photograph with at most `max_side` pixels on its longer side; itself where it fits.

    Labels of another size than the image are left as they are, and so is the image: the sample is
    rejected, and its true size told.
    """
    size = photograph.image.shape[:2]
    labels = (photograph.drawn, photograph.mask)
    if max_side is None or max(size) <= max_side:
        return photograph
    if not all(label is None or label.shape == size for label in labels):
        return photograph
    height, width = (max(1, round(side * max_side / max(size))) for side in size)
    drawn, mask = labels
    return Photograph(
        image=resize_image(photograph.image, height, width),
        drawn=None if drawn is None else fit_scribble(drawn, height, width),
        mask=None if mask is None else resize_label(mask, height, width),
    )
