"""A scribble as the ControlNet sees it, and the condition that stands for "no scribble"."""

from collections.abc import Sequence

import numpy as np

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import resize_label

CONDITIONING_ENCODINGS = ("one_hot", "rgb_palette")
NULL_CONDITIONS = ("text", "hint", "both")
_BAND = 2**24  # pixels of a scribble that are counted at a time


def fit_scribble(scribble: np.ndarray, height: int, width: int) -> np.ndarray:
    """A scribble at the network's size; thin strokes stay whole.

    Where it shrinks, a pixel takes the class that most drawn pixels of its area have (the lowest
    id among equals) and stays unlabelled where nobody drew. The nearest pixel alone would turn
    strokes into dots, or lose them. Where it grows, the nearest pixel.

    Args:
        scribble: (H, W) uint8 class ids and `IGNORE_INDEX`.

    Returns:
        (height, width) uint8; no value appears that was not there.
    """
    rows, columns = scribble.shape
    if (height, width) == (rows, columns):
        return scribble
    tall = resize_label(scribble, max(rows, height), max(columns, width))
    if tall.shape == (height, width):
        return tall
    top = np.arange(height) * tall.shape[0] // height
    left = np.arange(width) * tall.shape[1] // width
    fitted = np.full((height, width), IGNORE_INDEX, np.uint8)
    step = max(1, _BAND * height // tall.size)
    for first in range(0, height, step):
        rows_of = top[first : first + step]
        end = top[first + step] if first + step < height else len(tall)
        band, fitted_band = tall[rows_of[0] : end], fitted[first : first + step]
        most = np.zeros(fitted_band.shape, np.int64)
        for label in np.unique(band[band != IGNORE_INDEX]):
            drawn = (band == label).astype(np.int64)
            count = np.add.reduceat(drawn, rows_of - rows_of[0], axis=0)
            count = np.add.reduceat(count, left, axis=1)
            fitted_band[count > most] = label
            most = np.maximum(most, count)
    return fitted


def num_conditioning_channels(classes: Classes, conditioning_encoding: str) -> int:
    """Channels of `conditioning_image`: K + 1 (the last one: unlabelled) or 3."""
    _check_encoding(conditioning_encoding, classes)
    return 3 if conditioning_encoding == "rgb_palette" else len(classes) + 1


def conditioning_image(
    scribble: np.ndarray, classes: Classes, conditioning_encoding: str = "one_hot"
) -> np.ndarray:
    """Turns a scribble into the ControlNet's input.

    Args:
        scribble: (H, W) uint8 class ids and `IGNORE_INDEX`, already at the network's size.
        classes: K classes.
        conditioning_encoding: `one_hot`, K + 1 planes that sum to one, the last for unlabelled
            pixels; or `rgb_palette`, the class colours with unlabelled white (the reference's).

    Returns:
        (C, H, W) float32 in [0, 1].
    """
    _check_encoding(conditioning_encoding, classes)
    if conditioning_encoding == "rgb_palette":
        colours = classes.colours().astype(np.float32) / 255
        return np.ascontiguousarray(colours[scribble].transpose(2, 0, 1))
    plane = np.where(scribble < len(classes), scribble, len(classes))
    return (np.arange(len(classes) + 1)[:, None, None] == plane).astype(np.float32)


def null_conditioning_image(
    channels: int, height: int, width: int, values: Sequence[float] | None = None
) -> np.ndarray:
    """(C, H, W) float32 for no scribble at all: one value for each channel, zeros where None.

    No scribble encodes to zeros; in `rgb_palette`, none that leaves a pixel unlabelled: a black
    class drawn everywhere would.
    """
    column = np.zeros(channels) if values is None else np.asarray(values)
    return np.broadcast_to(column[:, None, None], (channels, height, width)).astype(np.float32)


def drops(null_condition: str | None) -> tuple[bool, bool]:
    """Whether the unconditional branch drops the (conditioning, text); neither where None."""
    if null_condition is None:
        return False, False
    if null_condition not in NULL_CONDITIONS:
        raise ValueError(
            f"`null_condition` must be one of {NULL_CONDITIONS}. Got {null_condition!r}."
        )
    return null_condition in ("hint", "both"), null_condition in ("text", "both")


def _check_encoding(conditioning_encoding: str, classes: Classes) -> None:
    if conditioning_encoding not in CONDITIONING_ENCODINGS:
        raise ValueError(
            f"`conditioning_encoding` must be one of {CONDITIONING_ENCODINGS}. "
            f"Got {conditioning_encoding!r}."
        )
    colours = [tuple(colour) for colour in classes.palette] + [(255, 255, 255)]
    if conditioning_encoding == "rgb_palette" and len(set(colours)) < len(colours):
        raise ValueError(
            "`conditioning_encoding` must be one_hot for these `classes`: rgb_palette needs "
            "colours that differ from each other and from white, which stands for unlabelled."
        )
