"""Which rows take part: photographs kept apart, synthetic images that are good enough."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scribblegen.parts import parse_part, places_in_part
from scribblegen.seeds import derive_seed
from scribblegen.trainers.segmentation.data import SegmentationRows


def split_off(
    rows: SegmentationRows, share: float, seed: int
) -> tuple[SegmentationRows, SegmentationRows]:
    """(training, selection): photographs by their ids; no twin of one that is kept apart is left.

    Images of no photograph all stay in the training. The selection is read for its labels alone.

    Args:
        rows: the rows to split.
        share: share of the photographs that is kept apart, at least one of them.
        seed: what the choice is drawn from; of two ids the same one comes first however many others
            there are.

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
        replace(
            s,
            rows=tuple(tuple(row - count for row in s.rows[i]) for i in kept) if s.rows else (),
            pool=tuple(row - count for row in s.pool),
        )
        for s in rows.twin_sets
    )
    real = rows.tables[0]
    training = replace(rows, tables=(real.select(kept), *rows.tables[1:]), twin_sets=twin_sets)
    selection = SegmentationRows(
        rows.classes,
        (real.select(apart),),
        rows.label_columns[:1],
        twin_sets=(),
        hidden=rows.hidden,
    )
    return training, selection


def recorded_scores(
    rows: SegmentationRows, name: str, *, only_twins: bool = False
) -> dict[int, float]:
    """What `scores` says of every synthetic image, by row.

    Args:
        rows: the rows to look up.
        name: which score.
        only_twins: pass over the images of no photograph.

    Raises:
        ValueError: a subset does not have it of every image; the message names it.
    """
    found: dict[int, float] = {}
    first = rows.num_real
    for table, twin_set in zip(rows.tables[1:], rows.twin_sets, strict=True):
        if twin_set.rows or not only_twins:
            scores = table["scores"] if "scores" in table.column_names else [{}] * len(table)
            values: list[Any] = [(score or {}).get(name) for score in scores]
            if None in values:
                raise ValueError(f"{twin_set.name} has no `{name}` in the `scores` of its rows.")
            found |= {first + number: value for number, value in enumerate(values)}
        first += len(table)
    return found


def near_twins(rows: SegmentationRows, max_distance: float) -> SegmentationRows:
    """Without twins farther from their photograph than that, as `scores` has it.

    Images of no photograph are not looked at.
    """
    distances = recorded_scores(rows, "source_distance", only_twins=True)

    def choose(twins: Sequence[int]) -> list[int]:
        return [twin for twin in twins if distances[twin] <= max_distance]

    return _with_twins(rows, choose, lambda pool: pool)


def agreed_twins(
    rows: SegmentationRows,
    measure: Callable[[Sequence[int]], np.ndarray],
    *,
    at_least: float | None = None,
    best: int | None = None,
) -> SegmentationRows:
    """Without synthetic images whose label a segmentor does not find in their picture.

    Args:
        rows: the rows to choose from.
        measure: gives the agreement of rows, see `scribblegen.trainers.judge`.
        at_least: lowest agreement of the images that stay.
        best: at most so many twins of a photograph stay in each subset, those agreed with most;
            of images of no photograph it leaves all.
    """

    def choose(asked: Sequence[int], best: int | None = best) -> list[int]:
        agreements = dict(zip(asked, measure(asked), strict=True))
        kept = [row for row in asked if at_least is None or agreements[row] >= at_least]
        if best is not None:
            kept = sorted(sorted(kept, key=lambda row: -agreements[row])[:best])
        return kept

    def choose_of_pool(pool: Sequence[int]) -> Sequence[int]:
        return pool if at_least is None else choose(pool, None)

    return _with_twins(rows, choose, choose_of_pool)


def rows_of_part(rows: SegmentationRows, held_out: str) -> list[int]:
    """The rows of one part of the synthetic images, chosen by their `source_id` alone: all twins of
    a photograph are of one part, whatever their subset.

    Args:
        rows: the rows to choose from.
        held_out: the part, such as 1/3.

    Raises:
        ValueError: there are fewer ids than parts, or a row without an id; the message names its
            subset.
    """
    ids: list[str] = []
    for table, twin_set in zip(rows.tables[1:], rows.twin_sets, strict=True):
        there = "source_id" in table.column_names
        found = list(table["source_id"]) if there else []
        if len(found) < len(table) or None in found:
            raise ValueError(
                f"`held_out` needs a `source_id` in every row of synthetic subset {twin_set.name}."
            )
        ids += found
    distinct = list(dict.fromkeys(ids))
    chosen = {distinct[place] for place in places_in_part(distinct, *parse_part(held_out))}
    return [row for row, source_id in enumerate(ids, rows.num_real) if source_id in chosen]


def without_synthetic(rows: SegmentationRows, left_out: Collection[int]) -> SegmentationRows:
    """Without some of the synthetic images, by row."""
    apart = set(left_out)

    def choose(asked: Sequence[int]) -> list[int]:
        return [row for row in asked if row not in apart]

    return _with_twins(rows, choose, choose)


def num_twins(rows: SegmentationRows) -> int:
    """Twins that may be drawn."""
    return sum(len(twins) for s in rows.twin_sets for twins in s.rows)


def num_unpaired(rows: SegmentationRows) -> int:
    """Images of no photograph that may be drawn."""
    return sum(len(s.pool) for s in rows.twin_sets)


def _with_twins(
    rows: SegmentationRows,
    choose: Callable[[Sequence[int]], Sequence[int]],
    choose_of_pool: Callable[[Sequence[int]], Sequence[int]],
) -> SegmentationRows:
    """Only what is chosen of the twins of each photograph, and of each pool."""
    sets = tuple(
        replace(
            s,
            rows=tuple(tuple(choose(twins)) if twins else () for twins in s.rows),
            pool=tuple(choose_of_pool(s.pool)) if s.pool else (),
        )
        for s in rows.twin_sets
    )
    return replace(rows, twin_sets=sets)
