"""The rows of one part of the work, collected while its records come in, in any order."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scribblegen.methods.base import Record, Subset
from scribblegen.records import Rejection
from scribblegen.runs.manifest import finish_unit
from scribblegen.runs.shards import write_shard
from scribblegen.runs.shares import Part, finish_part, part_file

_Pending = tuple[int, int, "Future[dict[str, Any] | str]"]  # position, order, the row


class PartWriter:
    """Collects the records of a unit, or of a part of it, and writes them.

    Rows are made in `executor` and ordered by position and order, whatever came first.

    Args:
        part: the unit, or the part of it.
        subsets: that have a file of its split.
        source_ids: the ids of the source's items, by position.
        executor: threads that make rows.
    """

    def __init__(
        self,
        part: Part,
        subsets: Sequence[Subset],
        source_ids: Sequence[str],
        executor: Executor,
    ) -> None:
        self.part, self.subsets = part, subsets
        self.rejections: list[Rejection] = []
        self.all_read = False
        self._source_ids, self._executor = source_ids, executor
        self._expected = 0  # records still to come
        self._pending: dict[str, list[_Pending]] = {subset.name: [] for subset in subsets}

    @property
    def is_complete(self) -> bool:
        """Whether every item is read and every record of it has come."""
        return self.all_read and self._expected == 0

    def missing(self) -> str:
        """What has not come, in words."""
        part = self.part
        return (
            f"{self._expected} records of sources {part.start} to {part.stop - 1} of split "
            f"{part.unit.split}"
        )

    def expect(self) -> None:
        """An item was read: its records will follow."""
        self._expected += sum(subset.records_per_item for subset in self.subsets)

    def reject(self, rejection: Rejection) -> None:
        """An item could not be read."""
        self.rejections.append(rejection)

    def add(self, record: Record) -> None:
        """Takes a record in.

        Raises:
            ValueError: it is of no subset that has this split, or its item gives no more.
        """
        if record.subset not in self._pending:
            raise ValueError(
                f"a record must be of one of the subsets {list(self._pending)} that have split "
                f"{self.part.unit.split}. Got one of {record.subset!r}."
            )
        if self._expected == 0:
            raise ValueError(
                f"an item must give a subset `records_per_item` records. Got one more of "
                f"{self._source_ids[record.place.position]!r} for {record.subset}."
            )
        row = self._executor.submit(record.row)
        self._pending[record.subset].append((record.place.position, record.order, row))
        self._expected -= 1

    def write(self, folder: Path) -> Mapping[str, int]:
        """Writes the file of every subset, then the line that says so. Returns their rows."""
        part, shards = self.part, {}
        for subset in self.subsets:
            rows = self._rows(subset.name)
            whole = folder / part.unit.shard(subset.name)
            path = whole if part.is_whole else part_file(folder, part, subset.name)
            shards[subset.name] = write_shard(path, rows, subset.features)
        if part.is_whole:
            finish_unit(folder, part.unit, shards, [asdict(r) for r in self.rejections])
        else:
            finish_part(folder, part, list(shards), self.rejections)
        return {name: shard.rows for name, shard in shards.items()}

    def _rows(self, subset: str) -> list[dict[str, Any]]:
        """The rows of a subset in their order; those that are none are listed as rejections."""
        rows = []
        for position, _, pending in sorted(self._pending.pop(subset), key=lambda p: p[:2]):
            row = pending.result()
            if isinstance(row, str):
                self.rejections.append(Rejection(self._source_ids[position], row, subset))
            else:
                rows.append(row)
        return rows
