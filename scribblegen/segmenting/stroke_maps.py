"""What strokes alone say of every pixel: which class was drawn near it, on what looks like it."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.segmenting.crf import dense_crf

# As shares of the image's diagonal, found on photographs of streets: in a field of longer ways a
# class runs along all that has its colour.
_NEARNESS = 0.1
_SIGMA_XY = 0.05


def stroke_maps(scribble: np.ndarray, image: np.ndarray, num_classes: int) -> Tensor:
    """How likely each class is at every pixel, by its distance from the strokes and its colour.

    A class is the likelier, the nearer its strokes are: exp(-d / (0.1 diagonals)), normalised over
    the classes that are drawn. The dense random field then brings pixels that are near and alike
    together; strokes stay what they are.

    Args:
        scribble: (H, W) uint8, `IGNORE_INDEX` where nobody drew.
        image: (H, W, 3) uint8.
        num_classes: K.

    Returns:
        (K, H, W) float32, summing to 1 at every pixel: 0 for classes without a stroke, 1 for the
        class of a stroke on it.

    Raises:
        ValueError: nothing is drawn, or a stroke is of no class.
    """
    drawn = present_classes(scribble)
    if not drawn or max(drawn) >= num_classes:
        raise ValueError(
            f"`scribble` must have strokes of the {num_classes} classes. Got classes {drawn}."
        )
    diagonal = float(np.hypot(*scribble.shape))
    ways = np.stack([distance_transform_edt(scribble != k) for k in drawn]) / diagonal
    found = torch.softmax(torch.from_numpy(-ways / _NEARNESS).float(), dim=0)
    strokes = torch.from_numpy(np.stack([scribble == k for k in drawn])).float()
    on_stroke = torch.from_numpy(scribble != IGNORE_INDEX)
    found = torch.where(on_stroke, strokes, found)
    if len(drawn) > 1:
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
        found = dense_crf(found, pixels, sigma_xy=_SIGMA_XY * diagonal)
        found = torch.where(on_stroke, strokes, found)
    maps = torch.zeros(num_classes, *scribble.shape)
    maps[drawn] = found
    return maps
