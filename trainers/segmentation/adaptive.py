"""Which encode ratio the adaptive scheme draws from: measured on the segmentor as it is now.

Beyond the paper, whose schedule follows the epochs alone. A twin teaches something wrong where its
picture does not show what its scribble says, and that happens more the higher the encode ratio. So
twins of a ratio are drawn as long as the segmentor agrees with them about as much as with the
photographs: the most diverse twins that it can tell are right.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from scribblegen.trainers.judge import share_found
from scribblegen.trainers.segmentation.inference import Inference
from scribblegen.trainers.segmentation.schemes import TwinSet

_MEASURED = 48  # images of every set


def agreement(
    model: nn.Module,
    inference: Inference,
    read: Callable[[int], tuple[Tensor, np.ndarray]],
    rows: Sequence[int],
) -> np.ndarray:
    """Of every row, the share of labelled pixels of which the segmentor says the same.

    Args:
        model: any segmentor; its mode and gradients are left as they are.
        inference: how it is shown an image.
        read: of a row, the image (3, H, W), normalised, and the label (H, W) uint8.
        rows: to measure.

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
    """The highest set, by encode ratio, that the segmentor agrees with as with the photographs.

    Args:
        twin_sets: ordered by encode ratio.
        num_real: photographs, rows 0 and up.
        measure: agreement of rows.
        tolerance: by how much the mean over a set may stay behind that over the photographs.

    Returns:
        Position in `twin_sets`; 0 where none is agreed with.
    """
    asked = measure(_spread(range(num_real))).mean() - tolerance
    for number in range(len(twin_sets) - 1, 0, -1):
        rows = [row for of_source in twin_sets[number].rows for row in of_source]
        if rows and measure(_spread(rows)).mean() >= asked:
            return number
    return 0


def _spread(rows: Sequence[int]) -> list[int]:
    """At most `_MEASURED` of them, evenly spaced."""
    places = torch.linspace(0, len(rows) - 1, min(_MEASURED, len(rows))).round().long()
    return [rows[i] for i in places.tolist()]
