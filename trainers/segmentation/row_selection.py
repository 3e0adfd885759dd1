"""Which rows take part: photographs kept apart, twins that are good enough."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from scribblegen.seeds import derive_seed
from scribblegen.trainers.segmentation.data import SegmentationRows
from scribblegen.trainers.segmentation.schemes import TwinSet


def split_off(
    rows: SegmentationRows, share: float, seed: int
) -> tuple[SegmentationRows, SegmentationRows]:
    """(training, selection): photographs by their ids; no twin of one that is kept apart is left.

    Args:
        rows: to split.
        share: of the photographs that are kept apart, at least one.
        seed: of the choice; of two ids the same one comes first however many others there are.

    Raises:
        ValueError: nothing would be left to train on.
    """
    ids = rows.tables[0]["source_id"]
    order = sorted(range(len(ids)), key=lambda i: derive_seed(seed, "selection", ids[i]))
    count = max(1, round(share * len(ids)))
    if count == len(ids):
        raise ValueError(
            f"`selection_share` {share} of {len(ids)} photographs leaves none to train on."
        )
    apart, kept = sorted(order[:count]), sorted(order[count:])
    twin_sets = tuple(
        replace(s, rows=tuple(tuple(row - count for row in s.rows[i]) for i in kept))
        for s in rows.twin_sets
    )
    real = rows.tables[0]
    training = replace(rows, tables=(real.select(kept), *rows.tables[1:]), twin_sets=twin_sets)
    selection = replace(
        rows, tables=(real.select(apart),), label_columns=rows.label_columns[:1], twin_sets=()
    )
    return training, selection


def recorded_scores(rows: SegmentationRows, name: str) -> dict[int, float]:
    """What `scores` says of every twin, by row.

    Raises:
        ValueError: a subset does not have it of every twin; the message names it.
    """
    found: dict[int, float] = {}
    first = rows.num_real
    for table, twin_set in zip(rows.tables[1:], rows.twin_sets, strict=True):
        scores = table["scores"] if "scores" in table.column_names else [{}] * len(table)
        values = [score.get(name) for score in scores]
        if None in values:
            raise ValueError(f"{twin_set.name} has no `{name}` in the `scores` of its twins.")
        found |= {first + number: value for number, value in enumerate(values)}
        first += len(table)
    return found


def near_twins(rows: SegmentationRows, max_distance: float) -> SegmentationRows:
    """Without twins farther from their photograph than that, as `scores` has it."""
    distances = recorded_scores(rows, "source_distance")
    return _with_twins(rows, lambda _, twins: [t for t in twins if distances[t] <= max_distance])


def agreed_twins(
    rows: SegmentationRows,
    measure: Callable[[Sequence[int]], np.ndarray],
    *,
    at_least: float | None = None,
    best: int | None = None,
) -> SegmentationRows:
    """Without twins whose scribble a segmentor does not find in their picture.

    Args:
        rows: to choose from.
        measure: agreement of rows, see `scribblegen.trainers.judge`.
        at_least: agreement of the twins that stay.
        best: at most so many twins of a photograph stay in each subset, those agreed with most.
    """

    def choose(_: TwinSet, twins: Sequence[int]) -> list[int]:
        agreements = dict(zip(twins, measure(twins), strict=True))
        kept = [t for t in twins if at_least is None or agreements[t] >= at_least]
        if best is not None:
            kept = sorted(sorted(kept, key=lambda t: -agreements[t])[:best])
        return kept

    return _with_twins(rows, choose)


def num_twins(rows: SegmentationRows) -> int:
    """Twins that may be drawn."""
    return sum(len(twins) for s in rows.twin_sets for twins in s.rows)


def _with_twins(
    rows: SegmentationRows, choose: Callable[[TwinSet, Sequence[int]], Sequence[int]]
) -> SegmentationRows:
    sets = tuple(
        replace(s, rows=tuple(tuple(choose(s, twins)) if twins else () for twins in s.rows))
        for s in rows.twin_sets
    )
    return replace(rows, twin_sets=sets)
