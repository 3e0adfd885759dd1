"""Shards on disk: planned by position, written atomically.

    <subset>/<split>-00003-of-00008.parquet     rows of one unit of work

The unit of work is a fixed block of items with all their records. Which process does it, and how
many there are, changes no byte.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from scribblegen.runs.atomic_files import atomic_file

SPLITS = ("train", "validation", "test")
_ROW_GROUP_BYTES = 64 * 2**20  # readers fetch whole row groups; the Hub's viewer allows 100 MB
_PAGE_BYTES = 2048  # less than a picture: each is a page of its own


@dataclass(frozen=True)
class Unit:
    """Items `start` to `stop - 1` of a split, the `index`-th unit of `count`."""

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
        with (
            pa.OSFile(str(partial), "wb") as file,
            pq.ParquetWriter(
                file,
                table.schema,
                compression={leaf: "zstd" if leaf in others else "none" for leaf in leaves},
                use_dictionary=others,
                write_statistics=others,
                write_page_index=True,
                # A page for each picture: rows that come or go leave the others' bytes as they
                # are, and the Hub's storage finds them again; no need to chunk by content.
                data_page_size=_PAGE_BYTES,
                write_batch_size=1,
            ) as writer,
        ):
            if rows:  # `datasets` reads no file whose first row group is empty
                writer.write_table(table, row_group_size=-(-len(rows) // groups))
        with open(partial, "rb") as whole:
            digest = hashlib.file_digest(whole, "sha256").hexdigest()
    return Shard(path, len(rows), digest)


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
