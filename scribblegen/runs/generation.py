"""Units of work, or parts of them, through the method: samples in, twins out, files written."""

import itertools
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from scribblegen.engine.stage_times import profile_table
from scribblegen.methods.scribblegen import ScribbleGen, TwinKey
from scribblegen.records import Rejection, Sample
from scribblegen.runs.patient_executor import PatientExecutor
from scribblegen.runs.shares import Part
from scribblegen.runs.writer import Agreement, UnitRows
from scribblegen.sources import Source

logger = logging.getLogger(__name__)

_ENCODING_THREADS = 2
_WAITING_PICTURES = 64  # to be encoded; generation waits while there are more
_READ_AHEAD = 4  # sources
_WAITING_FILES = 2  # of whole units; likewise
TWIN_SPLIT = "train"  # the other splits of `real` are for evaluation and get no twins


@dataclass
class Progress:
    """What one process has made in one run, and how many images each process of it."""

    images: int = 0
    seconds: float = 0.0
    parts: list[Part] = field(default_factory=list)
    images_by_process: list[int] = field(default_factory=list)
    profile: str = ""  # table of where the time went


def generate_parts(
    method: ScribbleGen,
    sources: Mapping[str, Source],
    parts: Sequence[Part],
    folder: Path,
    *,
    image_format: str = "webp",
    agreement: Agreement | None = None,
    bar: Any = None,
) -> Progress:
    """Makes the files of `parts`, in this order, and the lines that say that they are done.

    Args:
        method: makes the twins.
        sources: by split.
        parts: of these sources; whole units, or parts that `join_parts` joins.
        folder: the repository.
        image_format: of the twins.
        agreement: measures how much of its scribble each twin shows, for its `scores`.
        bar: a tqdm bar, moved on by one for every image.
    """
    progress = Progress()
    started = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(method.config.num_threads)
    try:
        with (
            PatientExecutor(_ENCODING_THREADS, _WAITING_PICTURES) as executor,
            PatientExecutor(1, _WAITING_FILES) as writer,
            ThreadPoolExecutor(1) as reader,
        ):
            generation = _Generation(
                method, sources, parts, folder, image_format, agreement, executor, writer,
                reader, progress, bar,
            )  # fmt: skip
            generation.finish()
    finally:
        torch.set_num_threads(threads)
    progress.seconds = time.perf_counter() - started
    progress.profile = profile_table(
        method.times.totals(), progress.seconds, method.counts, method.config.rows
    )
    return progress


@dataclass(eq=False)
class _Generation:
    method: ScribbleGen
    sources: Mapping[str, Source]
    parts: Sequence[Part]
    folder: Path
    image_format: str
    agreement: Agreement | None
    executor: PatientExecutor
    writer: PatientExecutor
    reader: ThreadPoolExecutor
    progress: Progress
    bar: Any
    waiting: dict[int, UnitRows] = field(default_factory=dict)  # by group
    writing: "deque[Future[None]]" = field(default_factory=deque)

    def finish(self) -> None:
        for twin in self.method.generate(self._samples()):
            assert isinstance(twin.key, TwinKey)
            group = twin.key.group
            self.waiting[group].add_twin(twin, self.method.cells_of(twin))
            self.progress.images += 1
            self._move_bar(1)
            self._write_if_complete(group)
            while self.writing and self.writing[0].done():
                self.writing.popleft().result()  # raises what went wrong
        while self.writing:
            self.writing.popleft().result()

    def _samples(self) -> Iterator[tuple[int, int, Sample]]:
        """(position, group, sample) of every source that gets twins; a group is a part."""
        samples = self._read_ahead()
        for group, part in enumerate(self.parts):
            split = part.unit.split
            rows = self.waiting[group] = self._new_rows(part)
            num_twins = self.method.images_per_source if split == TWIN_SPLIT else 0
            for position in range(part.start, part.stop):
                sample = next(samples)
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

    def _read_ahead(self) -> Iterator[Sample | Rejection]:
        """Every source of every part in order; the next ones are read meanwhile."""
        wanted = (
            (self.sources[part.unit.split], position)
            for part in self.parts
            for position in range(part.start, part.stop)
        )
        coming: deque[Future[Sample | Rejection]] = deque()
        while True:
            for source, position in itertools.islice(wanted, _READ_AHEAD - len(coming)):
                coming.append(self.reader.submit(source.read, position))
            if not coming:
                return
            with self.method.times.host_stage("read"):
                sample = coming.popleft().result()
            yield sample

    def _new_rows(self, part: Part) -> UnitRows:
        subsets = [cell.subset for cell in self.method.cells]
        return UnitRows(
            part,
            subsets if part.unit.split == TWIN_SPLIT else [],
            self.method.classes,
            image_format=self.image_format,
            executor=self.executor,
            agreement=self.agreement,
        )

    def _write_if_complete(self, group: int) -> None:
        if self.waiting[group].is_complete:
            self.writing.append(self.writer.submit(self._write, self.waiting.pop(group)))

    def _write(self, rows: UnitRows) -> None:
        with self.method.times.host_stage("write"):
            written = rows.write(self.folder)
        part = rows.part
        self.progress.parts.append(part)
        sources = "" if part.is_whole else f", sources {part.start} to {part.stop - 1}"
        logger.info(
            "shard %s%s: %d images, %d rejected",
            part.unit.name, sources, written, len(rows.rejections),
        )  # fmt: skip

    def _move_bar(self, images: int) -> None:
        if self.bar is not None:
            self.bar.update(images)
