"""The denoiser pool: rows of any source, guidance scale, encode ratio and step in one fixed shape.

A row is one evaluation of ControlNet and UNet: one latent, timestep, prompt, conditioning.
Every call takes exactly `rows` rows, padded when fewer are ready, so a sample's image does not
depend on its batch-mates: for the same `rows` it is equal bit for bit. Conditional and
unconditional evaluations are just rows. Within the grid of one noise, the first step is evaluated
once per encode ratio and shared by all guidance scales: until then their latents are the same.
Calls are made of whole guided pairs as far as it goes: what comes before the prompt is then
evaluated once for both rows of a pair.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from scribblegen.engine.encode_ratio import Timesteps
from scribblegen.engine.jobs import CONDITIONAL, UNCONDITIONAL, Job, Node, Twin
from scribblegen.engine.queue import Form, Picked, ReadyRows, Row
from scribblegen.engine.samplers import Moves, sampler_step
from scribblegen.engine.stage_times import StageTimes
from scribblegen.engine.transfers import SideStream, to_device, to_host
from scribblegen.families.schedule import Prediction
from scribblegen.families.stable_diffusion.networks import Diffusion


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """How rows are denoised, the same for all of a pool.

    Args:
        conditioning_scale: factor on the ControlNet's residuals.
        sampler: one of `encode_ratio.SAMPLERS`.
        control_start, control_end: shares of a run's steps between which the ControlNet is used.
        deep_cache_interval: of so many steps one is whole, the others shallow; 1: all are whole.
    """

    conditioning_scale: float = 1.0
    sampler: str = "ddim"
    control_start: float = 0.0
    control_end: float = 1.0
    deep_cache_interval: int = 1

    def form(self, node: Node) -> Form:
        """How the rows of a node are evaluated."""
        if node.step % self.deep_cache_interval:
            return Form.SHALLOW
        # A whole step of a deep cache keeps residuals too, be they zero.
        if self.deep_cache_interval > 1 or self.is_controlled(node):
            return Form.CONTROLLED
        return Form.UNCONTROLLED

    def is_controlled(self, node: Node) -> bool:
        """Whether the ControlNet has a say in a node's step."""
        steps = node.grid.num_steps
        too_early = node.step / steps < self.control_start
        too_late = (node.step + 1) / steps > self.control_end
        return not (too_early or too_late)


