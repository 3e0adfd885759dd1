"""Columns of finished shards, each checked to be what a run writes there before it is read."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Image

from scribblegen.parquet_files import reading_shard
from scribblegen.runs.shards import Shard

_PICTURE: pa.DataType = Image()()  # as tables store it


def read_pictures(shards: Sequence[Shard], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of shards with their `source_id` and some pictures, as files in cells.

    Raises:
        OSError: a shard is damaged, or has no such columns.
    """
    kinds = {"source_id": pa.string(), **dict.fromkeys(columns, _PICTURE)}
    for shard in shards:
        with reading_shard(shard.path):
            file = pq.ParquetFile(shard.path)
            for column, kind in kinds.items():
                if column not in file.schema_arrow.names:
                    raise ValueError(f"it has no column `{column}`")
                if file.schema_arrow.field(column).type != kind:
                    raise ValueError(f"its column `{column}` holds something else")
            for batch in file.iter_batches(batch_size=16, columns=list(kinds)):
                yield from batch.to_pylist()


def has_column(shard: Shard, name: str) -> bool:
    """Whether a shard has a column; raises as `read_pictures`."""
    with reading_shard(shard.path):
        return name in pq.read_schema(shard.path).names


def count_classes(shard: Shard, known: Collection[int]) -> dict[int, int]:
    """In how many rows of a shard each class is, by id; raises as `read_pictures`."""
    with reading_shard(shard.path):
        column = pq.read_table(shard.path, columns=["classes"])["classes"]
        return _counts(pc.list_flatten(column), known, "classes")


def count_words(shard: Shard, known: Collection[int]) -> dict[int, int]:
    """In how many rows of a shard each word of a vocabulary is, by id; raises as `count_classes`.

    Each is once in a row.
    """
    with reading_shard(shard.path):
        column = pq.read_table(shard.path, columns=["classes"])["classes"]
        words = pc.list_flatten(column)
        if not pa.types.is_struct(words.type) or words.type.get_field_index("id") < 0:
            raise ValueError("its column `classes` must hold words")
        return _counts(pc.struct_field(words, "id"), known, "words")


def _counts(ids: pa.ChunkedArray, known: Collection[int], what: str) -> dict[int, int]:
    found = pc.value_counts(ids).to_pylist()
    counts = {entry["values"]: entry["counts"] for entry in found}
    if not all(type(k) is int and k in known for k in counts):
        raise ValueError(f"its column `classes` must hold {what}")
    return counts


def count_flags(shard: Shard) -> dict[str, tuple[int, int]]:
    """Of every column of true and false: how many rows are true, of how many that are not null."""
    with reading_shard(shard.path):
        schema = pq.read_schema(shard.path)
        names = [field.name for field in schema if pa.types.is_boolean(field.type)]
        if not names:
            return {}
        table = pq.read_table(shard.path, columns=names)
        return {
            name: (pc.sum(table[name]).as_py() or 0, pc.count(table[name]).as_py())
            for name in names
            if pc.count(table[name]).as_py()
        }


def read_scores(shard: Shard) -> pa.Table:
    """The scores of a shard, a column for each, such as `scores.agreement`; raises alike."""
    with reading_shard(shard.path):
        table = pq.read_table(shard.path, columns=["scores"]).flatten()
        if not all(map(pa.types.is_floating, table.schema.types)):
            raise ValueError("its column `scores` must hold numbers")
        return table
