"""The tree energy loss ("Tree Energy Loss", CVPR 2022, arXiv 2203.10739), pure, of colours alone.

The paper filters a second time, along a tree over deep features; that needs features of every
architecture, and is left out.
"""

import numpy as np
import torch
from torch import Tensor

from scribblegen.segmenting.spanning_tree import spanning_tree, tree_sums
from scribblegen.trainers.segmentation.cells import Cells
from scribblegen.trainers.segmentation.pseudo_label_losses import mean_over


def tree_energy_loss(
    cells: Cells, *, sigma_rgb: float = 15.0, count: Tensor | None = None
) -> Tensor:
    """|P - Y| of the prediction P, and of Y, P averaged along a minimum spanning tree.

    Args:
        cells: what the views show.
        sigma_rgb: see `tree_means`.
        count: free cells to divide by; those at hand if None.

    Returns:
        Scalar, float32, the mean over free cells of the sum over classes; zero where there is
        none. Y is taken as it is: the gradient goes to P alone.
    """
    target = tree_means(cells, sigma_rgb=sigma_rgb)
    distances = (cells.probabilities - target).abs().sum(dim=1)
    summed = torch.where(cells.free, distances, 0.0).sum()
    return mean_over(summed, cells.free.sum() if count is None else count)


@torch.no_grad()
def tree_means(cells: Cells, *, sigma_rgb: float = 15.0) -> Tensor:
    """The prediction of every cell, averaged over the image: others weigh what the affinities of
    neighbours along the path to them multiply to.

    Made by NumPy on the CPU, wherever the prediction is: in the same order every time.

    Args:
        cells: what the views show.
        sigma_rgb: deviation of colours (0 to 255) in the affinity of two neighbours,
            exp(-|c_i - c_j|^2 / (2 sigma_rgb^2)).

    Returns:
        (B, K, h, w) float32; the prediction itself on padding. No gradient.
    """
    predicted = cells.probabilities.permute(0, 2, 3, 1)
    tree = spanning_tree(
        cells.colours.permute(0, 2, 3, 1).cpu().numpy(),
        cells.inside.cpu().numpy(),
        sigma_rgb=sigma_rgb,
    )
    flat = predicted.flatten(0, 2).cpu().numpy()
    sums = tree_sums(np.concatenate([flat, np.ones_like(flat[:, :1])], axis=1), tree)
    means = torch.from_numpy(sums[:, :-1] / sums[:, -1:]).to(predicted.device)
    return means.view_as(predicted).permute(0, 3, 1, 2)
