"""Parts of a unit on disk, where several processes make one unit.

    run/parts/train-00003-of-00008/000000024-000000030/<subset>.parquet     their rows
    run/parts/train-00003-of-00008/000000024-000000030.json                 the part is done

Joined they are the unit's files, byte for byte as if one process had made them.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq

from scribblegen.classes import Classes
from scribblegen.records import REAL, Rejection, subset_features
from scribblegen.runs.atomic_files import write_atomically
from scribblegen.runs.shards import Unit, finish_unit, write_shard
from scribblegen.runs.shares import Part

PARTS_FOLDER = "run/parts"


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


def join_parts(folder: Path, unit: Unit, classes: Classes) -> int:
    """Writes the files of a unit from its parts, and its manifest line. Returns its twins."""
    parts = finished_parts(folder, [unit])
    records = [json.loads(_line(folder, part).read_text("utf-8")) for part in parts]
    shards = {}
    for subset in records[0]["subsets"]:
        tables = [pq.read_table(part_file(folder, part, subset)) for part in parts]
        rows = [row for table in tables for row in table.to_pylist()]
        features = subset_features(subset, classes)
        shards[subset] = write_shard(folder / unit.shard(subset), rows, features)
    # As one process lists them: sources that could not be read, then twins, by subset.
    order = {None: 0, **{subset: i for i, subset in enumerate(shards)}}
    rejections = [rejection for record in records for rejection in record["rejections"]]
    rejections.sort(key=lambda rejection: order[rejection["subset"]])
    finish_unit(folder, unit, shards, rejections)
    return sum(shard.rows for subset, shard in shards.items() if subset != REAL)


def remove_parts(folder: Path) -> None:
    """Removes what joined units leave behind."""
    shutil.rmtree(folder / PARTS_FOLDER, ignore_errors=True)


def _folder(folder: Path, part: Part) -> Path:
    return folder / PARTS_FOLDER / part.unit.name / f"{part.start:09d}-{part.stop:09d}"


def _line(folder: Path, part: Part) -> Path:
    return _folder(folder, part).with_suffix(".json")
