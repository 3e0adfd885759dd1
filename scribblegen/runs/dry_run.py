"""What a run would be: its source looked at, a few items made, and thrown away."""

import logging
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from scribblegen.records import Rejection
from scribblegen.runs.generation import Progress, generate_parts, images_per_item
from scribblegen.runs.manifest import pending_units, read_manifest
from scribblegen.runs.open import Run
from scribblegen.runs.shards import Unit
from scribblegen.runs.shares import Part

_LOOKED_AT = 64  # items that are read
_MEASURED = 8  # items that are made, at most, besides those that warm up
_ENOUGH = 30.0  # seconds after which fewer will do


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """What a run would be. Times are of one process; bytes are of files, memory of this process.

    Args:
        items: of the source, by split.
        images: that are made of all of them.
        images_left: of these, that no finished shard has.
        looked_at: items of the training split that were read, evenly spaced.
        reasons: why some of them cannot be used, each with how often.
        made: images that were made of a few items, and rejected of these.
        rejected: of these images.
        seconds_per_image, bytes_per_item: of them.
        memory: that the process held at most, in bytes; of the GPU where there is one.
        remarks: of the method, each with how often it came up.
    """

    items: dict[str, int]
    images: int
    images_left: int
    looked_at: int
    reasons: dict[str, int]
    made: int
    rejected: int
    seconds_per_image: float
    bytes_per_item: float
    memory: int
    remarks: dict[str, int]

    @property
    def seconds(self) -> float:
        """That one process would take for what is left."""
        return self.images_left * self.seconds_per_image

    @property
    def bytes(self) -> float:
        """Of the files of all items."""
        return sum(self.items.values()) * self.bytes_per_item


def plan_build(run: Run) -> BuildPlan:
    """Reads some items, makes a few, and reckons.

    The time of an image is that by which more items take longer than fewer, so that what is done
    once does not count. Nothing is written but into a folder that is removed.

    Args:
        run: opened.
    """
    source = run.sources["train"]
    step = -(-len(source) // _LOOKED_AT)
    read = [source.read(index) for index in range(0, len(source), step)]
    reasons = Counter(item.reason for item in read if isinstance(item, Rejection))
    per_item = {split: images_per_item(run.method.subsets, split) for split in run.sources}
    left = {unit.split: 0 for unit in run.units}
    for unit in pending_units(run.folder, run.units):
        left[unit.split] += (unit.stop - unit.start) * per_item[unit.split]
    _made(run, 1)  # warms up
    one, _, _ = _made(run, 1)
    many = min(len(source), 1 + max(1, min(_MEASURED, int(_ENOUGH / max(one.seconds, 1e-3)))))
    progress, size, rejected = _made(run, many)
    seconds = (progress.seconds - one.seconds) / (many - 1) if many > 1 else progress.seconds
    return BuildPlan(
        items={split: len(each) for split, each in run.sources.items()},
        images=sum(len(each) * per_item[split] for split, each in run.sources.items()),
        images_left=sum(left.values()),
        looked_at=len(read),
        reasons=dict(reasons.most_common()),
        made=many * per_item["train"],
        rejected=rejected,
        seconds_per_image=max(0.0, seconds) / max(1, per_item["train"]),
        bytes_per_item=size / many,
        memory=_memory(),
        remarks=dict(progress.remarks),
    )


def _made(run: Run, count: int) -> tuple[Progress, float, int]:
    """The first items of the training split, made and thrown away: what they took, their bytes,
    and how many of their images were rejected."""
    part = Part.whole(Unit("train", 0, 1, 0, count))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with _quiet():
            progress = generate_parts(
                run.method, run.sources, [part], folder, num_threads=run.output.num_threads
            )
        (unit,) = read_manifest(folder)["units"]
    generated = {subset.name for subset in run.method.subsets if subset.generated}
    asked = count * images_per_item(run.method.subsets, "train")
    kept = sum(file["rows"] for name, file in unit["files"].items() if name in generated)
    return progress, sum(file["bytes"] for file in unit["files"].values()), asked - kept


@contextmanager
def _quiet() -> Iterator[None]:
    """Shards that are thrown away are not told of."""
    logger = logging.getLogger(generate_parts.__module__)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
