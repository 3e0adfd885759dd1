"""Who makes what: the work of a run, shared out evenly among processes.

Whole units go to one process each. What does not divide, the last few units, is cut into parts of
equally many sources. How work was shared changes no byte of the result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scribblegen.runs.shards import Unit


@dataclass(frozen=True)
class Part:
    """Sources `start` to `stop - 1` of a unit; all of them, or some."""

    unit: Unit
    start: int
    stop: int

    @classmethod
    def whole(cls, unit: Unit) -> "Part":
        return cls(unit, unit.start, unit.stop)

    @property
    def is_whole(self) -> bool:
        return (self.start, self.stop) == (self.unit.start, self.unit.stop)


def share_out(
    units: Sequence[Unit], finished: Sequence[Part], num_processes: int, *, costly_split: str
) -> list[list[Part]]:
    """What every process makes, in order.

    Args:
        units: not yet done.
        finished: parts of them that are made already.
        num_processes: that share the rest.
        costly_split: sources of this split get twins; those of others cost next to nothing.

    Returns:
        one list for each process. The numbers of costly sources differ by less than two.
    """
    shares: list[list[Part]] = [[] for _ in range(num_processes)]
    begun = {part.unit for part in finished}
    cheap = [unit for unit in units if unit.split != costly_split]
    costly = [unit for unit in units if unit.split == costly_split]
    fresh = [unit for unit in costly if unit not in begun]
    largest = max((unit.stop - unit.start for unit in fresh), default=0)
    full = [unit for unit in fresh if unit.stop - unit.start == largest]
    full = full[: len(full) // num_processes * num_processes]
    for number, unit in enumerate([*full, *cheap]):
        shares[number % num_processes].append(Part.whole(unit))
    rest = set(costly).difference(full)
    gaps = [gap for unit in costly if unit in rest for gap in _gaps(unit, finished)]
    for number, part in _cut_evenly(gaps, num_processes):
        shares[number].append(part)
    return shares


def _gaps(unit: Unit, finished: Iterable[Part]) -> list[Part]:
    """What is left of a unit."""
    left, start = [], unit.start
    made = (part for part in finished if part.unit == unit)
    for part in sorted(made, key=lambda part: part.start):
        if part.start > start:
            left.append(Part(unit, start, part.start))
        start = max(start, part.stop)
    if start < unit.stop:
        left.append(Part(unit, start, unit.stop))
    return left


def _cut_evenly(gaps: Sequence[Part], count: int) -> Iterable[tuple[int, Part]]:
    """Cuts a row of parts into `count` runs of equally many sources, to one."""
    total = sum(gap.stop - gap.start for gap in gaps)
    passed = 0
    for gap in gaps:
        start = gap.start
        while start < gap.stop:
            number = next(i for i in range(count) if passed < total * (i + 1) // count)
            stop = min(gap.stop, start + total * (number + 1) // count - passed)
            yield number, Part(gap.unit, start, stop)
            passed += stop - start
            start = stop
