"""A look at some labels before any work: do their values mean what they are taken for?

A mask of 0 and 255 read as class ids loses its foreground without a word, and one that counts from
1 moves every class. No guess is made: what speaks for another convention is refused, with the
options to choose from, until `label_convention` is given. A single bad label is no matter of
convention; it is rejected when it is read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from scribblegen.builders.label_circumstances import CIRCUMSTANCES, Sampled, look_at
from scribblegen.builders.label_reader import LabelReader
from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError
from scribblegen.scribbles.label_conventions import IDS

SAMPLED = 32  # labels of each kind that are looked at


class LabelledSource(Protocol):
    """A source whose labels are files of others."""

    classes: Classes
    reader: LabelReader
    source_ids: tuple[str, ...]

    def label_files(self, index: int) -> Mapping[str, bytes]:
        """The label files that are used of one position, by kind: `scribble`, `mask`,
        `pseudo label`.

        Raises:
            BadImageError, FileNotFoundError: one cannot be read.
        """


def check_labels(
    source: LabelledSource, convention: str | None, option: str = "label_convention"
) -> None:
    """Refuses labels that are not what they are taken for.

    Args:
        source: opened.
        convention: what its user says of them; where that is `ids`, it is believed.
        option: by which it is said.

    Raises:
        ValueError: the message says what was found, and the options to choose from.
    """
    if convention == IDS:
        return
    files = _sampled_files(source)
    if convention is not None:
        for kind, of_kind in files.items():
            _check_readable(source.reader, of_kind, kind, convention, option)
        return
    table = source.reader.table
    all_looks = {kind: look_at(of_kind, source.classes) for kind, of_kind in files.items()}
    values = {value for looks in all_looks.values() for look in looks for value in look.values}
    marks_unlabelled = IGNORE_INDEX in {int(table[value]) for value in values}
    for kind, looks in all_looks.items():
        sampled = Sampled(kind, looks, source.classes, table, marks_unlabelled)
        for circumstance in CIRCUMSTANCES if looks else ():
            found = circumstance(sampled)
            if found:
                raise ValueError(
                    f"`{option}` must be given: {found}. (Looked at: {len(looks)} {kind}s.)"
                )


def _sampled_files(source: LabelledSource) -> dict[str, list[bytes]]:
    """Kind -> label files, spread evenly over the source."""
    found: dict[str, list[bytes]] = {}
    last = len(source.source_ids) - 1
    for index in sorted({round(place) for place in np.linspace(0, last, SAMPLED)}):
        try:
            files = source.label_files(index)
        except (BadImageError, FileNotFoundError):
            continue
        for kind, file in files.items():
            found.setdefault(kind, []).append(file)
    return found


def _check_readable(
    reader: LabelReader, files: Sequence[bytes], kind: str, convention: str, option: str
) -> None:
    """Refuses a convention by which not one label can be read."""
    reasons = Counter(_reason(reader, file) for file in files)
    if None not in reasons and reasons:
        raise ValueError(
            f"`{option}` must be one by which labels can be read. Got {convention}, and "
            f"none of {len(files)} {kind}s that were looked at can: {reasons.most_common(1)[0][0]}"
        )


def _reason(reader: LabelReader, file: bytes) -> str | None:
    try:
        label = reader.read(file)
    except BadImageError as error:
        return str(error)
    assert label is not None
    stray = reader.classes.stray_ids(label)
    return f"label holds {stray}, outside the {len(reader.classes)} classes" if stray else None
