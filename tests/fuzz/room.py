"""All kinds of files, and a process of its own for the inputs of each."""

import json
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.forks import fork_server
from tests.fuzz import models, pictures, runs, texts
from tests.fuzz.kinds import Kind
from tests.fuzz.outcomes import SECONDS, fault_of
from tests.fuzz.structures import STRUCTURES

STRUCTURES[".parquet"] = runs.mutate_parquet
MEGABYTES = 1000  # that an input may add to the memory of the process
_SHOWN, _WIDTH = 12, 400  # faults, and characters of each, that a report tells


@dataclass(frozen=True)
class Entry:
    """A kind, and its share of all inputs: the quick ones have more."""

    kind: Callable[[Path], Kind]
    share: float


ROOM = {
    "photographs": Entry(pictures.photographs, 0.15),
    "labels": Entry(pictures.labels, 0.16),
    "cells": Entry(pictures.cells, 0.06),
    "class-lists": Entry(texts.class_lists, 0.18),
    "strokes": Entry(texts.strokes, 0.08),
    "id-lists": Entry(texts.id_lists, 0.04),
    "configs": Entry(texts.configs, 0.05),
    "manifests": Entry(runs.manifests, 0.07),
    "shards": Entry(runs.shards, 0.06),
    "tables": Entry(runs.tables, 0.05),
    "pipelines": Entry(models.pipelines, 0.06),
    "segmentors": Entry(models.segmentors, 0.04),
}


@dataclass(frozen=True)
class Report:
    """What came of the inputs of one kind.

    Args:
        kind, seed: of them.
        tried: how many.
        faults: by number.
        seconds: of all of them.
        megabytes: what the process grew by, at most.
    """

    kind: str
    seed: int
    tried: int
    faults: dict[str, str]
    seconds: float
    megabytes: float

    def __str__(self) -> str:
        lines = [
            f"{self.kind}, seed {self.seed}: {len(self.faults)} faults in {self.tried} inputs; "
            f"{self.seconds:.1f} s, {self.megabytes:.0f} MB"
        ]
        for number, fault in list(self.faults.items())[:_SHOWN]:
            lines.append(f"  python -m tests.fuzz {self.kind} {number} --seed {self.seed}")
            lines.append(f"    {' '.join(fault.split())[:_WIDTH]}")
        return "\n".join(lines).encode("utf-8", "backslashreplace").decode()


def fuzz(name: str, seed: int, numbers: Sequence[int], folder: Path) -> Report:
    """Tries inputs of a kind in a process of its own, which may hang, crash or be killed."""
    process = fork_server().Process(target=_try_all, args=(name, seed, numbers, folder))
    process.start()
    at = folder / "at"
    before, since = "", time.monotonic()
    while process.is_alive():
        process.join(0.2)
        now = at.read_text() if at.is_file() else ""
        if now != before:
            before, since = now, time.monotonic()
        if time.monotonic() - since > 6 * SECONDS:  # in a library's own code no alarm is heard
            process.kill()
            process.join()
    if process.exitcode != 0:
        fault = f"the process ended with {process.exitcode}"
        return Report(name, seed, len(numbers), {before or "0": fault}, 0, 0)
    return Report(**json.loads((folder / "report.json").read_text()))


def _try_all(name: str, seed: int, numbers: Sequence[int], folder: Path) -> None:
    whole = folder / "whole"
    whole.mkdir()
    kind = ROOM[name].kind(whole)
    for original in kind.originals:
        assert (fault := fault_of(kind, original)) is None, f"{original.name}, whole: {fault}"
    memory, began = _peak(), time.monotonic()
    _limit_memory()
    faults: dict[str, str] = {}
    for number in numbers:
        (folder / "at").write_text(str(number))
        file, before = kind.input(seed, number), _peak()
        fault = fault_of(kind, file)
        if fault is None and _peak() > max(before, memory + MEGABYTES):
            fault = f"the process has {_peak() - memory:.0f} MB more than it began with"
        if fault is not None:
            faults[str(number)] = fault
    seconds, grown = time.monotonic() - began, _peak() - memory
    report = Report(name, seed, len(numbers), faults, seconds, grown)
    (folder / "report.json").write_text(json.dumps(vars(report)))


def _peak() -> float:
    """Megabytes that this process has had at once, at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _limit_memory() -> None:
    """What asks for far more is told so at once, before the machine is out of memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (4 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
