"""The denoiser pool: rows of any source, guidance scale, encode ratio and step in one fixed shape.

A row is one evaluation of a family's networks: one latent, one timestep, one condition. Every call
takes exactly `rows` rows, padded when fewer are ready, so an image does not depend on its
batch-mates: for the same `rows` it is equal bit for bit. Conditional and unconditional evaluations
are just rows. Of one noise, the first step is evaluated once per encode ratio and shared by all
guidance scales: until then their latents are the same. Calls are made of whole guided pairs as far
as it goes: what a family's networks do before they look at what differs is then done once for both
rows of a pair.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, Generic

import torch
from torch import Tensor

from scribblegen.engine.calls import numbered, padded, stacked_condition, stacked_kept
from scribblegen.engine.denoising import Denoising, shared_names
from scribblegen.engine.jobs import Finished, Job, Key, Node, Trajectory
from scribblegen.engine.probes import CONDITIONAL, UNCONDITIONAL, Use
from scribblegen.engine.queue import Picked, ReadyRows, Row
from scribblegen.engine.samplers import Moves, sampler_step
from scribblegen.engine.stage_times import StageTimes
from scribblegen.engine.transfers import SideStream, to_device, to_host
from scribblegen.families.base import Family
from scribblegen.families.schedule import add_noise


class DenoiserPool(Generic[Key]):
    """Denoises jobs of one latent shape.

    Args:
        family: the networks.
        rows: rows of every denoiser call. Odd or 2: nothing is shared within a pair.
        decode_rows: images of every decoder call.
        denoising: DDIM, every name in every step and no probe if None.
        times: where time spent is added up.

    `counts` holds what was done: `rows` asked for, `calls`, `paired_calls`, `images`, `decodes`.

    Raises:
        ValueError: a number of rows that no call can have.
    """

    def __init__(
        self,
        family: Family,
        *,
        rows: int,
        decode_rows: int = 4,
        denoising: Denoising | None = None,
        times: StageTimes | None = None,
    ) -> None:
        for name, value in (("rows", rows), ("decode_rows", decode_rows)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {value}.")
        if family.is_compiled and rows % 2:
            raise ValueError(f"`rows` must be even where calls are compiled. Got {rows}.")
        self.family = family
        self.rows = rows
        self.decode_rows = decode_rows
        self.denoising = denoising or Denoising()
        self.times = times or StageTimes(family.device)
        self.counts: Counter[str] = Counter()
        self._ready = ReadyRows(mixed=not family.is_compiled)
        self._decoding = SideStream(family.device)
        self._partial: set[Node] = set()  # one branch predicted, the other not yet
        self._finished: list[tuple[Node, Trajectory[Key], Tensor]] = []  # waiting to be decoded

    @property
    def wants_jobs(self) -> bool:
        """Whether another job should be submitted before the next `step`.

        A few calls' worth of rows lets long and short runs be packed without holes.
        """
        return len(self._ready) < 4 * self.rows

    @property
    def is_empty(self) -> bool:
        return not (self._ready or self._finished)

    @property
    def oldest_group(self) -> int | None:
        """The lowest group of any unfinished job; None when the pool is empty."""
        groups = [node.job.group for node, _, _ in self._finished]
        groups += [node.job.group for node in self._partial]
        if (ready := self._ready.oldest_group) is not None:
            groups.append(ready)
        return min(groups, default=None)

    @torch.inference_mode()
    def submit(self, job: Job[Key]) -> None:
        """Takes a job in. Its first rows are ready at once.

        Raises:
            ValueError: a trajectory cannot be guided in the way that it asks for.
        """
        together: dict[Hashable, list[Trajectory[Key]]] = {}
        for trajectory in job.trajectories:
            together.setdefault(self._shared_start(trajectory), []).append(trajectory)
        for trajectories in together.values():
            self._push(self._first_node(job, tuple(trajectories)))

    @torch.inference_mode()
    def step(self) -> list[Finished[Key]]:
        """One denoiser call, or with no row ready the last decode. Returns what was finished."""
        if self._ready:
            with self.times.stage("denoise"):
                self._advance(self._predict())
        if len(self._finished) >= self.decode_rows or not self._ready:
            return self._decode()
        return []

    def run(self, jobs: Iterable[Job[Key]]) -> Iterable[Finished[Key]]:
        """Denoises `jobs`, taken one by one as there is room."""
        for job in jobs:
            self.submit(job)
            while not self.wants_jobs:
                yield from self.step()
        while not self.is_empty:
            yield from self.step()

    def _shared_start(self, trajectory: Trajectory[Key]) -> Hashable:
        """Equal for trajectories of a job that begin with the same rows."""
        conditions = (id(trajectory.conditional), id(trajectory.null))
        if self.family.guidance == "embedded":
            return trajectory.timesteps, conditions, trajectory.guidance_scale
        if trajectory.null is None and trajectory.guidance_scale != 1:
            raise ValueError(
                "`null` must be given where `guidance_scale` is not 1: what the unconditional rows "
                f"are denoised under. Got None at {trajectory.guidance_scale}."
            )
        return trajectory.timesteps, conditions

    def _first_node(self, job: Job[Key], trajectories: tuple[Trajectory[Key], ...]) -> Node:
        first, latents = trajectories[0], job.noise
        if first.timesteps.start is not None:
            assert job.latents is not None, "a job without latents starts from noise"
            start = [first.timesteps.start]
            latents = add_noise(self.family.schedule, job.latents[None], latents[None], start)[0]
        conditional = first.conditional
        if self.family.guidance == "embedded":
            scale = torch.tensor(first.guidance_scale, device=self.family.device)
            conditional = {**conditional, "guidance_scale": scale}
        return Node(job, trajectories, (conditional, first.null), 0, latents)

    def _push(self, node: Node) -> None:
        self._ready.push(node, self.denoising.forms(node, compiled=self.family.is_compiled))

    def _predict(self) -> list[Node]:
        """Evaluates up to `rows` ready rows; returns the nodes that now have all they need."""
        picked = self._ready.pick(self.rows)
        predictions = self._call(picked, padded(picked, self.rows))
        complete: list[Node] = []
        for (node, branch, _), number in numbered(picked, self.rows):
            node.predictions[branch] = predictions[number]
            if node.is_complete:
                self._partial.discard(node)
                complete.append(node)
            else:
                self._partial.add(node)
        self.counts["calls"] += 1
        self.counts["paired_calls"] += picked.paired
        self.counts["rows"] += len(picked.rows)
        return complete

    def _call(self, picked: Picked, rows: list[Row]) -> Tensor:
        """The predictions of `rows`, in the form that they have in common."""
        latents = torch.stack([row.node.latents for row in rows])
        timesteps = torch.tensor([row.node.timestep for row in rows])
        timesteps = to_device(timesteps, self.family.device)
        condition = stacked_condition(rows)
        use, probe = picked.rows[0].form.use, self.denoising.probe
        if use is Use.PLAIN or probe is None:
            shared = None
            if picked.paired:
                shared = shared_names([row.node for row in picked.rows], rows[0].form.names)
            return self.family.denoiser(latents, timesteps, condition, shared=shared)
        networks = self.family.networks
        if use is Use.REPLACED:
            return probe.predict(networks, latents, timesteps, condition, stacked_kept(rows))
        with probe.attach(networks, condition):
            predictions = self.family.denoiser.observed(latents, timesteps, condition)
        collected = probe.collect()
        for (node, branch, _), number in numbered(picked, self.rows):
            new = {name: tensor[number] for name, tensor in collected.items()}
            node.kept[branch] = probe.fold(node.kept.get(branch), new, node.step)
        return predictions

    def _advance(self, nodes: list[Node]) -> None:
        """Takes one step for every trajectory of every node."""
        moves = [(node, trajectory) for node in nodes for trajectory in node.trajectories]
        if not moves:
            return
        latents, history = sampler_step(
            self.denoising.sampler,
            Moves(
                latents=torch.stack([node.latents for node, _ in moves]),
                predictions=_guided(moves, self.family.device),
                timesteps=[node.timestep for node, _ in moves],
                previous=[node.next_timestep for node, _ in moves],
                is_last=[node.is_last for node, _ in moves],
                history=[node.history for node, _ in moves],
                noises=[node.step_noise for node, _ in moves],
            ),
            self.family.schedule,
        )
        for (node, trajectory), moved, remembered in zip(moves, latents, history, strict=True):
            if node.is_last:
                self._finished.append((node, trajectory, moved))
            else:
                self._push(node.next(trajectory, moved, remembered))

    def _decode(self) -> list[Finished[Key]]:
        """Decodes up to `decode_rows` finished latents in one call of fixed shape."""
        batch, self._finished = (
            self._finished[: self.decode_rows],
            self._finished[self.decode_rows :],
        )
        if not batch:
            return []
        left = [self._left(node) for node, *_ in batch]
        rows = batch + batch[:1] * (self.decode_rows - len(batch))
        latents = torch.stack([latents for *_, latents in rows])
        waited_for = [latents, *(tensor for kept in left for tensor in kept.values())]
        with self._decoding.after(*waited_for), self.times.stage("decode"):
            arriving = to_host(self.family.decode(latents))
            kept = [{name: to_host(t[None]) for name, t in of_row.items()} for of_row in left]
        self.counts["decodes"] += 1
        self.counts["images"] += len(batch)
        return [
            Finished(trajectory.key, arriving, index, kept[index])
            for index, (_, trajectory, _) in enumerate(batch)
        ]

    def _left(self, node: Node) -> dict[str, Tensor]:
        """What the image of a node takes along of what a probe kept."""
        probe = self.denoising.probe
        if probe is None or CONDITIONAL not in node.kept:
            return {}
        return dict(probe.finish(node.kept[CONDITIONAL]))


def _guided(moves: list[tuple[Node, Trajectory[Any]]], device: torch.device) -> Tensor:
    """eps_u + w (eps_c - eps_u) for every move; plain eps_c where there is no eps_u."""
    conditional = torch.stack([node.predictions[CONDITIONAL] for node, _ in moves])
    null = torch.stack(
        [
            node.predictions[UNCONDITIONAL if trajectory.is_guided else CONDITIONAL]
            for node, trajectory in moves
        ]
    )
    scales = [trajectory.guidance_scale for _, trajectory in moves]
    columns = to_device(torch.tensor(scales), device)[:, None, None, None]
    return null + columns * (conditional - null)
