"""Reads a source's label files by their convention: the one place where values become class ids."""

import logging
from dataclasses import dataclass

import numpy as np

from scribblegen.builders.config import LabelFilesConfig
from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError
from scribblegen.label_colours import check_colours, hex_of, ids_of_colours
from scribblegen.label_pictures import label_colours, label_values, open_label
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS
from scribblegen.scribbles.label_conventions import (
    BY_COLOUR,
    IDS,
    PALETTE_COLORS,
    parse_label_map,
    remapped,
    value_table,
)

logger = logging.getLogger(__name__)
_MOST_SHOWN = 5
_AS_THEY_ARE = np.arange(256)


@dataclass(frozen=True, eq=False)
class LabelReader:
    """Label file -> class ids.

    Args:
        classes: of the source.
        convention: one of `label_conventions.CONVENTIONS`.
        table: (256,) uint8, the class id of each value, or of each colour's class.
        max_pixels: a larger label is refused.
    """

    classes: Classes
    convention: str
    table: np.ndarray
    max_pixels: int = LARGEST_MAX_PIXELS

    @classmethod
    def of(cls, config: LabelFilesConfig, classes: Classes) -> "LabelReader":
        """The reader that the options of a source describe.

        Raises:
            ValueError: the options do not fit the classes.
        """
        convention = config.label_convention or IDS
        if convention in BY_COLOUR:
            check_colours(classes)
            pairs = list(zip(classes.names, classes.palette, strict=True))
            told = ", ".join(f"{name} {hex_of(colour)}" for name, colour in pairs[:_MOST_SHOWN])
            more = ", ..." if len(pairs) > _MOST_SHOWN else ""
            logger.info("labels are read by their colours: %s%s", told, more)
        label_map = parse_label_map(config.label_map)
        strange = [i for i in label_map.values() if i >= len(classes) and i != IGNORE_INDEX]
        if strange:
            raise ValueError(
                f"`label_map` must lead to class ids, 0..{len(classes) - 1}, or to 255. "
                f"Got {strange[0]}."
            )
        table = value_table(convention, len(classes))
        table = remapped(table, label_map, config.ignore_ids)
        return cls(classes, convention, table, config.max_pixels)

    @classmethod
    def of_ids(cls, classes: Classes) -> "LabelReader":
        """The reader of labels as this project writes them."""
        return cls(classes, IDS, value_table(IDS, len(classes)))

    def read(self, file: bytes | None, photograph: bytes | None = None) -> np.ndarray | None:
        """The label in a file, (H, W) uint8 class ids; None where there is no file.

        Args:
            file: palette, grey or coloured, and lossless.
            photograph: the file that it lies over; a label that is turned must be turned as it is.

        Raises:
            BadImageError: the file is no label.
        """
        if file is None:
            return None
        label = open_label(file, photograph, max_pixels=self.max_pixels)
        if self.convention not in BY_COLOUR:
            return self._ids(label_values(label))
        if self.convention == PALETTE_COLORS and label.picture.mode not in ("P", "PA"):
            raise BadImageError(f"label has no palette (mode {label.picture.mode})")
        return self._ids(ids_of_colours(label_colours(label), self.classes))

    def _ids(self, values: np.ndarray) -> np.ndarray:
        return values if np.array_equal(self.table, _AS_THEY_ARE) else self.table[values]
