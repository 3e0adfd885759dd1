"""Which word a pixel is, and when it is none of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX

RULES = ("none", "threshold", "words")


@dataclass(frozen=True)
class Background:
    """What a pixel may be beside the words that are looked for.

    Args:
        rule: none, every pixel is one of the words; threshold, a pixel is none of them where the
            best score is lower; words, or where one of these scores best.
        threshold: of scores in [0, 1], for rule threshold.
        words: that are looked for too, for rule words.

    Raises:
        ValueError: a value that is none, or that has no effect by its rule.
    """

    rule: str = "none"
    threshold: float | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"`background_rule` must be one of {RULES}. Got {self.rule!r}.")
        for name, value, rule in (
            ("background_threshold", self.threshold, "threshold"),
            ("background_words", self.words or None, "words"),
        ):
            if (value is not None) != (self.rule == rule):
                raise ValueError(
                    f"`{name}` must be given with `background_rule` {rule}, and with no other. Got "
                    f"{value!r} with {self.rule}."
                )
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError(
                f"`background_threshold` must be between 0 and 1. Got {self.threshold}."
            )


def winners(
    scores: Tensor, number: int, background: Background, size: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The word of every pixel.

    Args:
        scores: (K, h, w) in [0, 1]; the first `number` are of the words that are looked for, the
            others of the background's. Of equal scores the first wins.
        number: at most 254.
        background: when a pixel is none of them.
        size: (H, W) of the picture that scores are brought to, one word after the other: all of
            them together would fill the memory.

    Returns:
        (H, W) uint8, positions of words and `IGNORE_INDEX` for none of them; and the best score,
        (H, W) float32.
    """
    best = torch.full(tuple(size), -torch.inf)
    word = torch.full(tuple(size), IGNORE_INDEX, dtype=torch.uint8)
    for position, score in enumerate(scores.float().cpu()):
        larger = F.interpolate(
            score[None, None], tuple(size), mode="bilinear", align_corners=False
        )[0, 0]
        wins = larger > best
        best = torch.where(wins, larger, best)
        word[wins] = position if position < number else IGNORE_INDEX
    if background.threshold is not None:
        word[best < background.threshold] = IGNORE_INDEX
    return word.numpy(), best.numpy()
