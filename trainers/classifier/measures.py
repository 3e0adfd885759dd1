"""How well the tags of images are found."""

from typing import Any

import numpy as np


def tag_scores(probabilities: np.ndarray, tags: np.ndarray) -> dict[str, Any]:
    """Average precision and F1.

    Args:
        probabilities: (N, K) in [0, 1].
        tags: (N, K), 1 or 0; other values do not count.

    Returns:
        `mean_average_precision`, the mean over tags that some image has; `f1`, of all decisions
        at 0.5; `per_tag`, the average precision of each, NaN where no image has it. NaN where
        there is nothing to measure.
    """
    known = (tags == 0) | (tags == 1)
    per_tag = np.array(
        [
            _average_precision(probabilities[known[:, k], k], tags[known[:, k], k])
            for k in range(tags.shape[1])
        ]
    )
    there = per_tag[~np.isnan(per_tag)]
    found, true = probabilities[known] > 0.5, tags[known] == 1
    either = found.sum() + true.sum()
    return {
        "mean_average_precision": float(there.mean()) if len(there) else float("nan"),
        "f1": float(2 * (found & true).sum() / either) if either else float("nan"),
        "per_tag": per_tag.tolist(),
    }


def _average_precision(probabilities: np.ndarray, tags: np.ndarray) -> float:
    """The mean, over images with the tag, of the precision down to each in order of probability.

    Of images that are equally probable, those without the tag come first.
    """
    if not tags.any():
        return float("nan")
    right = tags[np.lexsort((tags, -probabilities))] == 1
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    return float(precision[right].mean())
