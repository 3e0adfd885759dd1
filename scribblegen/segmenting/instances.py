"""Objects found in an image: boxes, which of them stay, and the masks that they make together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scribblegen.text_files import shown

Box = tuple[float, float, float, float]

MOST_LOCAL = 254  # 255 is `IGNORE_INDEX`


@dataclass(frozen=True)
class Detection:
    """What a detector found.

    Args:
        box: left, top, right, bottom in pixels, within the image; right and bottom are its ends.
        score: of the phrase, in [0, 1].
        row: the position of the class that was asked for.
        phrase: of that class, as it was asked for.
    """

    box: Box
    score: float
    row: int
    phrase: str


@dataclass(frozen=True, eq=False)
class Instance:
    """An object of a class, and where it is.

    Args:
        local: value of its class in the label of this image, 1 to 254.
        box, score, phrase: as its `Detection` has them.
        mask: (H, W) bool.
    """

    local: int
    box: Box
    score: float
    phrase: str
    mask: np.ndarray

    def row(self) -> dict[str, Any]:
        """As the column `instances` holds it."""
        return {
            "local": self.local,
            "box": list(self.box),
            "score": self.score,
            "phrase": self.phrase,
            "rle": encode_rle(self.mask),
        }


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes -> (N, M) float64 intersection over union; 0 where both are empty."""
    a, b = (np.asarray(x, np.float64).reshape(-1, 4) for x in (boxes, others))
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = sides.clip(min=0).prod(axis=2)
    areas = [(x[:, 2:] - x[:, :2]).clip(min=0).prod(axis=1) for x in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def by_score(detections: Iterable[Detection]) -> list[Detection]:
    """From the surest to the least sure; where scores are equal, by class and then by box."""
    return sorted(detections, key=lambda d: (-d.score, d.row, d.box, d.phrase))


def suppressed(detections: Sequence[Detection], iou_threshold: float = 0.5) -> list[Detection]:
    """Those that no surer one covers, whatever the classes: one thing is of one class.

    Args:
        detections: in any order.
        iou_threshold: in [0, 1]; of two boxes whose intersection over union is greater, the one of
            the higher score stays.

    Returns:
        In the order of `by_score`.

    Raises:
        ValueError: `iou_threshold` is outside [0, 1].
    """
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"`iou_threshold` must be in [0, 1]. Got {iou_threshold}.")
    ordered = by_score(detections)
    boxes = np.array([d.box for d in ordered], np.float64).reshape(-1, 4)
    overlaps = box_iou(boxes, boxes) > iou_threshold
    kept: list[int] = []
    for number in range(len(ordered)):
        if not overlaps[number, kept].any():
            kept.append(number)
    return [ordered[number] for number in kept]


def local_mask(instances: Sequence[Instance], shape: tuple[int, int]) -> np.ndarray:
    """The label of an image: at each pixel the class of the surest instance that holds it.

    Where scores are equal the smaller instance lies before the larger, then the lower `local`.

    Args:
        instances: in any order.
        shape: height and width.

    Returns:
        (H, W) uint8: `local` of the classes, 0 where no instance is.

    Raises:
        ValueError: a mask is of another size, or a `local` is none.
    """
    label = np.zeros(shape, np.uint8)
    ranked = sorted(
        instances, key=lambda i: (-i.score, int(i.mask.sum()), i.local, i.box), reverse=True
    )
    for instance in ranked:  # the surest is painted last
        if instance.mask.shape != tuple(shape):
            raise ValueError(
                f"`mask` of an instance must be {shape[0]}x{shape[1]}, as its image is. "
                f"Got {instance.mask.shape}."
            )
        if not 1 <= instance.local <= MOST_LOCAL:
            raise ValueError(f"`local` must be in 1..{MOST_LOCAL}. Got {instance.local}.")
        label[instance.mask] = instance.local
    return label


def encode_rle(mask: np.ndarray) -> str:
    """Run lengths of a mask, as COCO counts them: down the columns, beginning with zeros.

    Args:
        mask: (H, W) bool.

    Returns:
        "h w: n n n"; the counts add up to h * w, and only the first may be 0.
    """
    height, width = mask.shape
    flat = np.asarray(mask, bool).T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes, flat.size]).tolist() if flat.size else []
    if flat.size and flat[0]:
        counts = [0, *counts]
    return f"{height} {width}: {' '.join(map(str, counts))}".rstrip()


def decode_rle(text: str) -> np.ndarray:
    """The other way round.

    Raises:
        ValueError: the text is not of that form, or its counts do not fill the mask.
    """
    try:
        size, _, listed = text.partition(":")
        height, width = (int(side) for side in size.split())
        counts = [int(count) for count in listed.split()]
    except (AttributeError, ValueError) as error:
        raise ValueError(f"`rle` must be written 'h w: n n n'. Got {shown(text)}.") from error
    if min(height, width, *counts, 0) < 0 or sum(counts) != height * width:
        raise ValueError(
            f"`rle` must hold counts that add up to its {height} x {width} pixels. "
            f"Got {shown(text)}."
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T.copy()
