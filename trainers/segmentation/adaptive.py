"""Which set the adaptive scheme draws from: measured on the segmentor as it is now.

Beyond the paper, whose schedule follows the epochs alone. A twin teaches something wrong where its
picture does not show what its label says, and that happens more the later its set comes in their
order, such as with the encode ratio. So a set is drawn from as long as the segmentor agrees with
it about as much as with the photographs: the most diverse images that it can tell are right.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from scribblegen.trainers.judge import share_found
from scribblegen.trainers.segmentation.inference import Inference
from scribblegen.trainers.segmentation.schemes import TwinSet

_MEASURED = 48  # at most so many images of every set


def agreement(
    model: nn.Module,
    inference: Inference,
    read: Callable[[int], tuple[Tensor, np.ndarray]],
    rows: Sequence[int],
) -> np.ndarray:
    """The share of labelled pixels of each row of which the segmentor says the same.

    Args:
        model: any segmentor; its mode and gradients are left as they are.
        inference: how it is shown an image.
        read: gives the image (3, H, W) of a row, normalised, and its label (H, W) uint8.
        rows: the rows to measure.

    Returns:
        (len(rows),) float64; 1 where a row has no label.
    """
    training = model.training
    model.eval()
    shares = []
    for row in rows:
        image, label = read(row)
        found = inference.probabilities(model, image).argmax(dim=0).cpu().numpy()
        shares.append(share_found(found, label))
    model.train(training)
    return np.asarray(shares)


def choose_stage(
    twin_sets: Sequence[TwinSet],
    num_real: int,
    measure: Callable[[Sequence[int]], np.ndarray],
    tolerance: float,
) -> int:
    """The last set, in their order, that the segmentor agrees with as with the photographs.

    Args:
        twin_sets: in their order.
        num_real: photographs, rows 0 and up.
        measure: gives the agreement of rows.
        tolerance: by how much the mean over a set may stay behind that over the photographs.

    Returns:
        Position in `twin_sets`; 0 where none is agreed with.
    """
    asked = measure(_spread(range(num_real))).mean() - tolerance
    for number in range(len(twin_sets) - 1, 0, -1):
        rows = twin_sets[number].all_rows
        if rows and measure(_spread(rows)).mean() >= asked:
            return number
    return 0


def _spread(rows: Sequence[int]) -> list[int]:
    """At most `_MEASURED` of them, evenly spaced."""
    places = torch.linspace(0, len(rows) - 1, min(_MEASURED, len(rows))).round().long()
    return [rows[i] for i in places.tolist()]
