"""A network that sees squares of one size, on an image of any size."""

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def in_windows(
    called: Callable[[Tensor], Tensor], image: Tensor, window: int, stride: float
) -> Tensor:
    """What a network says of each pixel, the mean over the windows that show it.

    Args:
        called: (1, C, window, window) -> (1, K, window, window).
        image: (1, C, H, W); padded with zeros where it is smaller than a window.
        window: side of the square.
        stride: at most this share of a window apart.

    Returns:
        (1, K, H, W).
    """
    height, width = image.shape[-2:]
    total = count = None
    for top in _starts(height, window, stride):
        for left in _starts(width, window, stride):
            part = image[..., top : top + window, left : left + window]
            below, beside = (window - side for side in part.shape[-2:])
            found = called(F.pad(part, (0, beside, 0, below)))
            found = found[..., : part.shape[-2], : part.shape[-1]]
            if total is None or count is None:
                total = found.new_zeros(1, found.shape[1], height, width)
                count = found.new_zeros(1, 1, height, width)
            place = (..., slice(top, top + window), slice(left, left + window))
            total[place] += found
            count[place] += 1
    assert total is not None and count is not None
    return total / count


def _starts(side: int, window: int, stride: float) -> list[int]:
    """First pixels of windows that cover a side, evenly, at most `stride` of a window apart."""
    last = max(0, side - window)
    count = math.ceil(last / max(1, round(window * stride)))
    return [round(i * last / max(1, count)) for i in range(count + 1)]
