"""The two kinds of `datasets` builders: one over a source, one over finished shards."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from scribblegen.builders.sources import open_sources, source_config_type
from scribblegen.parquet_files import reading_shard
from scribblegen.records import DEFAULT_SUBSET, Rejection, Sample, real_features, real_row
from scribblegen.runs.manifest import finished_shards
from scribblegen.sources import Source

logger = logging.getLogger(__name__)


class SourceBuilder(datasets.GeneratorBasedBuilder):
    """A source as a `datasets` builder, with the columns of the `real` subset.

    Subclasses name their `source`. Rejected samples are left out and logged. The cache key is a
    fingerprint of the files and the options, so a changed label is read anew.

    Args:
        cache_dir: as in `datasets`.
        **options: fields of the source's config.
    """

    source: ClassVar[str]

    def __init__(self, cache_dir: str | None = None, **options: Any) -> None:
        self.source_config = source_config_type(self.source)(**options)
        self.sources: dict[str, Source[Sample]] = open_sources(self.source_config)
        identity = repr((self.source_config, [s.fingerprint() for s in self.sources.values()]))
        super().__init__(
            cache_dir=cache_dir,
            dataset_name=self.source,
            config_name=DEFAULT_SUBSET,
            hash=hashlib.sha256(identity.encode()).hexdigest()[:16],
        )

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=real_features(self.sources["train"].classes))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"split": split})
            for split in self.sources
        ]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        source = self.sources[split]
        for index in range(len(source)):
            sample = source.read(index)
            if isinstance(sample, Rejection):
                logger.warning("left out %s: %s", sample.source_id, sample.reason)
            else:
                yield index, real_row(sample, source.classes)


class ShardBuilder(datasets.ArrowBasedBuilder):
    """The finished shards of one subset, of a complete run or of one still at work.

    Args:
        data_dir: the run's output folder.
        config_name: the subset, such as `guidance2-encode0.5`.
        cache_dir: as in `datasets`.
    """

    def __init__(self, data_dir: str, config_name: str, cache_dir: str | None = None) -> None:
        self.shards = finished_shards(Path(data_dir), config_name)
        if not self.shards:
            raise FileNotFoundError(
                f"`config_name` {config_name!r} has no finished shard in {data_dir}."
            )
        digests = [shard.sha256 for shards in self.shards.values() for shard in shards]
        super().__init__(
            cache_dir=cache_dir,
            config_name=config_name,
            hash=hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16],
        )

    def _info(self) -> datasets.DatasetInfo:
        first = next(iter(self.shards.values()))[0]
        with reading_shard(first.path):
            features = datasets.Features.from_arrow_schema(pq.read_schema(first.path))
        return datasets.DatasetInfo(features=features)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(
                name=split, gen_kwargs={"paths": [str(shard.path) for shard in shards]}
            )
            for split, shards in self.shards.items()
        ]

    def _generate_tables(self, paths: list[str]) -> Iterator[tuple[str, pa.Table]]:
        for path in paths:
            with reading_shard(Path(path)):
                table = pq.read_table(path)
            yield path, table
