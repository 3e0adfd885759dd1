"""Where in an image a classifier sees each class: class activation maps."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = (1.0, 0.5, 1.5)  # of BMP, as the paper's pseudo labels are made
_SMALLEST = 1e-5  # what a map that is flat is divided by


def activation_maps(
    features: Callable[[Tensor], Tensor],
    weight: Tensor,
    images: Tensor,
    present: Tensor,
    *,
    scales: Sequence[float] = SCALES,
    flip: bool = True,
) -> Tensor:
    """ReLU(W F) at several scales and mirrored: the maximum over flip, the sum over scales.

    An image and its mirror go through the network in one call, and only the maps of classes that
    the image has are made: the others are zero in the end.

    Args:
        features: (B, 3, h, w) -> (B, C, h', w'), float: the network below its mean over space.
        weight: (K, C): the classifier over that mean.
        images: (B, 3, H, W), normalised; not changed.
        present: (B, K) bool, the classes that an image has; the maps of the others are zero.
        scales: at which an image is shown, of its own size.
        flip: show it mirrored too.

    Returns:
        (B, K, H, W) float32 in [0, 1]: each map minus its minimum, divided by what is then its
        maximum, so that it reaches 1 wherever it is not flat.

    Raises:
        ValueError: shapes do not fit, or a scale is not above 0.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"`scales` must be positive numbers. Got {list(scales)}.")
    if present.shape != (len(images), len(weight)) or present.dtype != torch.bool:
        raise ValueError(
            f"`present` must be ({len(images)}, {len(weight)}) bool, a row for every image and a "
            f"column for every class. Got {tuple(present.shape)} {present.dtype}."
        )
    size = images.shape[-2:]
    maps = images.new_zeros(len(images), len(weight), *size, dtype=torch.float32)
    # On a CPU an image and its mirror are a call: so they stay in its caches on their way.
    calls = torch.arange(len(images)).split(1 if images.device.type == "cpu" else len(images))
    for rows in calls:
        image, label = present[rows].nonzero(as_tuple=True)
        if len(image):
            total = _summed(features, weight, images[rows], image, label, scales, flip)
            total -= total.amin(dim=(1, 2), keepdim=True)
            total /= total.amax(dim=(1, 2), keepdim=True) + _SMALLEST
            maps[rows.to(images.device)[image], label] = total
    return maps


def _summed(
    features: Callable[[Tensor], Tensor],
    weight: Tensor,
    images: Tensor,
    image: Tensor,
    label: Tensor,
    scales: Sequence[float],
    flip: bool,
) -> Tensor:
    """(M, H, W): the sums over scales of the maps of M pairs of an image and a class."""
    size = images.shape[-2:]
    total = images.new_zeros(len(image), *size, dtype=torch.float32)
    asked, column = label.unique(return_inverse=True)
    kernel = weight[asked].float()[:, :, None, None]
    for scale in scales:
        shown = resized(images, [max(1, round(side * scale)) for side in size])
        if flip:
            shown = torch.cat([shown, shown.flip(-1)])
        found = F.relu(F.conv2d(features(shown).float(), kernel))
        if flip:
            found = torch.maximum(found[: len(images)], found[len(images) :].flip(-1))
        total += resized(found[image, column][:, None], size)[:, 0]
    return total


def resized(values: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear; as they are where they have the size."""
    if values.shape[-2:] == tuple(size):
        return values
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)
