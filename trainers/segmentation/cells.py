"""A crop in coarse cells: colours, probabilities and strokes of a few pixels together."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX


@dataclass(frozen=True)
class Cells:
    """A batch of views in square cells, h by w; those at the far edges may be smaller.

    Args:
        probabilities: (B, K, h, w) float32 with a gradient, the mean over the pixels of each cell;
            1 / K where a cell shows nothing of the image.
        colours: (B, 3, h, w) float32, 0 to 255, the mean likewise; 0 where there is none.
        strokes: (B, K, h, w) float32, the share of each class among the labelled pixels of a cell;
            0 where there is none.
        inside: (B, h, w) bool, whether a cell shows any of the image.
        free: (B, h, w) bool, whether it shows some, and no labelled pixel.
    """

    probabilities: Tensor
    colours: Tensor
    strokes: Tensor
    inside: Tensor
    free: Tensor


def cells_of(logits: Tensor, batch: Mapping[str, Tensor], stride: int) -> Cells:
    """The cells of a batch. Padding takes no part in any mean.

    Args:
        logits: (B, K, H, W).
        batch: the entries of `Views`: `pixel_values`, `labels`, `inside`.
        stride: side of a cell, in pixels.
    """
    num_classes = logits.shape[1]
    inside, free = _inside(batch, stride), free_cells(batch, stride)
    weights = batch["inside"][:, None].float()
    shares = _pooled(weights, stride)

    def means(values: Tensor) -> Tensor:
        return _pooled(values * weights, stride) / torch.where(shares > 0, shares, 1.0)

    probabilities = means(torch.softmax(logits.float(), dim=1))
    return Cells(
        torch.where(inside[:, None], probabilities, 1 / num_classes),
        means(batch["pixel_values"].float()),
        stroke_shares(batch["labels"], num_classes, stride),
        inside,
        free,
    )


def free_cells(batch: Mapping[str, Tensor], stride: int) -> Tensor:
    """(B, h, w) bool: cells of the image without a labelled pixel, known before the prediction."""
    return _inside(batch, stride) & ~_any(batch["labels"] != IGNORE_INDEX, stride)


def stroke_shares(labels: Tensor, num_classes: int, stride: int) -> Tensor:
    """(B, H, W) int64 class ids -> (B, K, h, w) float32: of the labelled pixels of every cell, the
    share of each class; 0 where there is none. No stroke is too thin to be seen."""
    images, rows, columns = (labels != IGNORE_INDEX).nonzero(as_tuple=True)
    height, width = (-(-side // stride) for side in labels.shape[-2:])
    cell = (images * height + rows // stride) * width + columns // stride
    found = torch.bincount(
        cell * num_classes + labels[images, rows, columns],
        minlength=len(labels) * height * width * num_classes,
    )
    counts = found.view(len(labels), height, width, num_classes).permute(0, 3, 1, 2).float()
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def _inside(batch: Mapping[str, Tensor], stride: int) -> Tensor:
    return _any(batch["inside"], stride)


def _any(pixels: Tensor, stride: int) -> Tensor:
    """(B, H, W) bool -> (B, h, w) bool."""
    return F.max_pool2d(pixels[:, None].float(), stride, ceil_mode=True)[:, 0] > 0


def _pooled(values: Tensor, stride: int) -> Tensor:
    return F.avg_pool2d(values, stride, ceil_mode=True)
