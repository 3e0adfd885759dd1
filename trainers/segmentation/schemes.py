"""Which photographs and which synthetic images an epoch of segmentation training draws.

The schemes of ScribbleGen (arXiv 2311.17121) and its code, as pure functions of (config, epoch).
What is drawn comes to the loader as row numbers, so a schedule advances whatever workers read.

A synthetic set holds twins of photographs, or images of no photograph: a pool. Where a scheme draws
twins of every photograph (`append`, `curriculum`, `adaptive`, `synthetic_only`, `pretrain`), it
draws as many of a pool as those would be, none twice, and all of a pool that has fewer. Where it
draws one twin of one photograph (`uniform`, `replacement`), any image of a pool is as good as a
twin, and a pool is chosen as often as a set of twins.

Without photographs there are pools alone, and an epoch of `synthetic_only` draws all of each, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scribblegen.seeds import numpy_generator

SCHEMES = (
    "none",
    "append",
    "uniform",
    "curriculum",
    "adaptive",
    "replacement",
    "synthetic_only",
    "pretrain",
)
SYNTHETIC_ONLY = "synthetic_only"  # the one that can do without photographs


@dataclass(frozen=True)
class TwinSet:
    """The rows of one synthetic subset: twins of photographs, or a pool.

    Args:
        name: the name of the subset.
        order: the sets' order in a curriculum, realistic to diverse.
        rows: row numbers of the twins of each photograph, by position, empty where it has none;
            nothing at all for a pool.
        pool: row numbers of images that are of no photograph; empty for a set of twins.
    """

    name: str
    order: float
    rows: tuple[tuple[int, ...], ...] = ()
    pool: tuple[int, ...] = ()

    @property
    def all_rows(self) -> list[int]:
        """Every row that may be drawn."""
        return [*(row for of_source in self.rows for row in of_source), *self.pool]

    def of_source(self, source: int) -> tuple[int, ...]:
        """What may stand for a photograph: its twins, or any row of a pool."""
        return self.rows[source] if self.rows else self.pool


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How real photographs and twins are mixed.

    Args:
        name: one of `SCHEMES`.
        num_real: real rows, numbered from 0; none for synthetic images alone.
        twin_sets: in any order; not needed for `none`.
        twins_per_real: twins drawn for every photograph, by every scheme but `replacement`.
        replacement_rate: probability that a twin stands in for the real photograph.
        num_epochs: epochs of the whole training, which `curriculum` and `pretrain` share out.
        iteration_matched: an epoch draws `num_real` rows whatever the scheme, so that all schemes
            take equally many steps; False: the reference's longer epochs. Of no effect without
            photographs.
        seed: what order and choice are drawn from.
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
        if self.name != "none" and not any(s.all_rows for s in self.twin_sets):
            raise ValueError(f"`synthetic` must name a subset with twins for scheme {self.name}.")
        if not self.num_real and self.name != SYNTHETIC_ONLY:
            raise ValueError(
                f"`scheme` must be {SYNTHETIC_ONLY} where there are no photographs. "
                f"Got {self.name!r}."
            )
        if self.twins_per_real < 1:
            raise ValueError(f"`twins_per_real` must be at least 1. Got {self.twins_per_real}.")
        if not 0 <= self.replacement_rate <= 1:
            raise ValueError(f"`replacement_rate` must be in [0, 1]. Got {self.replacement_rate}.")
        ordered = sorted(self.twin_sets, key=lambda twin_set: twin_set.order)
        object.__setattr__(self, "twin_sets", tuple(ordered))

    @property
    def epoch_length(self) -> int:
        """Rows that an epoch draws, the longest where sets of unequal size make unequal epochs."""
        if self._is_matched:
            return self.num_real
        staged = self.name in ("curriculum", "adaptive")
        stages = range(len(self.twin_sets)) if staged else (None,)
        return max(len(self._round(0, 0, stage)) for stage in stages)

    def epoch(self, number: int, stage: int | None = None) -> list[int]:
        """The rows of epoch `number`, in order.

        Args:
            number: from 0.
            stage: of `adaptive`: which twin set it draws from; by `number` if None.
        """
        if not self._is_matched:
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

    @property
    def _is_matched(self) -> bool:
        return self.iteration_matched and self.num_real > 0

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
        """Up to `twins_per_real` twins of every photograph in one set, or as many of a pool, of
        which all where there are no photographs; none twice."""
        most = self.twins_per_real
        drawn = [rows[i] for rows in twin_set.rows for i in rng.permutation(len(rows))[:most]]
        pool = twin_set.pool
        if pool:
            count = most * self.num_real if self.num_real else len(pool)
            drawn += [pool[i] for i in rng.permutation(len(pool))[:count]]
        return drawn

    def _drawn(
        self,
        rng: np.random.Generator,
        sources: Sequence[int],
        sets: Sequence[TwinSet],
        count: int | None = None,
    ) -> list[int]:
        """What stands for every photograph, each from a set drawn uniformly of those that have
        something; the photograph itself where none has."""
        drawn = []
        for source in sources:
            having = [rows for s in sets if (rows := s.of_source(source))]
            for _ in range(self.twins_per_real if count is None else count):
                rows = having[rng.integers(len(having))] if having else (source,)
                drawn.append(rows[rng.integers(len(rows))])
        return drawn
