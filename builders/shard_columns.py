"""Columns of finished shards, each checked to be what a run writes there before it is read."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
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


def has_scores(shard: Shard) -> bool:
    """Whether a shard has the column `scores`; raises as `read_pictures`."""
    with reading_shard(shard.path):
        return "scores" in pq.read_schema(shard.path).names


def read_scores(shard: Shard) -> pa.Table:
    """The scores of a shard, a column for each, such as `scores.agreement`; raises alike."""
    with reading_shard(shard.path):
        table = pq.read_table(shard.path, columns=["scores"]).flatten()
        if not all(map(pa.types.is_floating, table.schema.types)):
            raise ValueError("its column `scores` must hold numbers")
        return table
