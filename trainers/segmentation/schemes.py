"""Which real photographs and which twins an epoch of segmentation training draws.

The schemes of ScribbleGen (arXiv 2311.17121) and its code, as pure functions of (config, epoch).
What is drawn comes to the loader as row numbers, so a schedule advances whatever workers read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scribblegen.seeds import numpy_generator

SCHEMES = ("none", "append", "uniform", "curriculum", "adaptive", "replacement", "synthetic_only",
           "pretrain")  # fmt: skip


@dataclass(frozen=True)
class TwinSet:
    """The rows of one synthetic subset.

    Args:
        name: of the subset.
        encode_ratio: orders the sets, realistic to diverse; 0 where unknown.
        rows: row numbers of the twins of each real row, by position; empty where it has none.
    """

    name: str
    encode_ratio: float
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How real photographs and twins are mixed.

    Args:
        name: one of `SCHEMES`.
        num_real: real rows, numbered from 0.
        twin_sets: in any order; not needed for `none`.
        twins_per_real: of `append`, `uniform`, `curriculum` and `adaptive`.
        replacement_rate: probability that a twin stands in for the real photograph.
        num_epochs: of the whole training.
        iteration_matched: an epoch draws `num_real` rows whatever the scheme, so that all schemes
            take equally many steps; False: the reference's longer epochs.
        seed: of order and choice.
    """

    name: str
    num_real: int
    twin_sets: tuple[TwinSet, ...] = ()
    twins_per_real: int = 1
    replacement_rate: float = 0.5
    num_epochs: int = 1
    iteration_matched: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in SCHEMES:
            raise ValueError(f"`scheme` must be one of {SCHEMES}. Got {self.name!r}.")
        if self.name != "none" and not any(any(s.rows) for s in self.twin_sets):
            raise ValueError(f"`synthetic` must name a subset with twins for scheme {self.name}.")
        if self.twins_per_real < 1:
            raise ValueError(f"`twins_per_real` must be at least 1. Got {self.twins_per_real}.")
        if not 0 <= self.replacement_rate <= 1:
            raise ValueError(f"`replacement_rate` must be in [0, 1]. Got {self.replacement_rate}.")
        ordered = sorted(self.twin_sets, key=lambda twin_set: twin_set.encode_ratio)
        object.__setattr__(self, "twin_sets", tuple(ordered))

    @property
    def epoch_length(self) -> int:
        """Rows that an epoch draws; the same in every epoch."""
        if self.iteration_matched:
            return self.num_real
        return len(self._round(0, 0, None))

    def epoch(self, number: int, stage: int | None = None) -> list[int]:
        """The rows of epoch `number`, in order.

        Args:
            number: from 0.
            stage: of `adaptive`: which twin set it draws from; by `number` if None.
        """
        if not self.iteration_matched:
            return self._round(number, number, stage)
        # Rounds as the scheme makes them, one after the other, cut into epochs of equal length.
        rows: list[int] = []
        first = number * self.num_real
        round_length = max(1, len(self._round(0, number, stage)))
        index, skip = divmod(first, round_length)
        while len(rows) < skip + self.num_real:
            rows += self._round(index, number, stage)
            index += 1
        return rows[skip : skip + self.num_real]

    def stage(self, epoch: int) -> int:
        """The twin set that a curriculum draws from: equal shares of the epochs, in order."""
        return min(len(self.twin_sets) - 1, epoch * len(self.twin_sets) // self.num_epochs)

    def _round(self, index: int, epoch: int, stage: int | None) -> list[int]:
        """Every row that the scheme draws once, shuffled."""
        rng = numpy_generator(self.seed, "scheme", index)
        real = list(range(self.num_real))
        rows = self._mix(rng, real, epoch, stage)
        return [rows[i] for i in rng.permutation(len(rows))]

    def _mix(
        self, rng: np.random.Generator, real: list[int], epoch: int, stage: int | None
    ) -> list[int]:
        sets = self.twin_sets
        if self.name == "none":
            return real
        if self.name == "append":
            return real + [row for s in sets for row in self._some(rng, s)]
        if self.name == "uniform":
            return real + self._drawn(rng, real, sets)
        if self.name in ("curriculum", "adaptive"):
            current = self.stage(epoch) if stage is None else stage
            return real + self._some(rng, sets[current])
        if self.name == "replacement":
            replaced = [i for i in real if rng.random() < self.replacement_rate]
            twins = dict(zip(replaced, self._drawn(rng, replaced, sets, 1), strict=True))
            return [twins.get(i, i) for i in real]
        if self.name == "pretrain" and 2 * epoch >= self.num_epochs:
            return real
        return [row for s in sets for row in self._some(rng, s)]

    def _some(self, rng: np.random.Generator, twin_set: TwinSet) -> list[int]:
        """Up to `twins_per_real` twins of every source in one set, none twice."""
        return [
            rows[i]
            for rows in twin_set.rows
            for i in rng.permutation(len(rows))[: self.twins_per_real]
        ]

    def _drawn(
        self,
        rng: np.random.Generator,
        sources: Sequence[int],
        sets: Sequence[TwinSet],
        count: int | None = None,
    ) -> list[int]:
        """Twins of every source, each from a set drawn uniformly; the source where it has none."""
        drawn = []
        for source in sources:
            having = [s.rows[source] for s in sets if s.rows[source]]
            for _ in range(self.twins_per_real if count is None else count):
                rows = having[rng.integers(len(having))] if having else (source,)
                drawn.append(rows[rng.integers(len(rows))])
        return drawn
