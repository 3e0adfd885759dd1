"""The connected parts of a mask, as instances: what stands for objects where nobody found boxes."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from torch import Tensor

from scribblegen.segmenting.instances import Instance


def parts_as_instances(
    mask: np.ndarray, values: Sequence[int], names: Sequence[str], maps: Tensor, *, min_share: float
) -> list[Instance]:
    """Each connected part of a word is one instance; objects that touch are one.

    Args:
        mask: (H, W) uint8.
        values: of the W words in it.
        names: of the words.
        maps: (W, H, W') float in [0, 1]; the score of a part is the mean of its word's map in it.
        min_share: of the image; smaller parts are in the mask alone.

    Returns:
        From the largest part of each word to its smallest, word by word.
    """
    found = []
    for value, name, map_ in zip(values, names, maps.numpy(), strict=True):
        numbered, count = ndimage.label(mask == value)
        sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
        boxes = ndimage.find_objects(numbered)
        for number in np.argsort(-sizes, kind="stable"):
            if sizes[number] < min_share * mask.size:
                break
            part = numbered == number + 1
            rows, columns = boxes[number]
            box = (columns.start, rows.start, columns.stop, rows.stop)
            left, top, right, bottom = map(float, box)
            score = float(map_[part].mean())
            found.append(Instance(value, (left, top, right, bottom), score, name, part))
    return found
