"""Which sample is drawn at which step, and each process's share of it.

A draw is (epoch, position in the epoch). All that is random about it comes from the draw alone, so
neither the batch size, nor accumulation, nor the number of processes, nor a resume changes what an
optimiser step is made of.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch

from scribblegen.seeds import derive_seed, numpy_generator

Batch = TypeVar("Batch")


class Rows(Protocol):
    """What a training counts and names: a source, or the rows of subsets."""

    def __len__(self) -> int: ...

    def fingerprint(self) -> str:
        """Changes when any of them does."""


@dataclass(frozen=True)
class Draw:
    """One use of one source: `index` is its position in the source."""

    epoch: int
    position: int
    index: int

    def generator(self, seed: int) -> torch.Generator:
        """Where all that is random about this draw comes from, under a root seed."""
        return torch.Generator().manual_seed(derive_seed(seed, "draw", self.epoch, self.position))


@dataclass(frozen=True)
class Plan:
    """The draws of every optimiser step.

    Args:
        num_sources: how many samples the source has.
        step_size: samples of an optimiser step, over all processes and accumulated calls.
        seed: root seed.
    """

    num_sources: int
    step_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.num_sources // self.step_size)

    def steps(self, first: int, end: int) -> Iterator[list[Draw]]:
        """The draws of steps `first` to `end - 1`, from 0. An epoch's last step may be short."""
        epoch = -1
        for number in range(first, end):
            wanted, place = divmod(number, self.steps_per_epoch)
            if wanted != epoch:
                epoch = wanted
                order = numpy_generator(self.seed, "order", epoch).permutation(self.num_sources)
            start = place * self.step_size
            chosen = order[start : start + self.step_size]
            yield [Draw(epoch, start + i, int(index)) for i, index in enumerate(chosen)]


@dataclass(frozen=True, eq=False)
class Call(Generic[Batch]):
    """One call of the networks, and the weight of its summed loss in the step's mean."""

    batch: Batch
    weight: float


class Calls(Generic[Batch]):
    """The calls of one process.

    Args:
        plan: the draws of every step.
        load: gives the batches of many lists of draws, in their order; it may read ahead.
        batch_size: how many samples a call takes.
        rank, world: this process among how many.
    """

    def __init__(
        self,
        plan: Plan,
        load: Callable[[list[list[Draw]]], Iterable[Batch]],
        *,
        batch_size: int,
        rank: int,
        world: int,
    ) -> None:
        self.plan, self.load, self.batch_size = plan, load, batch_size
        self.rank, self.world = rank, world

    def steps(self, first: int, total: int) -> Iterator[tuple[int, list[Call[Batch]]]]:
        """(step, this process's calls of it) from step `first` on, read ahead epoch by epoch."""
        per_epoch = self.plan.steps_per_epoch
        while first < total:
            end = min(total, (first // per_epoch + 1) * per_epoch)
            planned = [self._share(draws) for draws in self.plan.steps(first, end)]
            loaded = iter(self.load([draws for calls in planned for draws, _ in calls]))
            for step, calls in enumerate(planned, start=first):
                yield step, [Call(next(loaded), weight) for _, weight in calls]
            first = end

    def _share(self, draws: list[Draw]) -> list[tuple[list[Draw], float]]:
        """Draws of this process's calls, and the weight that makes their sum the step's mean."""
        mine = draws[self.rank :: self.world]
        if not mine:  # a short last step: take part in the exchange, add nothing
            return [(draws[:1], 0.0)]
        weight = self.world / len(draws)  # gradients are averaged over the processes
        size = self.batch_size
        return [(mine[i : i + size], weight) for i in range(0, len(mine), size)]
