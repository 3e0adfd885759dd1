"""A segmentor on images of any size: whole or in windows, at several scales, mirrored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scribblegen.trainers.segmentation.windows import in_windows

_MIN_WINDOW = 32


@dataclass(frozen=True, kw_only=True)
class Inference:
    """How an image is shown to the network.

    Args:
        size: shorter side that an image is brought to; None shows it at its own.
        window: side of the square that slides over the image, padded where it is smaller; None
            shows it whole.
        stride: step of the window, as a share of its side.
        scales: at which the image is shown; probabilities are averaged.
        flip: show it mirrored too.
    """

    size: int | None = None
    window: int | None = None
    stride: float = 2 / 3
    scales: Sequence[float] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if self.window is not None and self.window < _MIN_WINDOW:
            raise ValueError(f"`eval_window` must be at least {_MIN_WINDOW}. Got {self.window}.")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"`eval_scales` must be positive numbers. Got {list(self.scales)}.")

    def __str__(self) -> str:
        words = [f"windows of {self.window}" if self.window else "whole"]
        if self.size is not None:
            words.append(f"shorter side {self.size}")
        if tuple(self.scales) != (1.0,):
            words.append(
                f"{len(self.scales)} scales of {min(self.scales):g} to {max(self.scales):g}"
            )
        return ", ".join([*words, *(["mirrored too"] if self.flip else [])])

    @torch.no_grad()
    def probabilities(self, model: nn.Module, image: Tensor) -> Tensor:
        """(3, H, W), normalised -> (num_labels, H, W) float32, summing to 1 at every pixel."""
        height, width = image.shape[-2:]
        own = 1.0 if self.size is None else self.size / min(height, width)
        total = None
        views = 0
        for scale in self.scales:
            size = max(1, round(height * own * scale)), max(1, round(width * own * scale))
            shown = _resized(image[None], size, antialias=True)
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
        if self.window is None:
            return _called(model, image)
        return in_windows(partial(_called, model), image, self.window, self.stride)


def _called(model: nn.Module, image: Tensor) -> Tensor:
    """Logits at the size of the image that is shown."""
    return _resized(model(pixel_values=image).logits.float(), image.shape[-2:])


def _resized(values: Tensor, size: Sequence[int], antialias: bool = False) -> Tensor:
    if values.shape[-2:] == tuple(size):
        return values
    return F.interpolate(
        values, size=tuple(size), mode="bilinear", align_corners=False, antialias=antialias
    )
