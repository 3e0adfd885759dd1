"""What the values of label files mean. Tools and code bases differ, and they fail silently.

| convention | class ids | unlabelled | who |
|---|---|---|---|
| `ids` | as they are | 255 | here; TreeEnergyLoss too, whose -1 is 255 in a file of 8 bits |
| `one_based` | the value less 1 | 0, 255 | ADE20K, Supervisely's machine masks, COCO-like lists |
| `binary` | 0 is 0; 1 and 255 are 1 | none | masks of a foreground: 0 and 255 |
| `colors` | the class of that colour | see `label_colours` | CVAT, CamVid, Supervisely's masks |
| `palette_colors` | the same, of the palette's colours | the same | palettes that were reordered |
| `rloss` | as they are | 255, and 254 of crop padding | RLoss |
| `agmm` | as they are | K (21 for VOC), and 255 of padding | AGMM |

Padding is nothing but pixels where nobody drew, so all of these become `IGNORE_INDEX`.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from scribblegen.classes import IGNORE_INDEX
from scribblegen.text_files import shown

IDS, ONE_BASED, BINARY = "ids", "one_based", "binary"
COLORS, PALETTE_COLORS = "colors", "palette_colors"
RLOSS, AGMM = "rloss", "agmm"
CONVENTIONS = (IDS, ONE_BASED, BINARY, COLORS, PALETTE_COLORS, RLOSS, AGMM)
BY_COLOUR = (COLORS, PALETTE_COLORS)


def value_table(convention: str, num_classes: int) -> np.ndarray:
    """What each value of a convention is here.

    Args:
        convention: one of `CONVENTIONS`. Of one of `BY_COLOUR` the values are class ids already.
        num_classes: K; class ids are 0..K-1.

    Returns:
        (256,) uint8, with `IGNORE_INDEX` where nobody drew. A value that the convention does not
        know is kept, so that it is refused later as outside the classes.

    Raises:
        ValueError: there is no such convention, or it is not one for so many classes.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"`convention` must be one of {CONVENTIONS}. Got {convention!r}.")
    table = np.arange(256, dtype=np.uint8)
    if convention == ONE_BASED:
        table[1:IGNORE_INDEX] -= 1
        table[0] = IGNORE_INDEX
    elif convention == BINARY:
        if num_classes != 2:
            raise ValueError(
                "`label_convention` binary needs two classes, the background first. "
                f"Got {num_classes}. Name them with `classes`, such as background,thing."
            )
        table[IGNORE_INDEX] = 1
    elif convention == RLOSS:
        table[254] = IGNORE_INDEX
    elif convention == AGMM:
        table[num_classes] = IGNORE_INDEX
    return table


def remapped(
    table: np.ndarray, label_map: Mapping[int, int], ignore_ids: Collection[int]
) -> np.ndarray:
    """A table of values after ids are renamed and ignored.

    Args:
        table: (256,) uint8, from `value_table`; left as it is.
        label_map: id in `table` -> class id, or `IGNORE_INDEX`. Others stay as they are.
        ignore_ids: ids in `table` that become `IGNORE_INDEX`.

    Returns:
        (256,) uint8.
    """
    ids = np.arange(256, dtype=np.uint8)
    for value, class_id in label_map.items():
        ids[value] = class_id
    ids[list(ignore_ids)] = IGNORE_INDEX
    return ids[table]


def parse_label_map(pairs: Sequence[str]) -> dict[int, int]:
    """Pairs such as `7:1`, several in a text too -> {7: 1}.

    Raises:
        ValueError: one is no pair of ids in 0..255, or an id is renamed twice.
    """
    label_map: dict[int, int] = {}
    for pair in " ".join(pairs).replace(",", " ").split():
        value, colon, class_id = pair.partition(":")
        if not (colon and _is_id(value) and _is_id(class_id)):
            raise ValueError(
                "`label_map` must hold pairs of an id in 0..255 and the class id that it becomes "
                f"(255: nobody drew), such as 7:1 8:1. Got {shown(pair)}."
            )
        if label_map.setdefault(int(value), int(class_id)) != int(class_id):
            raise ValueError(f"`label_map` must rename each id once. Got {value} twice.")
    return label_map


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) <= 3 and int(text) <= 255
