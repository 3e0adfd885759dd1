"""Parts of the loss of a call that are means, and what each of them is divided by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    """A part of the loss that is a mean over pixels which the batch alone tells.

    Args:
        name: that it is told by.
        weight: of the term.
        counts: which pixels of a batch it is a mean over, (B, H, W) bool; or cells, (B, h, w).
        loss: of logits (B, K, H, W), a batch, and how many pixels count.
    """

    name: str
    weight: float
    counts: Callable[[Batch], Tensor]
    loss: Callable[[Tensor, Batch, Tensor], Tensor]


def num_counted(terms: Sequence[Term], batches: Sequence[Batch]) -> Tensor:
    """(terms,) int64: the pixels that each term is a mean over, in all batches together."""
    counts = [[term.counts(batch).sum() for term in terms] for batch in batches]
    return torch.stack([torch.stack(of_batch) for of_batch in counts]).sum(dim=0)


def weighed_losses(
    terms: Sequence[Term], logits: Tensor, batch: Batch, counts: Tensor | None
) -> dict[str, Tensor]:
    """Each term times its weight, by name.

    Args:
        terms: those that are on.
        logits: (B, K, H, W).
        batch: the entries of `Views`.
        counts: (terms,) pixels of an average call of the optimiser step; those of the batch if
            None.
    """
    if counts is None:
        counts = num_counted(terms, [batch])
    return {t.name: t.weight * t.loss(logits, batch, n) for t, n in zip(terms, counts, strict=True)}
