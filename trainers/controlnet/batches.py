"""Batches of a ControlNet's training, with their latents where these are kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.controlnet.examples import Example, Examples, batches
from scribblegen.trainers.controlnet.step import FrozenBase


@dataclass(frozen=True, eq=False)
class ControlNetBatch:
    """Draws with their examples, and latents (2, B, C, h, w) where they are known already."""

    examples: list[tuple[Draw, Example]]
    latents: Tensor | None


class ExampleLoader:
    """Reads what a ControlNet is trained on.

    Args:
        examples: the examples of the source.
        base: encodes the images that are kept as latents.
        cache_latents: encode every view of a photograph once.
        num_workers: processes that read photographs, where nothing is kept.
    """

    def __init__(
        self, examples: Examples, base: FrozenBase, *, cache_latents: bool, num_workers: int
    ) -> None:
        self.examples, self.base = examples, base
        self.cache_latents, self.num_workers = cache_latents, num_workers
        self._cache: dict[tuple[int, ...], tuple[Example, Tensor]] = {}

    def load(self, plan: list[list[Draw]]) -> Iterator[ControlNetBatch]:
        """The batch of every list of draws."""
        if not self.cache_latents:
            for batch in batches(self.examples, plan, self.num_workers):
                yield ControlNetBatch(batch, None)
            return
        for draws in plan:
            kept = [self._kept(draw.index, self.examples.view(draw)) for draw in draws]
            batch = [(draw, example) for draw, (example, _) in zip(draws, kept, strict=True)]
            yield ControlNetBatch(batch, torch.stack([latents for _, latents in kept], dim=1))

    def _kept(self, *view: int) -> tuple[Example, Tensor]:
        """A view of a photograph without its image, and its latents (2, C, h, w)."""
        if view not in self._cache:
            example = self.examples.example(*view)
            latents = self.base.encode(example.image[None])[:, 0].cpu()
            self._cache[view] = replace(example, image=torch.empty(0)), latents
        return self._cache[view]
