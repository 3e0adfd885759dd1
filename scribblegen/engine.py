"""The denoiser pool: rows of any source, guidance scale, encode ratio and step in one fixed shape.

A row is one evaluation of ControlNet and UNet: one latent, one timestep, one prompt, one hint.
Every call takes exactly `rows` rows, padded when fewer are ready, so a sample's image does not
depend on its batch-mates: for the same `rows` it is equal bit for bit. Conditional and
unconditional evaluations are just rows. Within the grid of one noise, the first step is evaluated
once per encode ratio and shared by all guidance scales: until then their latents are the same.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from scribblegen.diffusion import Diffusion, Prediction
from scribblegen.encode_ratio import FINAL, TimestepGrid

CONDITIONAL, UNCONDITIONAL = 0, 1


@dataclass(frozen=True, eq=False)
class Conditions:
    """What guides one source. `prompts` and `hints` hold the conditional, then the null one.

    Args:
        prompts: two of (T, D), from `Diffusion.embed_prompt`.
        hints: two of (D, h, w), from `Diffusion.embed_hint`.
    """

    prompts: tuple[Tensor, Tensor]
    hints: tuple[Tensor, Tensor]


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
    """

    key: Hashable
    group: int
    latents: Tensor
    noise: Tensor
    conditions: Conditions
    cells: tuple[tuple[TimestepGrid, tuple[float, ...]], ...]


@dataclass(frozen=True, eq=False)
class Twin:
    """One finished image, (3, H, W) float32 nominally in [-1, 1]; it may hold NaN."""

    key: Hashable
    grid: TimestepGrid
    guidance_scale: float
    image: Tensor


@dataclass(eq=False)
class _Node:
    """A point of denoising that one or more guidance scales have in common."""

    job: Job
    grid: TimestepGrid
    step: int
    latents: Tensor  # (C, h, w)
    guidance_scales: tuple[float, ...]
    predictions: dict[int, Tensor] = field(default_factory=dict)

    @property
    def branches(self) -> tuple[int, ...]:
        guided = any(w != 1 for w in self.guidance_scales)
        return (CONDITIONAL, UNCONDITIONAL) if guided else (CONDITIONAL,)