class DenoiserPool:
    """Denoises jobs of one latent shape.

    Args:
        diffusion: the networks.
        rows: rows of every denoiser call. Odd or 2: nothing is shared within a pair.
        decode_rows: images of every VAE decoder call.
        denoising: the default is the paper's.
        times: where time spent is added up.

    `counts` holds what was done: `rows` asked for, `calls`, `paired_calls`, `twins`, `decodes`.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        *,
        rows: int,
        decode_rows: int = 4,
        denoising: Denoising | None = None,
        times: StageTimes | None = None,
    ) -> None:
        for name, value in (("rows", rows), ("decode_rows", decode_rows)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {value}.")
        if diffusion.is_compiled and rows % 2:
            raise ValueError(f"`rows` must be even where calls are compiled. Got {rows}.")
        self.diffusion = diffusion
        self.rows = rows
        self.decode_rows = decode_rows
        self.denoising = denoising or Denoising()
        self.times = times or StageTimes(diffusion.device)
        self.counts: Counter[str] = Counter()
        self._ready = ReadyRows(mixed=not diffusion.is_compiled)
        self._decoding = SideStream(diffusion.device)
        self._partial: set[Node] = set()  # one branch predicted, the other not yet
        self._finished: list[tuple[Node, float, Tensor]] = []  # waiting to be decoded

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
    def submit(self, job: Job) -> None:
        """Takes a job in. Its first rows are ready at once."""
        for grid, guidance_scales in job.cells:
            latents = _start_latents(job, grid, self.diffusion.prediction)
            self._push(Node(job, grid, 0, latents, guidance_scales))

    @torch.inference_mode()
    def step(self) -> list[Twin]:
        """One denoiser call, or with no row ready the last decode. Returns what was finished."""
        if self._ready:
            with self.times.stage("denoise"):
                self._advance(self._predict())
        if len(self._finished) >= self.decode_rows or not self._ready:
            return self._decode()
        return []

    def run(self, jobs: Iterable[Job]) -> Iterable[Twin]:
        """Denoises `jobs`, taken one by one as there is room."""
        for job in jobs:
            self.submit(job)
            while not self.wants_jobs:
                yield from self.step()
        while not self.is_empty:
            yield from self.step()

    def _push(self, node: Node) -> None:
        self._ready.push(node, self.denoising.form(node))

    def _predict(self) -> list[Node]:
        """Evaluates up to `rows` ready rows; returns the nodes that now have all they need."""
        picked = self._ready.pick(self.rows)
        predictions = self._call(picked, _padded(picked, self.rows))
        complete: list[Node] = []
        for (node, branch), row in _numbered(picked, self.rows):
            node.predictions[branch] = predictions[row]
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
        """The predictions of `rows`, in the form of `picked`."""
        device = self.diffusion.device
        latents = torch.stack([node.latents for node, _ in rows])
        timesteps = [node.grid.timesteps[node.step] for node, _ in rows]
        prompts = torch.stack([node.job.conditions.prompts[branch] for node, branch in rows])
        arguments = (latents, to_device(torch.tensor(timesteps), device), prompts)
        if picked.form is Form.SHALLOW:
            features = [node.features[branch] for node, branch in rows]
            stacked = tuple(torch.stack(kept) for kept in zip(*features, strict=True))
            return self.diffusion.denoiser.shallow(*arguments, stacked)
        conditionings = torch.stack(
            [node.job.conditions.conditionings[branch] for node, branch in rows]
        )
        scale = self._conditioning_scale(rows)
        if self.denoising.deep_cache_interval > 1:
            predictions, kept = self.diffusion.denoiser.keeping(*arguments, conditionings, scale)
            for (node, branch), row in _numbered(picked, self.rows):
                node.features[branch] = tuple(tensors[row] for tensors in kept)
            return predictions
        both = [node.job.conditions.conditionings for node, _ in rows]
        return self.diffusion.denoiser(
            *arguments,
            conditionings,
            scale,
            paired=picked.paired,
            same_conditioning=all(conditioning is null for conditioning, null in both),
            controlled=picked.form is Form.CONTROLLED,
        )

    def _conditioning_scale(self, rows: list[Row]) -> float | Tensor:
        """The factor on the residuals; of every row its own where some are not controlled."""
        scale, denoising = self.denoising.conditioning_scale, self.denoising
        if (denoising.control_start, denoising.control_end) == (0.0, 1.0):
            return scale
        scales = [scale * denoising.is_controlled(node) for node, _ in rows]
        tensor = torch.tensor(scales, dtype=self.diffusion.dtype)[:, None, None, None]
        return to_device(tensor, self.diffusion.device)

    def _advance(self, nodes: list[Node]) -> None:
        """Takes one step for every guidance scale of every node."""
        moves = [(node, w) for node in nodes for w in node.guidance_scales]
        if not moves:
            return
        latents, history = sampler_step(
            self.denoising.sampler,
            Moves(
                latents=torch.stack([node.latents for node, _ in moves]),
                predictions=_guided(moves, self.diffusion.device),
                timesteps=[node.grid.timesteps[node.step] for node, _ in moves],
                previous=[node.grid.previous[node.step] for node, _ in moves],
                is_last=[node.is_last for node, _ in moves],
                history=[node.history for node, _ in moves],
                noises=[node.step_noise for node, _ in moves],
            ),
            self.diffusion.prediction,
        )
        for (node, w), moved, left in zip(moves, latents, history, strict=True):
            if node.is_last:
                self._finished.append((node, w, moved))
            else:
                self._push(node.next(moved, w, left))

    def _decode(self) -> list[Twin]:
        """Decodes up to `decode_rows` finished latents in one call of fixed shape."""
        batch, self._finished = (
            self._finished[: self.decode_rows],
            self._finished[self.decode_rows :],
        )
        if not batch:
            return []
        padded = batch + batch[:1] * (self.decode_rows - len(batch))
        latents = torch.stack([latents for *_, latents in padded])
        with self._decoding.after(latents), self.times.stage("decode"):
            arriving = to_host(self.diffusion.decode(latents))
        self.counts["decodes"] += 1
        self.counts["twins"] += len(batch)
        return [
            Twin(node.job.key, node.grid, w, arriving, index)
            for index, (node, w, _) in enumerate(batch)
        ]


def _padded(picked: Picked, rows: int) -> list[Row]:
    """The picked rows, filled up to a call's; paired ones half by half."""
    parts = 2 if picked.paired else 1
    size = len(picked.rows) // parts
    halves = [picked.rows[i * size : (i + 1) * size] for i in range(parts)]
    return [row for half in halves for row in half + half[:1] * (rows // parts - size)]


def _numbered(picked: Picked, rows: int) -> Iterable[tuple[Row, int]]:
    """The picked rows, each with its number in the call."""
    size = len(picked.rows) // 2
    for index, row in enumerate(picked.rows):
        skipped = rows // 2 - size if picked.paired and index >= size else 0
        yield row, index + skipped


def _guided(moves: list[tuple[Node, float]], device: torch.device) -> Tensor:
    """eps_u + w (eps_c - eps_u) for every move; plain eps_c at w = 1, which has no eps_u."""
    conditional = torch.stack([node.predictions[CONDITIONAL] for node, _ in moves])
    null = torch.stack(
        [node.predictions[UNCONDITIONAL if w != 1 else CONDITIONAL] for node, w in moves]
    )
    scales = to_device(torch.tensor([w for _, w in moves]), device)[:, None, None, None]
    return null + scales * (conditional - null)


def _start_latents(job: Job, grid: Timesteps, prediction: Prediction) -> Tensor:
    """The job's latents with the noise of the grid's start added, (C, h, w)."""
    if grid.start is None:
        return job.noise
    alpha = prediction.alphas_cumprod[grid.start]  # on the host, as a scalar: nothing waits for it
    return alpha**0.5 * job.latents + (1 - alpha) ** 0.5 * job.noise
