"""Shards on disk: planned by position, written atomically, listed in a manifest.

    <subset>/<split>-00003-of-00008.parquet     rows of one unit of work
    run/units/<split>-00003-of-00008.json       its manifest line: the unit is done
    run/manifest.json                           all of them, when the run is complete

The unit of work is a fixed block of sources with their whole grid. Which process does it, and how
many there are, changes no byte.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from scribblegen.runs.atomic_files import atomic_file, write_atomically

SPLITS = ("train", "validation", "test")
UNITS_FOLDER = "run/units"
MANIFEST = "run/manifest.json"
_ROW_GROUP_BYTES = 64 * 2**20  # readers fetch whole row groups; the Hub's viewer allows 100 MB
_PAGE_BYTES = 2048  # less than a picture: each is a page of its own


@dataclass(frozen=True)
class Unit:
    """Sources `start` to `stop - 1` of a split, the `index`-th unit of `count`."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}"

    def shard(self, subset: str) -> str:
        """Path of its file in `subset`, relative to the repository."""
        return f"{subset}/{self.name}.parquet"


@dataclass(frozen=True)
class Shard:
    """A finished file: where, how many rows, and its digest."""

    path: Path
    rows: int
    sha256: str


def plan_units(split: str, num_sources: int, sources_per_shard: int) -> list[Unit]:
    """The units of a split. They depend on nothing but these numbers."""
    if sources_per_shard < 1:
        raise ValueError(f"`sources_per_shard` must be at least 1. Got {sources_per_shard}.")
    starts = range(0, num_sources, sources_per_shard)
    return [
        Unit(split, i, len(starts), start, min(start + sources_per_shard, num_sources))
        for i, start in enumerate(starts)
    ]


def default_sources_per_shard(num_sources: int) -> int:
    """8 to 256: enough units to share evenly among many processes, few enough files for a Hub."""
    return min(256, max(8, -(-num_sources // 512)))


def pending_units(folder: Path, units: Sequence[Unit]) -> list[Unit]:
    """The units without a manifest line, or whose files are not all there."""
    done = {
        record["unit"]
        for record in read_manifest(folder)["units"]
        if all(_is_whole(folder / file["path"], file["bytes"]) for file in record["files"].values())
    }
    return [unit for unit in units if unit.name not in done]


def finished_shards(folder: Path, subset: str) -> dict[str, list[Shard]]:
    """Finished files of a subset by split, in order, of a complete or an unfinished run."""
    found: dict[str, list[Shard]] = {}
    for record in read_manifest(folder)["units"]:
        if subset in record["files"]:
            entry = record["files"][subset]
            shard = Shard(folder / entry["path"], entry["rows"], entry["sha256"])
            found.setdefault(record["split"], []).append(shard)
    return found


def write_shard(path: Path, rows: list[dict[str, Any]], features: Features) -> Shard:
    """Writes one Parquet file: whole, or not at all. Equal rows give equal bytes.

    Raises:
        OSError: the device is full or read-only; the message says what to do.
    """
    schema = features.arrow_schema
    columns = [_column([row[field.name] for row in rows], field.type) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    leaves = _leaf_columns(table.schema)
    # Pictures are compressed already, and no two are alike.
    others = [leaf for leaf in leaves if not leaf.endswith(".bytes")]
    groups = max(1, -(-table.nbytes // _ROW_GROUP_BYTES))
    with atomic_file(path) as partial:
        with pa.OSFile(str(partial), "wb") as file:
            pq.write_table(
                table,
                file,
                compression={leaf: "zstd" if leaf in others else "none" for leaf in leaves},
                use_dictionary=others,
                row_group_size=max(1, -(-len(rows) // groups)),
                write_statistics=others,
                write_page_index=True,
                # A page for each picture: rows that come or go leave the others' bytes as they
                # are, and the Hub's storage finds them again; no need to chunk by content.
                data_page_size=_PAGE_BYTES,
                write_batch_size=1,
            )
        with open(partial, "rb") as whole:
            digest = hashlib.file_digest(whole, "sha256").hexdigest()
    return Shard(path, len(rows), digest)


def finish_unit(
    folder: Path, unit: Unit, files: dict[str, Shard], rejections: list[dict[str, Any]]
) -> None:
    """Writes the manifest line of a unit whose files are all in place: from now on it is done."""
    record = {
        "unit": unit.name,
        "split": unit.split,
        "index": unit.index,
        "sources": unit.stop - unit.start,
        "files": {
            subset: {
                "path": unit.shard(subset),
                "rows": shard.rows,
                "bytes": shard.path.stat().st_size,
                "sha256": shard.sha256,
            }
            for subset, shard in files.items()
        },
        "rejections": rejections,
    }
    line = json.dumps(record, ensure_ascii=False).encode()
    write_atomically(folder / UNITS_FOLDER / f"{unit.name}.json", line)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest so far: its header, and `units`, the records of all finished units, in order."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    records = {record["unit"]: record for record in manifest.get("units", [])}
    for line in sorted((folder / UNITS_FOLDER).glob("*.json")):
        record = json.loads(line.read_text("utf-8"))
        records[record["unit"]] = record
    order = {split: i for i, split in enumerate(SPLITS)}
    listed = sorted(records.values(), key=lambda r: (order[r["split"]], r["index"]))
    return {**manifest, "units": listed}


def write_manifest(folder: Path, header: dict[str, Any]) -> None:
    """Puts the records of all finished units under `header`, in one file."""
    units = read_manifest(folder)["units"]
    text = json.dumps({**header, "units": units}, indent=1, ensure_ascii=False)
    write_atomically(folder / MANIFEST, f"{text}\n".encode())
    lines = folder / UNITS_FOLDER
    for line in lines.glob("*.json"):
        line.unlink()
    if lines.is_dir():
        lines.rmdir()


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """The same array as `pa.array(values, kind)`; ten times faster where structs hold pictures."""
    if not pa.types.is_struct(kind):
        return pa.array(values, kind)
    fields = list(kind)
    parts = [
        _column([None if v is None else v[field.name] for v in values], field.type)
        for field in fields
    ]
    missing = pa.array([value is None for value in values], pa.bool_())
    return pa.StructArray.from_arrays(parts, fields=fields, mask=missing)


def _leaf_columns(schema: pa.Schema) -> list[str]:
    """Parquet's own paths of the leaf columns, such as `image.bytes`."""
    buffer = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), buffer)
    return [column.path for column in pq.ParquetFile(pa.BufferReader(buffer.getvalue())).schema]
