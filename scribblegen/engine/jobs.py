"""What goes through the denoiser pool: a job in, nodes on the way, twins out."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from torch import Tensor

from scribblegen.engine.encode_ratio import Timesteps
from scribblegen.engine.samplers import History
from scribblegen.engine.transfers import HostCopy

CONDITIONAL, UNCONDITIONAL = 0, 1


@dataclass(frozen=True, eq=False)
class Conditions:
    """What guides one source: the conditional tensor of each kind, then the null one.

    Args:
        prompts: two of (T, D), from `Diffusion.embed_prompt`.
        conditionings: two of (D, h, w), from `Diffusion.embed_conditioning`.
    """

    prompts: tuple[Tensor, Tensor]
    conditionings: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Job:
    """One noise of one source, and the twins to make from it.

    Args:
        key: given back with every twin.
        group: jobs of a lower group are finished first.
        latents: (C, h, w) float32, the source's, scaled.
        noise: (C, h, w) float32 from N(0, 1).
        conditions: of the source.
        cells: for each run of timesteps, the guidance scales (>= 1) wanted.
        step_noises: for samplers that draw noise, that of every step, (C, h, w) float32 each.
    """

    key: Hashable
    group: int
    latents: Tensor
    noise: Tensor
    conditions: Conditions
    cells: tuple[tuple[Timesteps, tuple[float, ...]], ...]
    step_noises: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Twin:
    """One finished image."""

    key: Hashable
    grid: Timesteps
    guidance_scale: float
    batch: HostCopy  # that it was decoded in
    index: int  # in it

    @property
    def image(self) -> Tensor:
        """(3, H, W) float32 nominally in [-1, 1]; it may hold NaN. Waits for it to arrive."""
        return self.batch.get(self.index)


@dataclass(eq=False)
class Node:
    """A point of denoising that one or more guidance scales have in common."""

    job: Job
    grid: Timesteps
    step: int
    latents: Tensor  # (C, h, w)
    guidance_scales: tuple[float, ...]
    history: History | None = None
    features: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)  # kept, by branch
    predictions: dict[int, Tensor] = field(default_factory=dict)  # by branch

    @property
    def branches(self) -> tuple[int, ...]:
        guided = any(w != 1 for w in self.guidance_scales)
        return (CONDITIONAL, UNCONDITIONAL) if guided else (CONDITIONAL,)

    @property
    def is_last(self) -> bool:
        return self.step + 1 == self.grid.num_steps

    @property
    def is_complete(self) -> bool:
        """Whether every branch has its prediction."""
        return len(self.predictions) == len(self.branches)

    @property
    def step_noise(self) -> Tensor | None:
        return self.job.step_noises[self.step] if self.job.step_noises else None

    def next(self, latents: Tensor, guidance_scale: float, history: History | None) -> "Node":
        """The node after this one's step, under one guidance scale."""
        return Node(
            self.job,
            self.grid,
            self.step + 1,
            latents,
            (guidance_scale,),
            history,
            dict(self.features),  # other guidance scales go on to features of their own
        )