class DenoiserPool:
    """Denoises jobs of one latent shape.

    Args:
        diffusion: the networks.
        rows: rows of every denoiser call.
        decode_rows: images of every VAE decoder call.
        conditioning_scale: factor on the ControlNet's residuals.

    `counts` holds what was done: `rows` asked for, `calls`, `twins`, and `decodes`.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        *,
        rows: int,
        decode_rows: int = 4,
        conditioning_scale: float = 1.0,
    ) -> None:
        for name, value in (("rows", rows), ("decode_rows", decode_rows)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {value}.")
        self.diffusion = diffusion
        self.rows = rows
        self.decode_rows = decode_rows
        self.conditioning_scale = conditioning_scale
        self.counts: Counter[str] = Counter()
        self._ready: list[tuple[int, int, int, _Node, int]] = []  # a heap, see `_push`
        self._partial: set[_Node] = set()  # one branch predicted, the other not yet
        self._finished: list[tuple[_Node, float, Tensor]] = []  # waiting to be decoded
        self._order = itertools.count()

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
        if self._ready:
            groups.append(self._ready[0][0])
        return min(groups, default=None)

    @torch.inference_mode()
    def submit(self, job: Job) -> None:
        """Takes a job in. Its first rows are ready at once."""
        for grid, guidance_scales in job.cells:
            latents = _start_latents(job, grid, self.diffusion.prediction)
            self._push(_Node(job, grid, 0, latents, guidance_scales))

    @torch.inference_mode()
    def step(self) -> list[Twin]:
        """One denoiser call, or with no row ready the last decode. Returns what was finished."""
        if self._ready:
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

    def _push(self, node: _Node) -> None:
        # Lower groups first, so that a shard is finished before the next; within one, the longest
        # remaining run first, so that the short ones are left to fill the last calls.
        remaining = node.grid.num_steps - node.step
        for branch in node.branches:
            entry = (node.job.group, -remaining, next(self._order), node, branch)
            heapq.heappush(self._ready, entry)

    def _predict(self) -> list[_Node]:
        """Evaluates up to `rows` ready rows; returns the nodes that now have all they need."""
        taken = [heapq.heappop(self._ready) for _ in range(min(self.rows, len(self._ready)))]
        picked = [(node, branch) for *_, node, branch in taken]
        padded = picked + picked[:1] * (self.rows - len(picked))
        predictions = self.diffusion.predict(
            torch.stack([node.latents for node, _ in padded]),
            torch.tensor(
                [node.grid.timesteps[node.step] for node, _ in padded],
                device=self.diffusion.device,
            ),
            torch.stack([node.job.conditions.prompts[branch] for node, branch in padded]),
            torch.stack([node.job.conditions.hints[branch] for node, branch in padded]),
            self.conditioning_scale,
        )
        self.counts["calls"] += 1
        self.counts["rows"] += len(picked)
        complete = []
        for (node, branch), prediction in zip(picked, predictions, strict=False):
            node.predictions[branch] = prediction
            if len(node.predictions) == len(node.branches):
                self._partial.discard(node)
                complete.append(node)
            else:
                self._partial.add(node)
        return complete

    def _advance(self, nodes: list[_Node]) -> None:
        """Takes one DDIM step for every guidance scale of every node."""
        moves = [(node, w) for node in nodes for w in node.guidance_scales]
        if not moves:
            return
        latents = ddim_step(
            torch.stack([node.latents for node, _ in moves]),
            _guided(moves),
            [node.grid.timesteps[node.step] for node, _ in moves],
            [node.grid.previous[node.step] for node, _ in moves],
            self.diffusion.prediction,
        )
        for (node, w), moved in zip(moves, latents, strict=True):
            if node.step + 1 == node.grid.num_steps:
                self._finished.append((node, w, moved))
            else:
                self._push(_Node(node.job, node.grid, node.step + 1, moved, (w,)))

    def _decode(self) -> list[Twin]:
        """Decodes up to `decode_rows` finished latents in one call of fixed shape."""
        batch, self._finished = (
            self._finished[: self.decode_rows],
            self._finished[self.decode_rows :],
        )
        if not batch:
            return []
        padded = batch + batch[:1] * (self.decode_rows - len(batch))
        images = self.diffusion.decode(torch.stack([latents for *_, latents in padded]))
        self.counts["decodes"] += 1
        self.counts["twins"] += len(batch)
        return [
            Twin(node.job.key, node.grid, w, image)
            for (node, w, _), image in zip(batch, images, strict=False)
        ]


def ddim_step(
    latents: Tensor,
    predictions: Tensor,
    timesteps: list[int],
    previous: list[int],
    prediction: Prediction,
) -> Tensor:
    """DDIM with eta = 0 (arXiv 2010.02502, equation 12), with its own timesteps for every row.

    Args:
        latents, predictions: (B, C, h, w) float32.
        timesteps, previous: B timesteps, from and to; `FINAL` is the final alpha.

    Returns:
        (B, C, h, w) float32, the latents at `previous`.
    """
    device = latents.device
    alphas = prediction.alphas_cumprod
    alpha = alphas[timesteps].to(device)[:, None, None, None]
    landed = [alphas[t] if t != FINAL else prediction.final_alpha_cumprod for t in previous]
    alpha_previous = torch.stack(landed).to(device)[:, None, None, None]
    if prediction.kind == "epsilon":
        clean = (latents - (1 - alpha) ** 0.5 * predictions) / alpha**0.5
        noise = predictions
    else:
        clean = alpha**0.5 * latents - (1 - alpha) ** 0.5 * predictions
        noise = alpha**0.5 * predictions + (1 - alpha) ** 0.5 * latents
    if prediction.clip_sample_range is not None:
        clean = clean.clamp(-prediction.clip_sample_range, prediction.clip_sample_range)
    return alpha_previous**0.5 * clean + (1 - alpha_previous) ** 0.5 * noise


def _guided(moves: list[tuple[_Node, float]]) -> Tensor:
    """eps_u + w (eps_c - eps_u) for every move; plain eps_c at w = 1, which has no eps_u."""
    conditional = torch.stack([node.predictions[CONDITIONAL] for node, _ in moves])
    null = torch.stack(
        [node.predictions[UNCONDITIONAL if w != 1 else CONDITIONAL] for node, w in moves]
    )
    scales = torch.tensor([w for _, w in moves], device=conditional.device)[:, None, None, None]
    return null + scales * (conditional - null)


def _start_latents(job: Job, grid: TimestepGrid, prediction: Prediction) -> Tensor:
    """The job's latents with the noise of the grid's start added, (C, h, w)."""
    if grid.start is None:
        return job.noise
    alpha = prediction.alphas_cumprod[grid.start].to(job.latents.device)
    return alpha**0.5 * job.latents + (1 - alpha) ** 0.5 * job.noise
