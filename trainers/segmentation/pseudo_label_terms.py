"""What pseudo labels and doubt add to the loss of a call."""

from functools import partial

import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX
from scribblegen.trainers.segmentation.pseudo_label_losses import (
    distance_entropy,
    entropy_loss,
    smoothed_cross_entropy,
)
from scribblegen.trainers.segmentation.pseudo_label_options import (
    BOUNDARY_DISTANCE,
    PSEUDO_LABEL,
    SCRIBBLE_DISTANCE,
    PseudoLabelOptions,
)
from scribblegen.trainers.segmentation.terms import Batch, Term


def pseudo_label_terms(options: PseudoLabelOptions) -> tuple[Term, ...]:
    """The terms that are on, but for the rectification, which needs features."""
    terms = []
    if options.pseudo_label_weight:
        learned = partial(_learned_label, to_background=options.ignore_to_background)

        def cross_entropy(logits: Tensor, batch: Batch, count: Tensor) -> Tensor:
            smoothing = options.pseudo_label_smoothing
            return smoothed_cross_entropy(logits, learned(batch), smoothing, count=count)

        terms.append(
            Term(
                PSEUDO_LABEL,
                options.pseudo_label_weight,
                lambda batch: learned(batch) != IGNORE_INDEX,
                cross_entropy,
            )
        )
    if options.entropy_weight:
        terms.append(
            Term(
                "entropy",
                options.entropy_weight,
                lambda batch: batch["inside"],
                lambda logits, batch, count: entropy_loss(logits, batch["inside"], count=count),
            )
        )
    if options.distance_entropy_weight:
        terms += [
            _weighed(options.distance_entropy_weight, SCRIBBLE_DISTANCE),
            _weighed(options.distance_entropy_weight, BOUNDARY_DISTANCE),
        ]
    return tuple(terms)


def _weighed(weight: float, name: str) -> Term:
    return Term(
        name,
        weight,
        lambda batch: batch[name] > 0,
        lambda logits, batch, count: distance_entropy(logits, batch[name], count=count),
    )


def _learned_label(batch: Batch, *, to_background: bool) -> Tensor:
    """The pseudo label as it is learned; the batch's own is left as it is."""
    label = batch[PSEUDO_LABEL]
    return torch.where(label == IGNORE_INDEX, 0, label) if to_background else label
