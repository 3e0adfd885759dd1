"""Which rows of a synthetic subset are twins of which photographs, and in which order sets come."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from datasets import Dataset

from scribblegen.trainers.segmentation.schemes import TwinSet

logger = logging.getLogger(__name__)

_ORDERING = "encode_ratio"  # of ScribbleGen: how far its twins are from their photographs


def order_of(rows: Dataset, position: int) -> float:
    """What orders a synthetic subset among others, from realistic to diverse.

    Args:
        rows: the rows of the subset; its `encode_ratio` orders it, where it has one.
        position: the place in which the subset is named, from 0; orders the others.
    """
    ratio = rows[_ORDERING][0] if _ORDERING in rows.column_names else None
    return float(position) if ratio is None else float(ratio)


def pair(
    twin_set: TwinSet,
    twin_ids: Sequence[str | None],
    source_ids: Sequence[str],
    *,
    first: int,
) -> TwinSet:
    """A set with its rows: twins by their photographs, or a pool where it has no photographs.

    A set of which some ids are those of photographs is a set of twins; what else it holds, such as
    twins of photographs that are not in this fraction, is left out, and said. A set of which no id
    is that of a photograph, such as one that was made from class names alone, is a pool: all of it
    may be drawn. That is said too, since ids that should match would show themselves so.

    Args:
        twin_set: the set without rows, its name and order.
        twin_ids: the `source_id` of each of its rows; None where a row has none.
        source_ids: the ids of the photographs, in their order; where there are none, all is a
            pool.
        first: number of the set's first row in the table of all rows.
    """
    places = {source_id: place for place, source_id in enumerate(source_ids)}
    rows: list[list[int]] = [[] for _ in source_ids]
    without: list[str | None] = []
    for number, twin_id in enumerate(twin_ids, first):
        place = None if twin_id is None else places.get(twin_id)
        if place is None:
            without.append(twin_id)
        else:
            rows[place].append(number)
    if not source_ids:
        return replace(twin_set, pool=tuple(range(first, first + len(twin_ids))))
    if len(without) == len(twin_ids):
        logger.info(
            "%s: none of its %d rows is of one of the %d photographs (the first is of %s): they "
            "are drawn as a pool",
            twin_set.name,
            len(twin_ids),
            len(places),
            twin_ids[0],
        )
        return replace(twin_set, pool=tuple(range(first, first + len(twin_ids))))
    if without:
        logger.warning(
            "%s: %d of its %d rows are left out, for they are of none of the %d photographs, such "
            "as %s",
            twin_set.name,
            len(without),
            len(twin_ids),
            len(places),
            without[0],
        )
    return replace(twin_set, rows=tuple(tuple(of_source) for of_source in rows))
