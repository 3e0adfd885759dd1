"""What a detector is asked for, and what of its answers is kept."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scribblegen.segmenting.instances import Detection, by_score

_MARKS = re.compile(r"[.?\s]+")  # captions are cut at these


@dataclass(frozen=True)
class Asked:
    """A phrase of a class.

    Args:
        row: the position of the class.
        phrase: as the class has it.
        text: as the detector is told it: small letters, no mark that ends a phrase.
    """

    row: int
    phrase: str
    text: str


def asked_for(phrases: Sequence[Sequence[str]]) -> list[Asked]:
    """Every phrase of every class, each once; where classes share one, the first class has it.

    Raises:
        ValueError: a class has no phrase, or a phrase has no word in it.
    """
    asked: dict[str, Asked] = {}
    for row, names in enumerate(phrases):
        if not names:
            raise ValueError(f"`phrases` must be one or more for each class. Class {row} has none.")
        for phrase in names:
            text = _MARKS.sub(" ", phrase).strip().lower()
            if not re.search(r"\w", text):
                raise ValueError(f"`phrases` must each hold a word. Got {phrase!r}.")
            asked.setdefault(text, Asked(row, phrase, text))
    return list(asked.values())


def check_thresholds(**thresholds: float) -> None:
    """Refuses thresholds outside [0, 1]."""
    for name, value in thresholds.items():
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be in [0, 1]. Got {value}.")


def found(
    boxes: np.ndarray, scores: np.ndarray, asked: Sequence[Asked], size: tuple[int, int]
) -> list[Detection]:
    """Answers as detections.

    Args:
        boxes: (N, 4) float, centre and extent: x, y, width, height in pixels; what is outside the
            image is cut off, and a box less than a pixel wide or high is dropped.
        scores: (N,) in [0, 1].
        asked: the N phrases that they are of.
        size: height and width of the image.
    """
    centres, extents = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    corners = np.concatenate([centres - extents / 2, centres + extents / 2], axis=1)
    corners = corners.clip(0, [size[1], size[0], size[1], size[0]])
    return by_score(
        Detection(
            (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            float(score),
            one.row,
            one.phrase,
        )
        for box, score, one in zip(corners, scores, asked, strict=True)
        if min(box[2] - box[0], box[3] - box[1]) >= 1
    )
