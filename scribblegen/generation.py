"""Units of work through the method: samples in, twins out, shards written as they fill."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from scribblegen.methods.scribblegen import ScribbleGen, TwinKey
from scribblegen.records import Rejection, Sample
from scribblegen.shards import Unit
from scribblegen.sources import Source
from scribblegen.unit_rows import UnitRows

logger = logging.getLogger(__name__)

_ENCODING_THREADS = 2
TWIN_SPLIT = "train"  # the other splits of `real` are for evaluation and get no twins


@dataclass
class Progress:
    """What one process has made in one run, and how many images each process of it."""

    images: int = 0
    seconds: float = 0.0
    units: list[str] = field(default_factory=list)
    images_by_process: list[int] = field(default_factory=list)


def generate_units(
    method: ScribbleGen,
    sources: Mapping[str, Source],
    units: Sequence[Unit],
    folder: Path,
    *,
    image_format: str = "webp",
    bar: Any = None,
) -> Progress:
    """Makes the shards of `units`, in this order, and their manifest lines.

    Args:
        method: makes the twins.
        sources: by split.
        units: of these sources.
        folder: the repository.
        image_format: of the twins.
        bar: a tqdm bar, moved on by one for every image.
    """
    progress = Progress()
    started = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(method.config.num_threads)
    try:
        with ThreadPoolExecutor(_ENCODING_THREADS) as executor:
            generation = _Generation(
                method, sources, units, folder, image_format, executor, progress, bar
            )
            generation.finish()
    finally:
        torch.set_num_threads(threads)
    progress.seconds = time.perf_counter() - started
    return progress


@dataclass(eq=False)
class _Generation:
    method: ScribbleGen
    sources: Mapping[str, Source]
    units: Sequence[Unit]
    folder: Path
    image_format: str
    executor: ThreadPoolExecutor
    progress: Progress
    bar: Any
    waiting: dict[int, UnitRows] = field(default_factory=dict)  # by group

    def finish(self) -> None:
        for twin in self.method.generate(self._samples()):
            assert isinstance(twin.key, TwinKey)
            group = twin.key.group
            self.waiting[group].add_twin(twin, self.method.cells_of(twin))
            self.progress.images += 1
            self._move_bar(1)
            self._write_if_complete(group)

    def _samples(self) -> Iterator[tuple[int, int, Sample]]:
        """(position, group, sample) of every source that gets twins; a group is a unit."""
        for group, unit in enumerate(self.units):
            rows = self.waiting[group] = self._new_rows(unit)
            num_twins = self.method.images_per_source if unit.split == TWIN_SPLIT else 0
            for position in range(unit.start, unit.stop):
                sample = self.sources[unit.split].read(position)
                if isinstance(sample, Rejection):
                    logger.warning("left out %s: %s", sample.source_id, sample.reason)
                    rows.rejections.append(sample)
                    self._move_bar(num_twins)
                    continue
                size = self.method.output_size(sample)
                rows.add_source(position, sample, self.method.prompt(sample), size, num_twins)
                if num_twins:
                    yield position, group, sample
            rows.all_read = True
            self._write_if_complete(group)

    def _new_rows(self, unit: Unit) -> UnitRows:
        subsets = [cell.subset for cell in self.method.cells]
        return UnitRows(
            unit,
            subsets if unit.split == TWIN_SPLIT else [],
            self.method.classes,
            image_format=self.image_format,
            executor=self.executor,
        )

    def _write_if_complete(self, group: int) -> None:
        rows = self.waiting[group]
        if not rows.is_complete:
            return
        written = rows.write(self.folder)
        del self.waiting[group]
        self.progress.units.append(rows.unit.name)
        logger.info(
            "shard %s: %d images, %d rejected", rows.unit.name, written, len(rows.rejections)
        )

    def _move_bar(self, images: int) -> None:
        if self.bar is not None:
            self.bar.update(images)
