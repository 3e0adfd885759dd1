"""Trains a classifier on the tags that strokes imply."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scribblegen.classes import IGNORE_INDEX
from scribblegen.segmenting.activation_maps import resized
from scribblegen.trainers.classifier.measures import tag_scores
from scribblegen.trainers.classifier.tags import target
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer


class ClassifierTrainer(SegmentationTrainer):
    """The segmentation trainer with another loss and another measure: all that it mends of the
    Trainer of transformers, and its exact resume, hold here too.

    Args:
        background: the id of the class that is no tag, or None.
        **options: those of `SegmentationTrainer`; the training reads `TaggedViews`.
    """

    def __init__(self, *args: Any, background: int | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.background = background
        self.compute_metrics = _scores

    def loss_terms(self, outputs: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Binary cross-entropy of every tag that a view teaches, see `multi_label_loss`."""
        logits, tags = outputs.logits, batch["labels"]
        return {"multi_label": multi_label_loss(logits, tags, count=batch["num_labelled"])}

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Probabilities and tags of every image, shown whole at the side of the crop."""
        inputs = self._prepare_inputs(inputs)
        found, tags = [], []
        number = self.model.config.num_labels + (self.background is not None)
        for pixels, label in zip(inputs["pixel_values"], inputs["labels"], strict=True):
            image = self._normalised(pixels[None])
            factor = (self.inference.size or min(image.shape[-2:])) / min(image.shape[-2:])
            image = resized(image, [max(1, round(side * factor)) for side in image.shape[-2:]])
            with torch.no_grad(), self.compute_loss_context_manager():
                found.append(torch.sigmoid(model(pixel_values=image).logits.float())[0])
            strokes = label.cpu().numpy().astype(np.uint8)
            tags.append(target(strokes, strokes, number, self.background))
        return None, torch.stack(found), torch.stack(tags).to(self.args.device)


def multi_label_loss(logits: Tensor, tags: Tensor, *, count: Tensor | None = None) -> Tensor:
    """The mean of the binary cross-entropies of all tags that are known.

    Args:
        logits: (B, K).
        tags: (B, K) int64: 1, 0, or `IGNORE_INDEX` where it is not known.
        count: known tags to divide by, those of this batch if None.

    Returns:
        Scalar; zero, with a gradient of zeros, where nothing is known.
    """
    known = tags != IGNORE_INDEX
    each = F.binary_cross_entropy_with_logits(
        logits.float(), torch.where(known, tags, 0).float(), reduction="none"
    )
    if count is None:
        count = known.sum()
    return (each * known).sum() / torch.as_tensor(count, device=logits.device).clamp(min=1)


def _scores(prediction: Any) -> dict[str, float]:
    found = tag_scores(np.asarray(prediction.predictions), np.asarray(prediction.label_ids))
    return {key: value for key, value in found.items() if isinstance(value, float)}
