"""A segmentor on images of any size: whole or in windows, at several scales, mirrored."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MULTIPLE = 32  # every model's stride divides it


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How an image is shown to the network.

    Args:
        window: side of the square that slides over larger images; None shows them whole.
        stride: of the window, as a share of its side.
        scales: at which the image is shown; probabilities are averaged.
        flip: show it mirrored too.
    """

    window: int | None = None
    stride: float = 2 / 3
    scales: Sequence[float] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if self.window is not None and self.window < _MULTIPLE:
            raise ValueError(f"`eval_window` must be at least {_MULTIPLE}. Got {self.window}.")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"`eval_scales` must be positive numbers. Got {list(self.scales)}.")

    @torch.no_grad()
    def probabilities(self, model: nn.Module, image: Tensor) -> Tensor:
        """(3, H, W), normalised -> (num_labels, H, W) float32, summing to 1 at every pixel."""
        height, width = image.shape[-2:]
        total = None
        views = 0
        for scale in self.scales:
            size = max(1, round(height * scale)), max(1, round(width * scale))
            shown = _resized(image[None], size)
            for mirrored in (False, True) if self.flip else (False,):
                logits = self._logits(model, shown.flip(-1) if mirrored else shown)
                logits = logits.flip(-1) if mirrored else logits
                found = torch.softmax(_resized(logits, (height, width)), dim=1)[0]
                total = found if total is None else total + found
                views += 1
        assert total is not None
        return total / views

    def _logits(self, model: nn.Module, image: Tensor) -> Tensor:
        """(1, 3, H, W) -> (1, num_labels, H, W)."""
        height, width = image.shape[-2:]
        if self.window is None or max(height, width) <= self.window:
            return _whole(model, image)
        total = count = None
        for top in _starts(height, self.window, self.stride):
            for left in _starts(width, self.window, self.stride):
                part = image[..., top : top + self.window, left : left + self.window]
                logits = _whole(model, part)
                if total is None or count is None:
                    total = logits.new_zeros(1, logits.shape[1], height, width)
                    count = logits.new_zeros(1, 1, height, width)
                place = (..., slice(top, top + self.window), slice(left, left + self.window))
                total[place] += logits
                count[place] += 1
        assert total is not None and count is not None
        return total / count


def _whole(model: nn.Module, image: Tensor) -> Tensor:
    """One call, padded to what every stride divides; logits at the image's size."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, -width % _MULTIPLE, 0, -height % _MULTIPLE))
    logits = model(pixel_values=padded).logits.float()
    return _resized(logits, (padded.shape[-2], padded.shape[-1]))[..., :height, :width]


def _starts(side: int, window: int, stride: float) -> list[int]:
    """Of windows that cover a side, evenly, at most `stride` of a window apart."""
    last = max(0, side - window)
    count = math.ceil(last / max(1, round(window * stride)))
    return [round(i * last / max(1, count)) for i in range(count + 1)]


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)
