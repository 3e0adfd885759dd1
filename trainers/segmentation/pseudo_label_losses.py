"""Losses over pseudo labels and over doubt (CDSP, arXiv 2402.17555), all pure.

None changes its inputs; each is zero, with a gradient of zeros, where nothing counts. `count` is
what the sum is divided by, as in `partial_cross_entropy`: what counts in the logits at hand if
None, in an average call of the whole optimiser step in a training.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX


def smoothed_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    smoothing: float = 0.1,
    *,
    ignore_index: int = IGNORE_INDEX,
    count: Tensor | None = None,
) -> Tensor:
    """Cross-entropy against `(1 - smoothing) * onehot + smoothing / K`, over labelled pixels.

    Args:
        logits: (B, K, H, W).
        labels: (B, H, W) int64 class ids, such as of a pseudo label; `ignore_index` does not count.
        smoothing: how much of the target all classes share, in [0, 1].
        count: labelled pixels to divide by.

    Returns:
        Scalar, float32.
    """
    summed = F.cross_entropy(
        logits.float(),
        labels,
        ignore_index=ignore_index,
        label_smoothing=smoothing,
        reduction="sum",
    )
    return mean_over(summed, (labels != ignore_index).sum() if count is None else count)


def distance_entropy(logits: Tensor, weight: Tensor, *, count: Tensor | None = None) -> Tensor:
    """Entropy of the prediction, weighed by pixel: doubt costs where a label can be trusted.

    Args:
        logits: (B, K, H, W).
        weight: (B, H, W) in [0, 1], such as of `scribblegen.segmenting.distance`.
        count: pixels to divide by; if None those whose weighed entropy is not zero, as the
            reference has it. A training gives those of a weight above zero: they are known before
            the prediction, and the mean does not rise when a pixel becomes certain.

    Returns:
        Scalar, float32: sum of weight * entropy in nats, over `count`.
    """
    log_p = F.log_softmax(logits.float(), dim=1)
    weighed = -weight.float() * (log_p.exp() * log_p).sum(dim=1)
    return mean_over(weighed.sum(), (weighed != 0).sum() if count is None else count)


def entropy_loss(
    logits: Tensor, valid: Tensor | None = None, *, count: Tensor | None = None
) -> Tensor:
    """Entropy minimisation alone: the mean entropy of the prediction.

    Args:
        logits: (B, K, H, W).
        valid: (B, H, W) bool, False on padding; all valid if None.
        count: pixels to divide by, the valid ones if None.

    Returns:
        Scalar, float32, in nats.
    """
    if valid is None:
        valid = torch.ones_like(logits[:, 0], dtype=torch.bool)
    return distance_entropy(logits, valid, count=valid.sum() if count is None else count)


def mean_over(summed: Tensor, count: Tensor) -> Tensor:
    """A sum divided by how much counts; the sum itself, which is zero, where nothing does."""
    counted = torch.as_tensor(count).to(summed)
    # Not clamped to one: an average call of a step may hold less than a whole pixel.
    return summed / torch.where(counted > 0, counted, 1.0)
