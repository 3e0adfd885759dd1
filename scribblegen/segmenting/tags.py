"""Tags: the classes that the strokes of an image name."""

from collections.abc import Sequence

import numpy as np

from scribblegen.classes import IGNORE_INDEX, values_of

BACKGROUND = "background"  # what the class that is no tag is called where nobody says


def background_of(names: Sequence[str], given: str | None) -> int | None:
    """The id of the class that is no tag; None where every class is one.

    Args:
        names: the classes, in id order.
        given: its name, empty for none; None for the class named background, if there is one.

    Raises:
        ValueError: no class has this name, or no other class is left.
    """
    name = (BACKGROUND if BACKGROUND in names else "") if given is None else given
    if not name:
        return None
    if name not in names or len(names) < 2:
        raise ValueError(
            f"`background` must be one of several classes, {list(names)}, or empty for none. "
            f"Got {name!r}."
        )
    return list(names).index(name)


def tags_of(label: np.ndarray, num_classes: int, background: int | None) -> np.ndarray:
    """The classes that have a stroke: (H, W) uint8 -> (K or K - 1,) bool, without the background.

    An image whose strokes are all of the background has no tag; one without a stroke has none
    either, and says nothing.
    """
    held = np.zeros(num_classes, bool)
    held[[v for v in values_of(label) if v != IGNORE_INDEX]] = True
    return held if background is None else np.delete(held, background)
