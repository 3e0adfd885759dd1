"""Trains an affinity network on pairs of cells that masks are sure of."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scribblegen.segmenting.affinity import affinity_losses, cell_labels, pair_counts
from scribblegen.trainers.affinity.measures import pair_measures, pair_scores
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer


class AffinityTrainer(SegmentationTrainer):
    """The segmentation trainer with another loss and another measure.

    Args:
        background: the id of the background, or None.
        **options: those of `SegmentationTrainer`.
    """

    def __init__(self, *args: Any, background: int | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.background = background
        self.compute_metrics = _scores

    def loss_terms(self, outputs: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        """See `affinity_losses`; a pair weighs alike in whatever call of a step it is."""
        features = outputs.features
        return affinity_losses(
            features,
            cell_labels(batch["labels"], features.shape[-2:]),
            self.background,
            radius=self.model.config.radius,
            counts=batch["num_counted"],
        )

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What `pair_measures` finds in every image, shown whole."""
        inputs = self._prepare_inputs(inputs)
        found = []
        for pixels, label in zip(inputs["pixel_values"], inputs["labels"], strict=True):
            image = self.model.shown(self._normalised(pixels[None]))
            with torch.no_grad(), self.compute_loss_context_manager():
                features = model(pixel_values=image).features
            cells = cell_labels(label[None], features.shape[-2:])
            found.append(pair_measures(features, cells, self.background, self.model.config.radius))
        stacked = torch.stack(found).to(self.args.device)
        return None, stacked, torch.zeros(len(found), device=self.args.device)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Tensor | None:
        if batch_samples and "inside" in batch_samples[0]:
            config = self.model.config
            counts = []
            for labels in (batch["labels"] for batch in batch_samples):
                size = tuple(side // config.stride for side in labels.shape[-2:])
                cells = cell_labels(labels.to(device), size)
                counts.append(pair_counts(cells, self.background, config.radius))
            self._term_counts = self.accelerator.reduce(torch.stack(counts).sum(dim=0), "sum")
        return super()._get_num_items_in_batch(batch_samples, device)


def _scores(prediction: Any) -> dict[str, float]:
    return pair_scores(np.asarray(prediction.predictions).sum(axis=0, dtype=np.float64))
