"""The loss of a batch of pairs: the terms of `losses`, weighed."""

import torch
from torch import Tensor, nn

from scribblegen.trainers.open_vocabulary.batches import PairBatch
from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig
from scribblegen.trainers.open_vocabulary.losses import (
    cosine_loss,
    dense_loss,
    dice_loss,
    focal_loss,
    infonce_loss,
    text_anchored_loss,
)
from scribblegen.trainers.open_vocabulary.model import OpenVocabularyModel


class PairObjective(nn.Module):
    """The network and what it is trained to: what processes share the gradients of.

    Args:
        model: that is trained.
        config: weights of the terms.
    """

    def __init__(self, model: OpenVocabularyModel, config: OpenVocabularyTrainingConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def forward(self, batch: PairBatch) -> Tensor:
        """The loss, summed over the rows. A row without a twin has no counterfactual loss."""
        return sum(self.terms(batch).values(), torch.zeros((), device=batch.images.device))

    def terms(self, batch: PairBatch) -> dict[str, Tensor]:
        """Every term, weighed and summed over the rows, by name."""
        config, size = self.config, batch.images.shape[-2:]
        rows = len(batch.images)
        seen = self.model.see(torch.cat([batch.images, batch.twins]))
        first = type(seen)(seen.token[:rows], seen.patches[:rows])
        logits = self.model.masks(first, batch.texts, size)
        terms = {
            "focal": config.focal_weight
            * focal_loss(logits, batch.targets, batch.counted, batch.valid).sum(),
            "dice": config.dice_weight * dice_loss(logits, batch.targets, batch.counted).sum(),
        }
        has, image, twin = batch.has_twin, seen.token[:rows][batch.has_twin], seen.token[rows:]
        texts, valid = batch.texts[has], batch.valid[has]
        positive = (batch.targets[has] & batch.counted[has][:, None]).any(dim=(2, 3))
        if not len(twin):
            return terms
        for name in config.counterfactual_losses:
            if name == "cosine":
                values = cosine_loss(image, twin)
            elif name == "text_anchored":
                values = text_anchored_loss(image, twin, texts, positive, config.cf_margin)
            elif name == "infonce":
                values = infonce_loss(image, twin, texts, positive, valid)
            else:
                second = type(seen)(twin, seen.patches[rows:])
                values = dense_loss(self.model.masks(second, texts, size), positive)
            terms[name] = config.cf_weight * values.sum()
        return terms
