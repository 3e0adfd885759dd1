"""What is measured of a pair: how alike its images are, and what a segmentor sees in them."""

import numpy as np

from scribblegen.classes import IGNORE_INDEX
from scribblegen.descriptions import Description
from scribblegen.methods.base import SeenWords, WordJudge

_HEIGHT = 0.01  # share of an image, where a word is likeliest, that is taken for its presence


def background_distance(
    image: np.ndarray, counterfactual: np.ndarray, mask: np.ndarray
) -> float | None:
    """Mean absolute difference of two (H, W, 3) uint8 images where a mask is 0, in [0, 1].

    Args:
        image, counterfactual: of one size.
        mask: (H, W) uint8; None is returned where it is 0 nowhere.
    """
    outside = mask == 0
    if not outside.any():
        return None
    apart = np.abs(image[outside].astype(np.int16) - counterfactual[outside])
    return float(apart.mean() / 255)


def judged(
    judge: WordJudge | None,
    description: Description,
    mask: np.ndarray,
    image: np.ndarray,
    counterfactual: np.ndarray,
    *,
    union: bool,
) -> dict[str, float | None]:
    """What a segmentor thinks of a pair; None where there is none or it lacks a word.

    Args:
        judge: the segmentor.
        description: with its words.
        mask: (H, W) uint8, of `image`.
        image, counterfactual: (H, W, 3) uint8.
        union: whether the mask has 1 for all words.

    Returns:
        `agreement`, the share of what the mask says that it says too; `presence` and
        `cf_presence`, how likely the words are where each is likeliest, of the image the least
        present word's, of the counterfactual image the most present one's.
    """
    ids = [mention.id for mention in description.mentions]
    seen = None if judge is None else judge.look(image, ids)
    other = None if judge is None else judge.look(counterfactual, ids)
    if seen is None or other is None:
        return {"agreement": None, "presence": None, "cf_presence": None}
    values = np.array([1 if union else m.local for m in description.mentions] + [0], np.uint8)
    said = mask != IGNORE_INDEX
    agreement = float((values[seen.winner] == mask)[said].mean()) if said.any() else 1.0
    return {
        "agreement": agreement,
        "presence": min(presences(seen)),
        "cf_presence": max(presences(other)),
    }


def presences(seen: SeenWords) -> list[float]:
    """For each word the mean probability of the hundredth of the pixels where it is likeliest."""
    flat = seen.probabilities.reshape(len(seen.probabilities), -1)
    count = max(1, round(_HEIGHT * flat.shape[1]))
    return [float(np.partition(values, -count)[-count:].mean()) for values in flat]
