"""Words that are taught where they are: attention of a class's words is kept on its pixels.

A network that has seen few images need not find out by itself which word is drawn where; labels
tell it (TokenCompose, arXiv 2312.03626, with one loss over all classes in place of its two).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX


def grounding_loss(maps: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    """How little each labelled place attends to the words of its class, beside those of others.

    The cross entropy of the shares that classes have in the attention to all classes, which is what
    the normaliser `share` reads masks from. Attention to other tokens is free.

    Args:
        maps: `cross.F` (B, W, h / F, w / F) float32: attention to the words of each class, zeros
            where the prompt does not name it; see `segmenting.attention`.
        labels: (B, h, w) uint8 class ids 0..W-1. Places without a label, or with one that the
            prompt does not name, do not count.

    Returns:
        The mean over places and widths of each sample, summed over the batch: a scalar.
    """
    losses = []
    for map_ in maps.values():
        factor = labels.shape[-1] // map_.shape[-1]
        fine = map_.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
        told = map_.detach().amax(dim=(2, 3)) > 0  # (B, W)
        ids = labels.long().clamp(max=fine.shape[1] - 1)
        counts = (labels != IGNORE_INDEX) & told.gather(1, ids.flatten(1)).view_as(ids)
        share = fine.gather(1, ids[:, None])[:, 0] / fine.sum(dim=1).clamp(min=1e-8)
        entropy = -share.clamp(min=1e-6).log() * counts
        losses.append(entropy.sum(dim=(1, 2)) / counts.sum(dim=(1, 2)).clamp(min=1))
    return torch.stack(losses).mean(dim=0).sum()


def labels_of_cells(label: np.ndarray, size: tuple[int, int], num_classes: int) -> np.ndarray:
    """The most frequent class in each cell of a grid over a label (H, W) uint8.

    Args:
        label: class ids, and `IGNORE_INDEX` where nobody drew.
        size: (h, w) of the grid, each a divisor of the label's.
        num_classes: ids are below it.

    Returns:
        (h, w) uint8; `IGNORE_INDEX` where nobody drew in all of the cell.
    """
    height, width = size
    cells = label.reshape(height, label.shape[0] // height, width, label.shape[1] // width)
    counts = np.stack([(cells == i).sum(axis=(1, 3)) for i in range(num_classes)])
    found = counts.argmax(axis=0).astype(np.uint8)
    return np.where(counts.any(axis=0), found, np.uint8(IGNORE_INDEX))
