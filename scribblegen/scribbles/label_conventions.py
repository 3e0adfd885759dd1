"""Label values of other code bases -> ours. They differ, and they fail silently.

| convention | unlabelled | crop padding | who |
|---|---|---|---|
| `ids` | 255 | none | here; TreeEnergyLoss too, whose -1 is 255 in a file of 8 bits |
| `rloss` | 255 | 254 | RLoss |
| `agmm` | K (21 for VOC) | 255 | AGMM |

Padding is nothing but pixels where nobody drew, so both become `IGNORE_INDEX`.
"""

import numpy as np

from scribblegen.classes import IGNORE_INDEX

IDS = "ids"
CONVENTIONS = (IDS, "rloss", "agmm")


def from_convention(label: np.ndarray, convention: str, num_classes: int) -> np.ndarray:
    """Reads a label of another convention.

    Args:
        label: (H, W) uint8; left as it is.
        convention: one of `CONVENTIONS`.
        num_classes: K; class ids are 0..K-1.

    Returns:
        (H, W) uint8 with `IGNORE_INDEX` where nobody drew. A value that the convention does not
        know is kept, so that it is refused later as outside the classes.

    Raises:
        ValueError: there is no such convention.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"`convention` must be one of {CONVENTIONS}. Got {convention!r}.")
    if convention == IDS:
        return label
    unlabelled = 254 if convention == "rloss" else num_classes
    return np.where(label == unlabelled, np.uint8(IGNORE_INDEX), label)
