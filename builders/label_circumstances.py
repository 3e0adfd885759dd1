"""What labels hold, and which circumstances speak against reading them as class ids.

Each circumstance says what was found and the options to choose from, as the rest of a sentence
that begins "`label_convention` must be given"; or None where labels are not of that kind.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scribblegen.classes import IGNORE_INDEX, Classes, count_values
from scribblegen.images import BadImageError
from scribblegen.label_colours import UNLABELLED, Colour, colour_ids, hex_of, ids_of_colours
from scribblegen.label_pictures import label_colours, label_values, open_label, used_palette
from scribblegen.scribbles.label_conventions import (
    AGMM,
    BINARY,
    COLORS,
    IDS,
    ONE_BASED,
    PALETTE_COLORS,
)
from scribblegen.text_files import shown

logger = logging.getLogger(__name__)

_MOST_SHOWN = 8


@dataclass(frozen=True)
class Look:
    """What one label file holds.

    Args:
        values: of a grey or palette picture, sorted; empty for a coloured one.
        most: the value of the most pixels.
        palette: the colours of its values, where it has a palette.
        coloured: whether it is a coloured picture.
        unread: why its colours are not those of the classes, where it is coloured.
    """

    values: tuple[int, ...]
    most: int = IGNORE_INDEX
    palette: Mapping[int, Colour] | None = None
    coloured: bool = False
    unread: str | None = None


@dataclass(frozen=True, eq=False)
class Sampled:
    """The labels of one kind that were looked at, and how they are to be read.

    Args:
        kind: `scribble`, `mask` or `pseudo label`.
        looks: one or more.
        classes: of the source.
        table: (256,) uint8, the class id of each value.
        marks_unlabelled: whether a label of this or the other kind says where nobody drew.
    """

    kind: str
    looks: Sequence[Look]
    classes: Classes
    table: np.ndarray
    marks_unlabelled: bool

    @property
    def held(self) -> set[int]:
        """The values of all."""
        return {value for look in self.looks for value in look.values}


def look_at(files: Sequence[bytes], classes: Classes) -> list[Look]:
    """What label files hold; those that are no label at all are left out."""
    return [look for file in files if (look := _look(file, classes)) is not None]


def _look(file: bytes, classes: Classes) -> Look | None:
    """None for a file that is no label at all."""
    try:
        label = open_label(file)
    except BadImageError:
        return None
    try:
        values = label_values(label)
    except BadImageError:
        try:
            ids_of_colours(label_colours(label), classes)
        except BadImageError as error:
            return Look((), coloured=True, unread=str(error))
        return Look((), coloured=True)
    counts = count_values(values)
    held = tuple(int(value) for value in np.flatnonzero(counts))
    return Look(held, int(counts.argmax()), used_palette(label))


def _coloured(sampled: Sampled) -> str | None:
    coloured = [look for look in sampled.looks if look.coloured]
    if 2 * len(coloured) <= len(sampled.looks):
        return None
    unread = [look.unread for look in coloured if look.unread]
    if len(unread) < len(coloured):
        return f"{sampled.kind}s are coloured pictures. {COLORS}: the colour of a class says it"
    classes = sampled.classes
    return (
        f"{sampled.kind}s are coloured pictures, but not in the colours of `classes`: {unread[0]}; "
        f"{classes.names[0]} is {hex_of(classes.palette[0])}. {COLORS}, and a class list with the "
        "colours of these labels (`color` in classes.json, or CVAT's labelmap.txt)"
    )


def _reordered(sampled: Sampled) -> str | None:
    """Palettes that differ from file to file, or have the colours of the classes elsewhere."""
    colours: dict[int, Colour] = {}
    ids = colour_ids(sampled.classes)
    moved: tuple[int, Colour] | None = None
    for look in sampled.looks:
        used = {v: c for v, c in (look.palette or {}).items() if v != IGNORE_INDEX}
        if len(set(used.values())) < len(used):
            continue  # colours that say nothing
        for value, colour in used.items():
            if colours.setdefault(value, colour) != colour:
                return (
                    f"the palettes of {sampled.kind}s differ: value {value} is {hex_of(colour)} in "
                    f"one and {hex_of(colours[value])} in another. {PALETTE_COLORS}: the colours "
                    f"are those of `classes`, and say the class; {IDS}: the values say it"
                )
            if ids.get(colour, value) != value:
                moved = moved or (value, colour)
    if moved is None or not all(c in ids or c in UNLABELLED for c in colours.values()):
        return None
    value, colour = moved
    return (
        f"the palettes of {sampled.kind}s have the colours of `classes`, but not at their ids: "
        f"value {value} is {hex_of(colour)}, the colour of {sampled.classes.names[ids[colour]]} "
        f"(id {ids[colour]}). {PALETTE_COLORS}: the colours say the class; {IDS}: the values say it"
    )


def _foreground(sampled: Sampled) -> str | None:
    if sampled.held != {0, IGNORE_INDEX} or sampled.table[0] == IGNORE_INDEX:
        return None
    names = sampled.classes.names
    second = (
        f"255 is {names[1]}"
        if len(names) == 2
        else (
            "255 is the second of two classes, which `classes` must name, such as background,thing"
        )
    )
    return (
        f"{sampled.kind}s hold nothing but 0 and 255. {BINARY}: {second}; {IDS}: 255 is where "
        f"nobody drew, and nothing but {names[0]} is drawn"
    )


def _counting_from_one(sampled: Sampled) -> str | None:
    names, number = sampled.classes.names, len(sampled.classes)
    one_based = f"{ONE_BASED}: 0 is where nobody drew, and 1 is {names[0]}"
    if sampled.classes.first_id == 1:
        return (
            f"`classes` counts from 1, as the masks of those who write such lists do. {one_based}; "
            f"{IDS}: 0 is {names[0]}"
        )
    held = {int(sampled.table[value]) for value in sampled.held}
    if sampled.marks_unlabelled or not {0, number} <= held or max(held) > number:
        return None
    holding = [look for look in sampled.looks if number in sampled.table[list(look.values)]]
    if len(holding) == 1 and len(sampled.looks) > 1:
        logger.warning(
            "one of %d %ss that were looked at holds %d, which is no class, and will be left out. "
            "Should all count from 1, give `label_convention` %s",
            len(sampled.looks),
            sampled.kind,
            number,
            one_based,
        )
        return None
    if any(look.most == number for look in holding):
        other = f"{AGMM}: {number} is where nobody drew"
    else:
        other = f"{IDS}, and one more name in `classes`: {number} is a class"
    return f"{sampled.kind}s hold 0 to {number}, for {number} classes. {one_based}; {other}"


def _filled(sampled: Sampled) -> str | None:
    """Scribbles that leave nothing out: most likely 0 is where nobody drew."""
    held = {int(sampled.table[value]) for value in sampled.held}
    if sampled.kind != "scribble" or IGNORE_INDEX in held:
        return None
    if not all(look.most == 0 for look in sampled.looks):
        return None
    return (
        f"scribbles label every pixel, most of them {sampled.classes.names[0]} (0). Leave it out "
        f"and give `ignore_ids` 0: there nobody drew; {IDS}: these are whole masks"
    )


def _strange(sampled: Sampled) -> str | None:
    """Every label holds an id that no option explains; there are none for pseudo labels."""
    if sampled.kind == "pseudo label":
        return None
    number = len(sampled.classes)
    known = {*range(number), IGNORE_INDEX}
    strange = [{v for v in look.values if sampled.table[v] not in known} for look in sampled.looks]
    if not all(strange):
        return None
    values = sorted(set().union(*strange))
    more = " and more" if len(values) > _MOST_SHOWN else ""
    return (
        f"every {sampled.kind} holds ids that are none of the {number} classes, such as "
        f"{shown(values[:_MOST_SHOWN])}{more}. Name them in `classes`, rename them with "
        "`label_map`, leave them unlabelled with `ignore_ids`, or give the convention that has "
        f"them. {IDS}: these labels are left out"
    )


CIRCUMSTANCES: tuple[Callable[[Sampled], str | None], ...] = (
    _coloured,
    _reordered,
    _foreground,
    _counting_from_one,
    _filled,
    _strange,
)
