"""Losses for scribbles. All pure: none changes its inputs, each is zero where nothing counts."""

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX
from scribblegen.segmenting.affinity_sums import affinity_sums


def at_size_of(labels: Tensor, logits: Tensor) -> Tensor:
    """(B, K, h, w) -> (B, K, H, W) float32, bilinear: logits at the size of (B, H, W) labels."""
    return F.interpolate(
        logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=False
    )


def partial_cross_entropy(
    logits: Tensor, labels: Tensor, *, ignore_index: int = IGNORE_INDEX, count: Tensor | None = None
) -> Tensor:
    """Cross-entropy over the labelled pixels alone.

    Args:
        logits: (B, K, H, W).
        labels: (B, H, W) int64 class ids; `ignore_index` where nobody drew.
        count: labelled pixels to divide by, those of this batch if None; of the whole optimiser
            step where several batches accumulate, so that the sum is the large batch's mean.

    Returns:
        Scalar; zero, with a gradient of zeros, for a batch without a label.
    """
    summed = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="sum")
    if count is None:
        count = (labels != ignore_index).sum()
    return summed / torch.as_tensor(count, device=logits.device).clamp(min=1)


def absent_class_loss(logits: Tensor, drawn: Tensor) -> Tensor:
    """-log(1 - p) of every class that no stroke of the image names (specs of AGMM and CDSP).

    Scribbles name every class in an image; so those that they do not name are not there. The image
    is the whole one: a crop may cut off all strokes of a class, and show some of it all the same.

    Args:
        logits: (B, K, H, W).
        drawn: (B, K) bool, whether a stroke of the whole image names the class; an image without a
            single one says nothing.

    Returns:
        Scalar, the mean over pixels of the sum over absent classes, over images with strokes.
    """
    speaks = drawn.any(dim=1)
    absent = (~drawn & speaks[:, None])[:, :, None, None]
    # log(1 - p_k) = logsumexp of the others - logsumexp of all, without cancellation at p near 1.
    log_p = F.log_softmax(logits, dim=1)
    log_rest = torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))
    pixels = speaks.sum() * logits[0, 0].numel()
    return -torch.where(absent, log_rest, 0.0).sum() / pixels.clamp(min=1)


def dense_crf_loss(
    logits: Tensor,
    images: Tensor,
    valid: Tensor | None = None,
    *,
    sigma_rgb: float = 15.0,
    sigma_xy: float = 100.0,
    scale: float = 0.5,
) -> Tensor:
    """The dense CRF regularised loss (RLoss, arXiv 1803.09569), summed exactly.

    -(1/B) sum over images and classes of S' A S, with A the un-normalised Gaussian affinity of
    colour and place between all pairs of pixels. No lattice approximates the sum: A is made a few
    rows at a time and thrown away. Time grows with the square of the pixels, memory does not.

    Args:
        logits: (B, K, H, W).
        images: (B, 3, H, W), 0 to 255.
        valid: (B, H, W) bool, False on padding; all valid if None.
        sigma_rgb: deviation of colours in the affinity, in units of `images`.
        sigma_xy: deviation of places in the affinity, in pixels of the full size.
        scale: share of the sides at which it is computed; images are resized by nearest neighbour,
            probabilities bilinearly.

    Returns:
        Scalar, negative; the reference weighs it 2e-9.
    """
    probabilities = torch.softmax(logits.float(), dim=1)
    if valid is None:
        valid = torch.ones_like(images[:, 0], dtype=torch.bool)
    size = tuple(max(1, round(side * scale)) for side in images.shape[-2:])
    colours = F.interpolate(images.float(), size=size, mode="nearest")
    probabilities = F.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)
    kept = F.interpolate(valid[:, None].float(), size=size, mode="nearest")
    rows, columns = torch.meshgrid(
        torch.arange(size[0], device=images.device),
        torch.arange(size[1], device=images.device),
        indexing="ij",
    )
    places = torch.stack([rows, columns]).float() / (sigma_xy * scale)
    features = torch.cat(
        [colours / sigma_rgb, places.expand(len(images), -1, -1, -1)], dim=1
    ).flatten(2)
    energy: Tensor = _PairwiseEnergy.apply((probabilities * kept).flatten(2), features)
    return -energy / len(images)


class _PairwiseEnergy(torch.autograd.Function):
    """sum S' A S over images and classes, of S (B, K, P) and features (B, F, P); A is symmetric."""

    @staticmethod
    def forward(ctx, probabilities: Tensor, features: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        filtered = torch.stack(
            [affinity_sums(p, f) for p, f in zip(probabilities, features, strict=True)]
        )
        ctx.save_for_backward(filtered)
        return (probabilities * filtered).sum()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (filtered,) = ctx.saved_tensors
        return 2 * gradient * filtered, None


def gated_crf_loss(
    logits: Tensor,
    images: Tensor,
    gate: Tensor | None = None,
    *,
    radius: int = 5,
    sigma_rgb: float = 25.0,
    sigma_xy: float = 6.0,
) -> Tensor:
    """The gated CRF loss (arXiv 1906.04651): neighbours that look alike should agree.

    Args:
        logits: (B, K, H, W).
        images: (B, 3, H, W), 0 to 255.
        gate: (B, H, W) bool, pixels that take part; all if None.
        radius: half the side of the square neighbourhood, in pixels.
        sigma_rgb, sigma_xy: deviations of the Gaussian affinity, in units of `images` and in
            pixels.

    Returns:
        Scalar, the mean over gated pixels of sum_j k_ij (1 - p_i . p_j).
    """
    probabilities = torch.softmax(logits.float(), dim=1)
    height, width = images.shape[-2:]
    open_ = torch.ones_like(images[:, 0]) if gate is None else gate.float()
    total = logits.new_zeros((), dtype=torch.float32)
    for dy in range(radius + 1):
        for dx in range(-radius, radius + 1):
            if (dy == 0 and dx <= 0) or dy >= height or abs(dx) >= width:
                continue  # every pair once
            here = (..., slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
            there = (..., slice(dy, height), slice(max(0, dx), width - max(0, -dx)))
            colour = (images[here] - images[there]).float().square().sum(dim=1) / sigma_rgb**2
            affinity = torch.exp(-0.5 * (colour + (dy**2 + dx**2) / sigma_xy**2))
            unlike = 1 - (probabilities[here] * probabilities[there]).sum(dim=1)
            total = total + 2 * (affinity * unlike * open_[here] * open_[there]).sum()
    return total / open_.sum().clamp(min=1)
