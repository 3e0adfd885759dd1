"""How good a mask is, of what a segmentor says that never saw it; and which masks stay.

DiffuMask's noise learning (arXiv 2303.11681): segmentors are trained on all parts of the images but
one, and look at the one that they were not shown. A mask with which they disagree is likely wrong.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.segmenting.mask_rules import MaskRules, MaskShape, fault_of

_NEIGHBOURS = np.ones((3, 3), bool)  # diagonal ones too


@dataclass(frozen=True)
class ClassQuality:
    """Of a mask's pixels of one class.

    Args:
        iou: their intersection over union with what a segmentor sees, in [0, 1].
        shape: which shape they have.
    """

    iou: float
    shape: MaskShape


@dataclass(frozen=True)
class MaskQuality:
    """Of a whole mask.

    Args:
        labelled: share of the image that it says something of.
        classes: of every class that it holds, by name.
    """

    labelled: float
    classes: Mapping[str, ClassQuality]


@dataclass(frozen=True)
class Verdict:
    """Whether an image stays.

    Args:
        cv_iou: mean over its classes of the intersection over union, in [0, 1].
        rank: mean over its classes of the rank among all images with that class, in (0, 1); the
            higher the better.
        fault: the reason for which it is left out, or None. What comes before `: ` is said alike of
            all that are left out for the same.
    """

    cv_iou: float
    rank: float
    fault: str | None


def mask_quality(mask: np.ndarray, found: np.ndarray, names: Sequence[str]) -> MaskQuality:
    """How much of a mask a segmentor sees, and which shape it has.

    Args:
        mask: (H, W) uint8 class ids, `IGNORE_INDEX` where it says nothing.
        found: (H, W) class ids that a segmentor sees in the image.
        names: the classes, in id order.
    """
    ious = class_ious(mask, found)
    return MaskQuality(
        float((mask != IGNORE_INDEX).mean()),
        {names[k]: ClassQuality(iou, mask_shape(mask == k)) for k, iou in ious.items()},
    )


def class_ious(mask: np.ndarray, found: np.ndarray) -> dict[int, float]:
    """Intersection over union of each class that a mask holds, over the pixels that it is of.

    Args:
        mask: (H, W) uint8 class ids, `IGNORE_INDEX` where it says nothing.
        found: (H, W) class ids.

    Returns:
        In [0, 1], by class id, ascending.
    """
    drawn = mask != IGNORE_INDEX
    ious = {}
    for number in present_classes(mask):
        said, seen = mask == number, (found == number) & drawn
        ious[number] = float((said & seen).sum() / (said | seen).sum())
    return ious


def mask_shape(region: np.ndarray) -> MaskShape:
    """The shape of the pixels of one class: (H, W) bool, at least one of them True."""
    parts, _ = ndimage.label(region, structure=_NEIGHBOURS)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # what is no part
    largest = int(sizes.argmax())
    rows, columns = ndimage.find_objects(parts)[largest - 1]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return MaskShape(
        area=float(region.mean()),
        aspect=width / height,
        fill=float(sizes[largest] / (height * width)),
    )


def verdicts(
    qualities: Mapping[str, MaskQuality],
    *,
    keep: float | None = None,
    min_cv_iou: float | None = None,
    rules: MaskRules | None = None,
    background: str | None = None,
) -> dict[str, Verdict]:
    """Which images stay: those with the best masks.

    A mask against a rule counts as one of which nothing is seen, and never stays.

    Args:
        qualities: of all images, by id.
        keep: the share of all images that stays, in (0, 1], those of the highest ranks; of equal
            ones the first by id. As many as that, unless there are not as many without a fault.
        min_cv_iou: images of at least this `cv_iou` stay instead.
        rules: what no mask may be, by class name.
        background: the class that counts only in an image without any other, or None.

    Raises:
        ValueError: not exactly one of `keep` and `min_cv_iou` is given.
    """
    if (keep is None) == (min_cv_iou is None):
        raise ValueError(
            f"exactly one of `keep` and `min_cv_iou` must be given. Got {keep} and {min_cv_iou}."
        )
    faults = {i: _fault(quality, rules or {}) for i, quality in qualities.items()}
    counted = {i: _counted(quality, background) for i, quality in qualities.items()}
    seen = {i: dict.fromkeys(ious, 0.0) if faults[i] else ious for i, ious in counted.items()}
    ranks = mean_ranks(seen)
    means = {i: float(np.mean(list(ious.values()))) for i, ious in counted.items()}
    if keep is not None:
        best = sorted((i for i in seen if not faults[i]), key=lambda i: (-ranks[i], i))
        staying = set(best[: max(1, round(keep * len(seen)))])
        why = f"among the worst {100 * (1 - keep):.3g} %"
    else:
        staying = {i for i, mean in means.items() if min_cv_iou is not None and mean >= min_cv_iou}
        why = f"cv_iou below {min_cv_iou:g}"
    found = {}
    for i in qualities:
        fault = faults[i]
        if fault is None and i not in staying:
            fault = f"{why}: cv_iou {means[i]:.2f}, rank {ranks[i]:.2f}"
        found[i] = Verdict(means[i], ranks[i], fault)
    return found


def mean_ranks(ious: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """How good each image is among those with the same classes, so that no hard class is emptied.

    Args:
        ious: of all images, by id; of each its classes, at least one.

    Returns:
        By id, the mean over an image's classes of the share of the images with this class that are
        worse, those that are as good (itself among them) counted half: in (0, 1).
    """
    by_class: defaultdict[str, list[float]] = defaultdict(list)
    for of_image in ious.values():
        for name, iou in of_image.items():
            by_class[name].append(iou)
    ordered = {name: np.sort(values) for name, values in by_class.items()}

    def rank(name: str, iou: float) -> float:
        values = ordered[name]
        worse, not_better = (np.searchsorted(values, iou, side) for side in ("left", "right"))
        return float((worse + not_better) / (2 * len(values)))

    return {
        i: float(np.mean([rank(name, iou) for name, iou in of_image.items()]))
        for i, of_image in ious.items()
    }


def _counted(quality: MaskQuality, background: str | None) -> dict[str, float]:
    """The intersection over union of the classes that count."""
    ious = {name: found.iou for name, found in quality.classes.items()}
    things = {name: iou for name, iou in ious.items() if name != background}
    return things or ious


def _fault(quality: MaskQuality, rules: MaskRules) -> str | None:
    faults = (
        fault_of(name, found.shape, rules[name])
        for name, found in quality.classes.items()
        if name in rules
    )
    return next((fault for fault in faults if fault), None)
