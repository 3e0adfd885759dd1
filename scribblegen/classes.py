"""Label spaces: class names, colours, and the one convention for label values.

Inside scribblegen a label is a (H, W) uint8 array of class ids 0..K-1, and `IGNORE_INDEX` where
nobody drew. Other conventions are converted at the border (`label_conventions.py`).
"""

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from scribblegen.class_lists.listed import check_names
from scribblegen.class_lists.read import read_class_list
from scribblegen.text_files import shown

IGNORE_INDEX = 255
MAX_CLASSES = 254  # ids 0..253: 254 (padding elsewhere) and 255 never become classes

LABEL_SPACES = ("voc", "ade20k")
_BAND = 2**20  # pixels counted at a time


@dataclass(frozen=True)
class Classes:
    """Names and colours of the classes 0..K-1.

    Args:
        names: The K names, in the order of the ids.
        palette: The K colours (R, G, B), each 0..255. Defaults to the PASCAL VOC colour sequence.
        first_id: The number that the class list gives the class of id 0; label files are likely
            to count so too, and no more is made of it.
    """

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] = ()
    first_id: int = field(default=0, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_CLASSES:
            raise ValueError(
                f"`names` must hold 1 to {MAX_CLASSES} class names. Got {len(self.names)}."
            )
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ValueError(f"`names` must differ from each other. Got {repeated} more than once.")
        if not all(name.strip() for name in self.names):
            raise ValueError(f"`names` must not be empty. Got {list(self.names)}.")
        if not self.palette:
            object.__setattr__(self, "palette", voc_palette(len(self.names)))
        if len(self.palette) != len(self.names):
            raise ValueError(
                f"`palette` must hold one colour per class ({len(self.names)}). "
                f"Got {len(self.palette)}."
            )
        for colour in self.palette:
            if len(colour) != 3 or not all(c in range(256) for c in colour):
                raise ValueError(f"`palette` must hold (R, G, B) of 0..255. Got {colour}.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def id2label(self) -> dict[int, str]:
        return dict(enumerate(self.names))

    def colours(self) -> np.ndarray:
        """(256, 3) uint8: the colour of every label value; unlabelled and unused ids are white.

        White, because background is often black: the two must never look the same.
        """
        table = np.full((256, 3), 255, np.uint8)
        table[: len(self)] = np.array(self.palette, np.uint8)
        return table

    def stray_ids(self, label: np.ndarray) -> list[int]:
        """Values of `label` that are neither a class nor `IGNORE_INDEX`, sorted."""
        return [v for v in values_of(label) if v >= len(self) and v != IGNORE_INDEX]


def present_classes(label: np.ndarray) -> list[int]:
    """Class ids drawn in `label` (H, W) uint8, sorted, without `IGNORE_INDEX`."""
    return [v for v in values_of(label) if v != IGNORE_INDEX]


def values_of(label: np.ndarray) -> list[int]:
    """The values that `label` (H, W) uint8 holds, sorted; three times as fast as `np.unique`."""
    held = np.zeros(256, bool)
    held[label] = True
    return [int(v) for v in np.flatnonzero(held)]


def count_values(label: np.ndarray) -> np.ndarray:
    """How often each value is in `label` (H, W) uint8: (256,) int64; in bands, to save memory."""
    rows = max(1, _BAND // max(1, label.shape[1]))
    counts = np.zeros(256, np.int64)
    for top in range(0, len(label), rows):
        counts += np.bincount(label[top : top + rows].ravel(), minlength=256)
    return counts


def voc_palette(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """The PASCAL VOC colour sequence: bits of the id spread over R, G, B from the top."""

    def colour(index: int) -> tuple[int, int, int]:
        channels = [0, 0, 0]
        for shift in range(7, -1, -1):
            for channel in range(3):
                channels[channel] |= ((index >> channel) & 1) << shift
            index >>= 3
        return channels[0], channels[1], channels[2]

    return tuple(colour(i) for i in range(num_classes))


def load_classes(spec: str | Path) -> Classes:
    """Reads classes from a known label space (`voc`, `ade20k`), a file, or comma-separated names.

    A file is a class list as a tool writes it: `class_lists` tells which, and which ids and
    colours each of them has.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is no class list, with what was expected and what was found; or names
            are none.
    """
    text = str(spec)
    if text in LABEL_SPACES:
        listed = resources.files("scribblegen") / "label_spaces" / f"{text}.txt"
        # The masks of ADE20K count from 1: 0 is where nobody drew.
        first_id = int(text == "ade20k")
        return Classes(tuple(listed.read_text("utf-8").splitlines()), first_id=first_id)
    path = Path(text)
    if "," in text and not is_file(path):
        names = tuple(name.strip() for name in text.split(","))
        try:
            check_names(names)
            return Classes(names)
        except ValueError as error:
            raise ValueError(f"`classes` {shown(text)} is no list of names: {error}") from error
    if not is_file(path):
        raise FileNotFoundError(
            f"`classes` must be one of {', '.join(LABEL_SPACES)}, a file, or names separated by "
            f"commas. Got {shown(text)}, which is no file."
        )
    try:
        found = read_class_list(path)
    except ValueError as error:
        raise ValueError(f"`classes` file {path} is not a class list: {error}") from error
    return Classes(found.names, found.palette, found.first_id)


def is_folder(path: Path) -> bool:
    """Whether a folder has this name; a text too long for one is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether a file has this name; a text too long for one, such as a list of names, is none."""
    try:
        return path.is_file()
    except OSError:
        return False
