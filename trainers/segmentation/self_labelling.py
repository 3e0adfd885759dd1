"""Soft self-labelling with a Potts term (Zhang and Boykov, CVPR 2025, arXiv 2507.01721), pure.

Between the strokes the network learns labels that are solved for while it waits: soft ones, close
to what it predicts and alike where neighbours look alike. Then it moves towards them.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.trainers.segmentation.cells import Cells
from scribblegen.trainers.segmentation.pseudo_label_losses import mean_over

_LEAST = 1e-8  # of a probability in a logarithm
_OPPOSED = 1e-2  # what keeps the cost of two certain, different neighbours finite


def collision_cross_entropy(labels: Tensor, probabilities: Tensor) -> Tensor:
    """-ln sum_k y_k p_k: how unlikely a draw from each is the same class.

    Symmetric; where one of the two is even over the classes it does not move the other.

    Args:
        labels, probabilities: (B, K, ...).

    Returns:
        (B, ...), in nats, 0 or more.
    """
    return -torch.log((labels * probabilities).sum(dim=1) + _LEAST)


def self_labelling_loss(
    cells: Cells,
    *,
    potts_weight: float = 5.0,
    sigma_rgb: float = 30.0,
    num_steps: int = 5,
    count: Tensor | None = None,
) -> Tensor:
    """The collision cross-entropy of the prediction against soft labels solved for it.

    Args:
        cells: what the views show.
        potts_weight, sigma_rgb, num_steps: see `soft_labels`.
        count: free cells to divide by; those at hand if None.

    Returns:
        Scalar, float32, the mean over free cells; zero where there is none. The gradient goes to
        the prediction alone.
    """
    labels = soft_labels(cells, potts_weight=potts_weight, sigma_rgb=sigma_rgb, num_steps=num_steps)
    losses = collision_cross_entropy(labels, cells.probabilities)
    summed = torch.where(cells.free, losses, 0.0).sum()
    return mean_over(summed, cells.free.sum() if count is None else count)


@torch.no_grad()
def soft_labels(
    cells: Cells, *, potts_weight: float = 5.0, sigma_rgb: float = 30.0, num_steps: int = 5
) -> Tensor:
    """Labels y of low energy: sum_i -ln y_i . p_i + potts_weight sum_ij w_ij P(y_i, y_j).

    Over free cells i with prediction p_i, and pairs ij of the eight neighbours with w_ij =
    exp(-|c_i - c_j|^2 / (2 sigma_rgb^2)). P(y, z) = -ln(1 - |y - z|^2 / 2) is the log-quadratic
    relaxation, with 1.01 for the 1, to be finite: with it the energy is convex. Labelled cells
    keep their strokes.

    Each step begins from the last, the first from y = p, and takes every cell along its own
    exponentiated gradient, a quarter of them at a time: no two neighbours move at once. A cell
    moves only where that lowers its part of the energy, so the energy never rises, and no image's
    labels depend on the others of its batch.

    Args:
        cells: what the views show; its probabilities are taken as they are.
        potts_weight: of the pairs, against 1 for the collision cross-entropy.
        sigma_rgb: deviation of colours, 0 to 255.
        num_steps: 0 gives the prediction itself.

    Returns:
        (B, K, h, w) float32, sums over K are 1; the prediction on padding. No gradient.
    """
    predicted = cells.probabilities.detach().clamp(min=_LEAST)
    predicted = predicted / predicted.sum(dim=1, keepdim=True)
    drawn = (cells.inside & ~cells.free)[:, None]
    # A ring around, so that every cell has eight neighbours: of no weight there.
    labels = F.pad(torch.where(drawn, cells.strokes, predicted), (1, 1, 1, 1))
    weights = potts_weight * neighbour_weights(cells, sigma_rgb)
    rates = 1 / (1 + weights.sum(dim=0))  # no step is too long where neighbours agree
    turns = [(..., slice(y, None, 2), slice(x, None, 2)) for y in (0, 1) for x in (0, 1)]
    for _ in range(num_steps):
        for turn in turns:
            near, rate = weights[turn], rates[turn]
            around = [labels[there][turn].contiguous() for there in _around(cells)]
            now = labels[:, :, 1:-1, 1:-1][turn]
            moved, lower = _moved(now.contiguous(), predicted[turn], near, around, rate)
            lower &= cells.free[turn]
            now.copy_(torch.where(lower[:, None], moved, now))
            rate.copy_(torch.where(lower, 2 * rate, rate / 4))
    return labels[:, :, 1:-1, 1:-1].contiguous()


def neighbour_weights(cells: Cells, sigma_rgb: float) -> Tensor:
    """(8, B, h, w): exp(-|c_i - c_j|^2 / (2 sigma_rgb^2)) of every cell and each of the eight
    around it, row by row; 0 where either shows nothing of the image."""
    colours, inside = F.pad(cells.colours, (1, 1, 1, 1)), F.pad(cells.inside, (1, 1, 1, 1))
    weights = []
    for there in _around(cells):
        squares = (cells.colours - colours[there]).square().sum(dim=1)
        affinity = torch.exp(-squares / (2 * sigma_rgb**2))
        weights.append(torch.where(cells.inside & inside[there], affinity, 0.0))
    return torch.stack(weights)


def _around(cells: Cells) -> list[tuple[Any, ...]]:
    """Where the neighbours of all cells stand in a map with a ring of one around."""
    height, width = cells.inside.shape[-2:]
    steps = [(y, x) for y in (0, 1, 2) for x in (0, 1, 2) if (y, x) != (1, 1)]
    return [(..., slice(y, y + height), slice(x, x + width)) for y, x in steps]


def _moved(
    labels: Tensor, predicted: Tensor, near: Tensor, around: Sequence[Tensor], rate: Tensor
) -> tuple[Tensor, Tensor]:
    """A step of some cells whose neighbours stand still, and whether it lowers their energy."""
    squares = torch.stack([_square(other) for other in around])

    def own_part(at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        agreement = (at * predicted).sum(dim=1)
        products = torch.stack([(at * other).sum(dim=1) for other in around])
        room = 1 + _OPPOSED - (_square(at) + squares) / 2 + products  # 1 - |y - z|^2 / 2
        energy = -torch.log(agreement) - (near * torch.log(room)).sum(dim=0)
        return energy, agreement, room

    energy, agreement, room = own_part(labels)
    pulls = near / room
    gradient = pulls.sum(dim=0)[:, None] * labels - predicted / agreement[:, None]
    for pull, other in zip(pulls, around, strict=True):
        gradient.addcmul_(pull[:, None], other, value=-1)
    moved = torch.softmax(labels.clamp(min=_LEAST).log() - rate[:, None] * gradient, dim=1)
    return moved, own_part(moved)[0] < energy


def _square(labels: Tensor) -> Tensor:
    return labels.square().sum(dim=1)
