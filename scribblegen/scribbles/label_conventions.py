"""Label values of other code bases <-> ours. They differ, and they fail silently.

| convention | unlabelled | crop padding | who |
|---|---|---|---|
| `scribblegen` | 255 | kept apart, in a validity mask | here |
| `rloss` | 255 | 254 | RLoss |
| `agmm` | K (21 for VOC) | 255 | AGMM |
| `tel` | -1 | -1 | TreeEnergyLoss |

`tel` does not tell padding from unlabelled: reading it gives a validity mask that is true
everywhere.
"""

from dataclasses import dataclass

import numpy as np

from scribblegen.classes import IGNORE_INDEX


@dataclass(frozen=True)
class _Convention:
    unlabelled: int | None  # None: one past the last class
    padding: int | None  # None: no value of its own


CONVENTIONS = {
    "scribblegen": _Convention(IGNORE_INDEX, None),
    "rloss": _Convention(255, 254),
    "agmm": _Convention(None, 255),
    "tel": _Convention(-1, None),
}


def from_convention(
    label: np.ndarray, convention: str, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Reads a label of another convention.

    Args:
        label: (H, W) integers.
        convention: a key of `CONVENTIONS`.
        num_classes: K; class ids are 0..K-1.

    Returns:
        The label, (H, W) uint8 with `IGNORE_INDEX`, and its validity, (H, W) bool: false on
        padding, where the label is `IGNORE_INDEX` too.

    Raises:
        ValueError: for a value that is no class, not unlabelled and not padding.
    """
    unlabelled, padding = _values(convention, num_classes)
    values = np.asarray(label).astype(np.int64)
    is_class = (values >= 0) & (values < num_classes)
    is_padding = values == padding if padding is not None else np.zeros(values.shape, bool)
    stray = np.unique(values[~(is_class | is_padding | (values == unlabelled))])
    if stray.size:
        raise ValueError(
            f"`label` must hold 0..{num_classes - 1}, {unlabelled} (unlabelled)"
            + (f" or {padding} (padding)" if padding is not None else "")
            + f" in the {convention!r} convention. Got {stray.tolist()}."
        )
    return np.where(is_class, values, IGNORE_INDEX).astype(np.uint8), ~is_padding


def to_convention(
    label: np.ndarray, valid: np.ndarray, convention: str, num_classes: int
) -> np.ndarray:
    """Writes our label (H, W) uint8 and validity (H, W) bool in another convention, int16.

    Raises:
        ValueError: for a value that is neither a class nor `IGNORE_INDEX`.
    """
    from_convention(label, "scribblegen", num_classes)  # refuses values that would change meaning
    unlabelled, padding = _values(convention, num_classes)
    written = np.where(label == IGNORE_INDEX, unlabelled, label.astype(np.int16))
    return np.where(valid, written, unlabelled if padding is None else padding).astype(np.int16)


def _values(convention: str, num_classes: int) -> tuple[int, int | None]:
    if convention not in CONVENTIONS:
        raise ValueError(f"`convention` must be one of {list(CONVENTIONS)}. Got {convention!r}.")
    found = CONVENTIONS[convention]
    unlabelled = num_classes if found.unlabelled is None else found.unlabelled
    taken = {v for v in (unlabelled, found.padding) if v is not None}
    if unlabelled == found.padding or any(0 <= v < num_classes for v in taken):
        raise ValueError(
            f"`num_classes` must leave {sorted(taken)} free in the {convention!r} convention. "
            f"Got {num_classes}."
        )
    return unlabelled, found.padding
