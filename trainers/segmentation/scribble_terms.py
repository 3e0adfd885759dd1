"""The configured losses beside the cross-entropy, of scribbles and photographs alone."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.losses import (
    absent_class_loss,
    dense_crf_loss,
    gated_crf_loss,
)


def scribble_terms(
    config: SegmentationConfig, logits: Tensor, batch: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Each term times its weight, by name, those of weight zero left out.

    Args:
        config: the options of the training.
        logits: (B, K, H, W), at the size of the labels.
        batch: the entries of `Views`.

    Returns:
        Scalars with gradients.
    """
    terms = {}
    if config.absent_class_weight:
        drawn = batch["drawn"][:, : logits.shape[1]]
        terms["absent_class"] = config.absent_class_weight * absent_class_loss(logits, drawn)
    if config.dense_crf_weight:
        loss = dense_crf_loss(
            logits,
            batch["pixel_values"],
            batch["inside"],
            sigma_rgb=config.crf_sigma_rgb,
            sigma_xy=config.crf_sigma_xy,
            scale=config.crf_scale,
        )
        terms["dense_crf"] = config.dense_crf_weight * loss
    if config.gated_crf_weight:
        loss = gated_crf_loss(logits, batch["pixel_values"].float(), batch["inside"])
        terms["gated_crf"] = config.gated_crf_weight * loss
    return terms
