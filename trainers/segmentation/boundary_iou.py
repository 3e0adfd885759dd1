"""Boundary IoU (arXiv 2103.16562): the overlap of the rims of predicted and reference regions."""

import numpy as np
from scipy import ndimage

_RIM = 0.02  # its width as a share of the image's diagonal


def boundary_counts(
    prediction: np.ndarray, reference: np.ndarray, num_labels: int, ignore_index: int
) -> np.ndarray:
    """Pixels in the intersection and in the union of both rims, for every class.

    Args:
        prediction, reference: (H, W) class ids; reference pixels of `ignore_index` do not count,
            and no rim runs along them.

    Returns:
        (2, num_labels) int64.
    """
    width = max(1, round(_RIM * float(np.hypot(*reference.shape))))
    counts = np.zeros((2, num_labels), np.int64)
    kept = reference != ignore_index
    present = np.union1d(np.unique(reference[kept]), np.unique(prediction[kept]))
    for label in present[(present >= 0) & (present < num_labels)].astype(int):
        one, other = (
            _rim((values == label) & kept, kept, width) for values in (prediction, reference)
        )
        counts[:, label] = (one & other).sum(), (one | other).sum()
    return counts


def _rim(region: np.ndarray, kept: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a region within `width` (chessboard steps) of one that is not in it."""
    core = ndimage.minimum_filter(region | ~kept, size=2 * width + 1, mode="constant", cval=0)
    rim: np.ndarray = region & ~core
    return rim
