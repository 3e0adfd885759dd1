"""One process's share of every optimiser step, read ahead."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scribblegen.trainers.controlnet_config import ControlNetConfig
from scribblegen.trainers.controlnet_data import Draw, Example, Examples, Plan, batches
from scribblegen.trainers.controlnet_step import FrozenBase


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the networks: its batch, the latents where known, and the weight of its loss."""

    batch: list[tuple[Draw, Example]]
    latents: Tensor | None
    weight: float


class Calls:
    """The calls of one process.

    Args:
        plan: draws of every step.
        examples: of the source.
        base: encodes the images that are kept as latents.
        config: batch size, and whether latents are kept.
        num_workers: processes that read photographs.
        rank, world: this process among how many.
    """

    def __init__(
        self,
        plan: Plan,
        examples: Examples,
        base: FrozenBase,
        config: ControlNetConfig,
        *,
        num_workers: int,
        rank: int,
        world: int,
    ) -> None:
        self.plan, self.examples, self.base, self.config = plan, examples, base, config
        self.num_workers, self.rank, self.world = num_workers, rank, world
        self._cache: dict[int, tuple[Example, Tensor]] = {}

    def steps(self, first: int, total: int) -> Iterator[tuple[int, list[Call]]]:
        """(step, this process's calls of it) from step `first` on, read ahead epoch by epoch."""
        per_epoch = self.plan.steps_per_epoch
        while first < total:
            end = min(total, (first // per_epoch + 1) * per_epoch)
            planned = {step: self._planned(step) for step in range(first, end)}
            loaded = self._loaded([draws for calls in planned.values() for draws, _ in calls])
            for step, calls in planned.items():
                yield step, [Call(*next(loaded), weight) for _, weight in calls]
            first = end

    def _planned(self, step: int) -> list[tuple[list[Draw], float]]:
        """Draws of this process's calls, and the weight that makes their sum the step's mean."""
        draws = self.plan.step(step)
        size, world = self.config.train_batch_size, self.world
        mine = draws[self.rank :: world]
        if not mine:  # a short last step: take part in the exchange, add nothing
            return [(draws[:1], 0.0)]
        weight = world / len(draws)  # gradients are averaged over the processes
        return [(mine[i : i + size], weight) for i in range(0, len(mine), size)]

    def _loaded(
        self, plan: list[list[Draw]]
    ) -> Iterator[tuple[list[tuple[Draw, Example]], Tensor | None]]:
        """Examples of every list of draws, and their latents where these are kept."""
        if not self.config.cache_latents:
            for batch in batches(self.examples, plan, self.num_workers):
                yield batch, None
            return
        for draws in plan:
            kept = [self._kept(draw.index) for draw in draws]
            batch = [(draw, example) for draw, (example, _) in zip(draws, kept, strict=True)]
            yield batch, torch.stack([latents for _, latents in kept], dim=1)

    def _kept(self, index: int) -> tuple[Example, Tensor]:
        """The example at `index` without its image, and its latents (2, C, h, w)."""
        if index not in self._cache:
            example = self.examples.example(index)
            latents = self.base.encode(example.image[None])[:, 0].cpu()
            self._cache[index] = replace(example, image=torch.empty(0)), latents
        return self._cache[index]
