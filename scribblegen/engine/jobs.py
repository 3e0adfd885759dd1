"""What goes through the denoiser pool: a job in, nodes on the way, finished images out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from torch import Tensor

from scribblegen.engine.encode_ratio import Timesteps
from scribblegen.engine.probes import CONDITIONAL, UNCONDITIONAL, Kept
from scribblegen.engine.samplers import History
from scribblegen.engine.transfers import HostCopy
from scribblegen.families.base import Condition

Key = TypeVar("Key")


@dataclass(frozen=True, eq=False)
class Trajectory(Generic[Key]):
    """The way of one image from noise.

    Args:
        key: given back with the image.
        timesteps: that it visits.
        guidance_scale: at least 1.
        conditional: what its rows are denoised under.
        null: what the unconditional rows are denoised under, where the scale is not 1. None where
            there are none: at scale 1, or in a family that is told the scale.
    """

    key: Key
    timesteps: Timesteps
    guidance_scale: float
    conditional: Condition
    null: Condition | None = None

    @property
    def is_guided(self) -> bool:
        """Whether a step of it has an unconditional row."""
        return self.null is not None and self.guidance_scale != 1


@dataclass(frozen=True, eq=False)
class Job(Generic[Key]):
    """One noise, and the images to make from it.

    Trajectories of the same timesteps and the same condition objects share their steps until
    guidance parts them. Those that agree in guidance scale too never part: give only one of them.

    Args:
        group: jobs of a lower group are finished first.
        noise: (C, h, w) float32 from N(0, 1).
        latents: (C, h, w) float32, a source's, scaled; None to start from pure noise.
        trajectories: the ways of the images wanted.
        step_noises: for samplers that draw noise, that of every step, (C, h, w) float32 each.

    Raises:
        ValueError: there are no latents for a trajectory to start from.
    """

    group: int
    noise: Tensor
    latents: Tensor | None
    trajectories: tuple[Trajectory[Key], ...]
    step_noises: tuple[Tensor, ...] = ()

    def __post_init__(self) -> None:
        for trajectory in self.trajectories:
            if self.latents is None and trajectory.timesteps.start is not None:
                raise ValueError(
                    f"`latents` must be given: a trajectory starts from them at timestep "
                    f"{trajectory.timesteps.start}. Got None, with which `timesteps` must start "
                    "from pure noise (encode ratio 1)."
                )


@dataclass(frozen=True, eq=False)
class Finished(Generic[Key]):
    """One finished image. What it holds is on its way to the host: ask late, in another thread.

    Args:
        key: the key of its trajectory.
        batch: the images that it was decoded with.
        index: in the batch.
        kept: what a probe left, each alone in a batch.
    """

    key: Key
    batch: HostCopy
    index: int
    kept: Mapping[str, HostCopy] = field(default_factory=dict)

    @property
    def image(self) -> Tensor:
        """(3, H, W) float32 nominally in [-1, 1]; it may hold NaN. Waits for it to arrive."""
        return self.batch.get(self.index)

    @property
    def left(self) -> dict[str, Tensor]:
        """What a probe's `finish` gave, by name. Waits for it to arrive."""
        return {name: copy.get(0) for name, copy in self.kept.items()}


@dataclass(eq=False)
class Node:
    """A point of denoising that one or more trajectories of a job have in common."""

    job: Job[Any]
    trajectories: tuple[Trajectory[Any], ...]
    conditions: tuple[Condition, Condition | None]  # by branch
    step: int
    latents: Tensor  # (C, h, w)
    history: History | None = None
    kept: dict[int, Kept] = field(default_factory=dict)  # by branch
    predictions: dict[int, Tensor] = field(default_factory=dict)  # by branch

    @property
    def branches(self) -> tuple[int, ...]:
        guided = any(trajectory.is_guided for trajectory in self.trajectories)
        return (CONDITIONAL, UNCONDITIONAL) if guided else (CONDITIONAL,)

    def condition(self, branch: int) -> Condition:
        """What the rows of a branch are denoised under."""
        condition = self.conditions[branch]
        assert condition is not None, "a node has no branch without a condition"
        return condition

    @property
    def num_steps(self) -> int:
        return self.trajectories[0].timesteps.num_steps

    @property
    def timestep(self) -> float:
        return self.trajectories[0].timesteps.timesteps[self.step]

    @property
    def next_timestep(self) -> float:
        return self.trajectories[0].timesteps.previous[self.step]

    @property
    def is_last(self) -> bool:
        return self.step + 1 == self.num_steps

    @property
    def is_complete(self) -> bool:
        """Whether every branch has its prediction."""
        return len(self.predictions) == len(self.branches)

    @property
    def step_noise(self) -> Tensor | None:
        return self.job.step_noises[self.step] if self.job.step_noises else None

    def next(self, trajectory: Trajectory[Any], latents: Tensor, history: History | None) -> "Node":
        """The node after this one's step, of one trajectory."""
        return Node(
            job=self.job,
            trajectories=(trajectory,),
            conditions=self.conditions,
            step=self.step + 1,
            latents=latents,
            history=history,
            kept=dict(self.kept),  # the others go on to keep their own
        )
