"""Who makes what: the work of a run, shared out evenly among processes.

Whole units go to one process each. What does not divide, the last few units, is cut into parts of
equally many items, whose rows wait on disk until the unit is whole:

    run/parts/train-00003-of-00008/000000024-000000030/<subset>.parquet     their rows
    run/parts/train-00003-of-00008/000000024-000000030.json                 the part is done

How work was shared changes no byte of the result: joined, parts are the unit's files as if one
process had made them.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Features

from scribblegen.parquet_files import reading_shard
from scribblegen.records import Rejection
from scribblegen.runs.atomic_files import write_atomically
from scribblegen.runs.manifest import finish_unit
from scribblegen.runs.shards import Unit, write_shard
from scribblegen.text_files import read_json

PARTS_FOLDER = "run/parts"


@dataclass(frozen=True)
class Part:
    """Items `start` to `stop - 1` of a unit; all of them, or some."""

    unit: Unit
    start: int
    stop: int

    @classmethod
    def whole(cls, unit: Unit) -> "Part":
        return cls(unit, unit.start, unit.stop)

    @property
    def is_whole(self) -> bool:
        return (self.start, self.stop) == (self.unit.start, self.unit.stop)


def share_out(
    units: Sequence[Unit], finished: Sequence[Part], num_processes: int, *, costly: Collection[str]
) -> list[list[Part]]:
    """What every process makes, in order.

    Args:
        units: not yet done.
        finished: parts of them that are made already.
        num_processes: that share the rest.
        costly: splits whose items the method makes something of; those of others cost next to
            nothing.

    Returns:
        one list for each process. The numbers of costly items differ by less than two.
    """
    shares: list[list[Part]] = [[] for _ in range(num_processes)]
    begun = {part.unit for part in finished}
    cheap = [unit for unit in units if unit.split not in costly]
    dear = [unit for unit in units if unit.split in costly]
    fresh = [unit for unit in dear if unit not in begun]
    largest = max((unit.stop - unit.start for unit in fresh), default=0)
    full = [unit for unit in fresh if unit.stop - unit.start == largest]
    full = full[: len(full) // num_processes * num_processes]
    for number, unit in enumerate([*full, *cheap]):
        shares[number % num_processes].append(Part.whole(unit))
    rest = set(dear).difference(full)
    gaps = [gap for unit in dear if unit in rest for gap in _gaps(unit, finished)]
    for number, part in _cut_evenly(gaps, num_processes):
        shares[number].append(part)
    return shares


def part_file(folder: Path, part: Part, subset: str) -> Path:
    """Where the rows of a part wait."""
    return _folder(folder, part) / f"{subset}.parquet"


def finish_part(
    folder: Path, part: Part, subsets: Sequence[str], rejections: Sequence[Rejection]
) -> None:
    """Says that the files of a part are all in place."""
    record = {"subsets": list(subsets), "rejections": [asdict(r) for r in rejections]}
    line = json.dumps(record, ensure_ascii=False).encode()
    write_atomically(_line(folder, part), line)


def finished_parts(folder: Path, units: Sequence[Unit]) -> list[Part]:
    """The parts of `units` that are made already, in order."""
    found = []
    for unit in units:
        for line in (folder / PARTS_FOLDER / unit.name).glob("*.json"):
            start, stop = map(int, line.stem.split("-"))
            found.append(Part(unit, start, stop))
    return sorted(found, key=lambda part: (part.unit.name, part.start))


def join_parts(folder: Path, unit: Unit, features: Mapping[str, Features]) -> None:
    """Writes the files of a unit from its parts, and its manifest line.

    Args:
        folder: the folder of the run.
        unit: whose parts are all there.
        features: the features of every subset.
    """
    parts = finished_parts(folder, [unit])
    fix = f"Delete {folder / PARTS_FOLDER} and run the same command again."
    records = [read_json(_line(folder, part), fix) for part in parts]
    shards = {}
    for subset in records[0]["subsets"]:
        rows = []
        for part in parts:
            path = part_file(folder, part, subset)
            with reading_shard(path, fix):
                rows += pq.read_table(path).to_pylist()
        shards[subset] = write_shard(folder / unit.shard(subset), rows, features[subset])
    # As one process lists them: items that could not be read, then records, by subset.
    order = {None: 0, **{subset: i for i, subset in enumerate(shards)}}
    rejections = [rejection for record in records for rejection in record["rejections"]]
    rejections.sort(key=lambda rejection: order[rejection["subset"]])
    finish_unit(folder, unit, shards, rejections)


def remove_parts(folder: Path) -> None:
    """Removes what joined units leave behind."""
    shutil.rmtree(folder / PARTS_FOLDER, ignore_errors=True)


def _folder(folder: Path, part: Part) -> Path:
    return folder / PARTS_FOLDER / part.unit.name / f"{part.start:09d}-{part.stop:09d}"


def _line(folder: Path, part: Part) -> Path:
    return _folder(folder, part).with_suffix(".json")


def _gaps(unit: Unit, finished: Iterable[Part]) -> list[Part]:
    """What is left of a unit."""
    left, start = [], unit.start
    made = (part for part in finished if part.unit == unit)
    for part in sorted(made, key=lambda part: part.start):
        if part.start > start:
            left.append(Part(unit, start, part.start))
        start = max(start, part.stop)
    if start < unit.stop:
        left.append(Part(unit, start, unit.stop))
    return left


def _cut_evenly(gaps: Sequence[Part], count: int) -> Iterable[tuple[int, Part]]:
    """Cuts a row of parts into `count` runs of equally many items, to one."""
    total = sum(gap.stop - gap.start for gap in gaps)
    passed = 0
    for gap in gaps:
        start = gap.start
        while start < gap.stop:
            number = next(i for i in range(count) if passed < total * (i + 1) // count)
            stop = min(gap.stop, start + total * (number + 1) // count - passed)
            yield number, Part(gap.unit, start, stop)
            passed += stop - start
            start = stop
