"""Parts of the work through the method: items in, records out, files written."""

import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from scribblegen.methods.base import Method, Place, Subset
from scribblegen.records import Rejection
from scribblegen.runs.patient_executor import PatientExecutor
from scribblegen.runs.shares import Part
from scribblegen.runs.writer import PartWriter
from scribblegen.sources import Source

logger = logging.getLogger(__name__)

_ENCODING_THREADS = 2
_WAITING_RECORDS = 64  # to be encoded; generation waits while there are more
_READ_AHEAD = 4  # items
_WAITING_FILES = 2  # of whole units; likewise


@dataclass
class Progress:
    """What one process has made in one run, and how many images each process of it."""

    images: int = 0
    seconds: float = 0.0
    parts: list[Part] = field(default_factory=list)
    images_by_process: list[int] = field(default_factory=list)
    profile: str = ""  # table of where the time went
    remarks: Counter[str] = field(default_factory=Counter)  # of all processes
    warning: str | None = None  # where most of a subset was rejected, of the whole run


def generate_parts(
    method: Method[Any],
    sources: Mapping[str, Source],
    parts: Sequence[Part],
    folder: Path,
    *,
    num_threads: int = 1,
    bar: Any = None,
) -> Progress:
    """Makes the files of `parts`, in this order, and the lines that say that they are done.

    Args:
        method: makes the records.
        sources: by split.
        parts: what to make of these sources: whole units, or parts that `join_parts` joins.
        folder: the repository.
        num_threads: CPU threads of the method.
        bar: a tqdm bar, moved on by one for every image.
    """
    progress = Progress()
    started = time.perf_counter()
    with cpu_threads(num_threads):
        with (
            PatientExecutor(_ENCODING_THREADS, _WAITING_RECORDS) as encoder,
            PatientExecutor(1, _WAITING_FILES) as writer,
            ThreadPoolExecutor(1) as reader,
        ):
            generation = _Generation(
                method, sources, parts, folder, encoder, writer, reader, progress, bar
            )
            generation.finish()
    progress.seconds = time.perf_counter() - started
    progress.remarks = Counter(method.remarks())
    progress.profile = method.profile(generation.seconds, progress.seconds)
    return progress


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """As many CPU threads for networks as a run says: their number changes the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def images_per_item(subsets: Sequence[Subset], split: str) -> int:
    """Records that a method makes of an item of a split, besides what it passes on."""
    having = subsets_of(subsets, split)
    return sum(subset.records_per_item for subset in having if subset.generated)


def subsets_of(subsets: Sequence[Subset], split: str) -> list[Subset]:
    """The subsets that have a split."""
    return [subset for subset in subsets if split in subset.splits]


@dataclass(eq=False)
class _Generation:
    method: Method[Any]
    sources: Mapping[str, Source]
    parts: Sequence[Part]
    folder: Path
    encoder: PatientExecutor
    writer: PatientExecutor
    reader: ThreadPoolExecutor
    progress: Progress
    bar: Any
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "write": 0.0})
    waiting: dict[int, PartWriter] = field(default_factory=dict)  # by group
    writing: "deque[Future[None]]" = field(default_factory=deque)

    def finish(self) -> None:
        generated = {subset.name for subset in self.method.subsets if subset.generated}
        for record in self.method.generate(self._items()):
            group = record.place.group
            self.waiting[group].add(record)
            if record.subset in generated:
                self.progress.images += 1
                self._move_bar(1)
            self._write_if_complete(group)
            while self.writing and self.writing[0].done():
                self.writing.popleft().result()  # raises what went wrong
        for writer in self.waiting.values():
            raise ValueError(
                f"a method must give every record that its subsets announce. {writer.missing()} "
                "never came."
            )
        while self.writing:
            self.writing.popleft().result()

    def _items(self) -> Iterator[tuple[Place, Any]]:
        """Every item of every part that can be used; a group is a part."""
        items = self._read_ahead()
        for group, part in enumerate(self.parts):
            split = part.unit.split
            source_ids = self.sources[split].source_ids
            subsets = subsets_of(self.method.subsets, split)
            writer = PartWriter(part, subsets, source_ids, self.encoder)
            self.waiting[group] = writer
            for position in range(part.start, part.stop):
                item = next(items)
                if isinstance(item, Rejection):
                    logger.warning("left out %s: %s", item.source_id, item.reason)
                    writer.reject(item)
                    self._move_bar(images_per_item(subsets, split))
                    continue
                writer.expect()
                yield Place(split, group, position), item
            writer.all_read = True
            self._write_if_complete(group)

    def _read_ahead(self) -> Iterator[Any]:
        """Every item of every part in order; the next ones are read meanwhile."""
        wanted = (
            (self.sources[part.unit.split], position)
            for part in self.parts
            for position in range(part.start, part.stop)
        )
        coming: deque[Future[Any]] = deque()
        while True:
            for source, position in itertools.islice(wanted, _READ_AHEAD - len(coming)):
                coming.append(self.reader.submit(source.read, position))
            if not coming:
                return
            started = time.perf_counter()
            item = coming.popleft().result()
            self.seconds["read"] += time.perf_counter() - started
            yield item

    def _write_if_complete(self, group: int) -> None:
        if group in self.waiting and self.waiting[group].is_complete:
            self.writing.append(self.writer.submit(self._write, self.waiting.pop(group)))

    def _write(self, writer: PartWriter) -> None:
        started = time.perf_counter()
        rows = writer.write(self.folder)
        self.seconds["write"] += time.perf_counter() - started
        part = writer.part
        self.progress.parts.append(part)
        generated = (s.name for s in writer.subsets if s.generated)
        items = "" if part.is_whole else f", sources {part.start} to {part.stop - 1}"
        logger.info(
            "shard %s%s: %d images, %d rejected",
            part.unit.name,
            items,
            sum(rows[name] for name in generated),
            len(writer.rejections),
        )

    def _move_bar(self, images: int) -> None:
        if self.bar is not None:
            self.bar.update(images)
