"""Every row of a training, looked at before any work: sizes, class ids, which classes there are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scribblegen.classes import IGNORE_INDEX, values_of
from scribblegen.images import BadImageError, picture_size
from scribblegen.picture_cells import cell_file
from scribblegen.segmenting.tags import BACKGROUND
from scribblegen.trainers.segmentation.data import SegmentationRows
from scribblegen.trainers.segmentation.maps import LABEL, DerivedMap, LabelMap

_MOST_TWINS = 2000  # of a synthetic subset; each has the size and the label of a photograph
_MOST_SHOWN = 10


@dataclass(frozen=True, eq=False)
class RowsChecked:
    """What was found in rows none of which has a fault.

    Args:
        rows: how many were looked at.
        drawn: (N, K) bool, of which classes the label of each photograph has a pixel.
        held: (K,) bool, of which classes any map of class ids of any row has one.
        synthetic: (K,) int64, in how many of the synthetic images that were looked at the label has
            a pixel of each class.
    """

    rows: int
    drawn: np.ndarray
    held: np.ndarray
    synthetic: np.ndarray

    def images_of(self, names: Sequence[str]) -> dict[str, int]:
        """In how many photographs each class is labelled, by name; without any, in how many of the
        synthetic images that were looked at."""
        counts = self.drawn.sum(axis=0) if len(self.drawn) else self.synthetic
        return dict(zip(names, counts.tolist(), strict=True))


def check_rows(rows: SegmentationRows, where: str) -> RowsChecked:
    """Looks at every photograph and at up to 2,000 images of each synthetic subset.

    Of an image the header alone is read; maps are decoded.

    Args:
        rows: what is to be trained or measured on.
        where: what the rows are of, for errors: an option and its value.

    Raises:
        ValueError: a map is of another size than its image or holds ids that are no class, or a
            picture cannot be read; the message counts such rows and lists the first of them.
    """
    faults: list[str] = []
    drawn = np.zeros((rows.num_real, len(rows.classes)), bool)
    held = np.zeros(len(rows.classes), bool)
    synthetic = np.zeros(len(rows.classes), np.int64)
    looked_at = _looked_at(rows)
    for row in looked_at:
        try:
            found = _ids(rows, row)
        except ValueError as error:
            faults.append(str(error).rstrip("."))
            continue
        if row < rows.num_real:
            drawn[row, found[LABEL]] = True
        else:
            synthetic[found[LABEL]] += 1
        for ids in found.values():
            held[ids] = True
    if faults:
        more = f"; and {len(faults) - _MOST_SHOWN} more" if len(faults) > _MOST_SHOWN else ""
        raise ValueError(
            f"{where} must hold maps of the sizes of their images, and of class ids. Of "
            f"{len(looked_at)} rows that were looked at {len(faults)} cannot be used: "
            f"{'; '.join(faults[:_MOST_SHOWN])}{more}. Write the subset again without them."
        )
    return RowsChecked(len(looked_at), drawn, held, synthetic)


def coverage(checked: RowsChecked, names: Sequence[str], where: str) -> list[str]:
    """What a segmentor cannot learn from these rows, as sentences.

    Args:
        checked: the rows that it is trained on.
        names: the classes, in id order.
        where: what the rows are of, for errors.

    Raises:
        ValueError: they hold one class alone, or none: there is nothing to tell apart.
    """
    there = [name for name, is_held in zip(names, checked.held, strict=True) if is_held]
    if len(there) < min(2, len(names)):
        raise ValueError(
            f"{where} must hold pixels of two classes or more. Its {checked.rows} rows hold "
            f"{f'{there[0]} alone' if there else 'none'}, of {len(names)} classes: there is "
            "nothing to tell apart. Draw strokes of other classes too."
        )
    remarks = []
    if never := [name for name in names if name not in there and name != BACKGROUND]:
        remarks.append(f"no row holds a pixel of {', '.join(never)}: not learned")
    if BACKGROUND in names and BACKGROUND not in there:
        remarks.append(
            f"none of {checked.rows} rows holds a stroke of {BACKGROUND}: every pixel will be "
            "given to another class; draw some, or train on pseudo labels"
        )
    if empty := int((~checked.drawn.any(axis=1)).sum()):
        remarks.append(f"{empty} of {len(checked.drawn)} photographs have no labelled pixel")
    return remarks


def _looked_at(rows: SegmentationRows) -> list[int]:
    """All photographs, and of each synthetic subset evenly spaced rows of those that are drawn."""
    chosen = list(range(rows.num_real))
    for twin_set in rows.twin_sets:
        synthetic = twin_set.all_rows
        chosen += synthetic[:: -(-len(synthetic) // _MOST_TWINS) or 1]
    return chosen


def _ids(rows: SegmentationRows, row: int) -> dict[str, list[int]]:
    """The class ids in every map of a row.

    Raises:
        ValueError: the row has a fault, see `SegmentationRows.read`.
    """
    try:
        maps = dict(_maps(rows, row))
    except BadImageError:
        maps = {}
    if not maps or any(rows.classes.stray_ids(ids) for ids in maps.values()):
        # The whole row says what is wrong; or that a header misled, of an image that is turned.
        read = rows.read(row)
        maps = {name: read[name] for name, k in rows.maps.items() if isinstance(k, LabelMap)}
    unsaid = {IGNORE_INDEX, *rows.hidden_of(row)}
    return {name: [v for v in values_of(ids) if v not in unsaid] for name, ids in maps.items()}


def _maps(rows: SegmentationRows, row: int) -> Iterator[tuple[str, np.ndarray]]:
    """The maps of class ids; raises `BadImageError` where a map is not as large as the image."""
    record, label_column = rows.record(row)
    width, height = picture_size(_file(record["image"]))
    for name, kind in rows.maps.items():
        if isinstance(kind, DerivedMap):
            continue
        values = kind.decode(_file(record[label_column if name == LABEL else name]))
        if values.shape != (height, width):
            raise BadImageError("another size")
        if isinstance(kind, LabelMap):
            yield name, values


def _file(cell: Mapping[str, Any] | None) -> bytes:
    file = cell_file(cell)
    if file is None:
        raise BadImageError("empty")
    return file
