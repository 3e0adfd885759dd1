"""P7 to P10: the pool beside the stock pipeline, in one run and by turns.

    python -m tests.benchmarks.engine_speed [--only P7-P8]

One thread, CPU time. Correctness is asserted in the same run. Writes `results/engine_speed.json`
and, with all other benchmarks of the engine, `results/engine.md`.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scribblegen.engine.encode_ratio import timesteps_of
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.families.base import Condition
from scribblegen.families.stable_diffusion.family import StableDiffusion
from tests.benchmarks.engine_networks import (
    SIZES,
    compiled_pipeline,
    parts_of,
)
from tests.benchmarks.timing import environment, in_turns, load, save, spread, times_faster
from tests.pool_jobs import CHANNELS, stock

ROWS = 16
SCALES = (1.0, 2.0, 4.0, 7.5)
TOLERANCE = 1e-4  # of an image in [0, 1]; guidance multiplies rounding


@dataclass(frozen=True, eq=False)
class Photograph:
    """A source: what both sides are given."""

    number: int
    image: Tensor  # (1, 3, H, W) in [0, 1]
    conditioning: Tensor  # (1, C, H, W)

    @property
    def prompt(self) -> str:
        return f"a photo of {self.number % 5}"


Cell = tuple[int, float, float]  # photograph, guidance scale, encode ratio


def photographs(count: int, side: int) -> list[Photograph]:
    """Sources of noise."""
    generator = torch.Generator().manual_seed(0)
    return [
        Photograph(
            number,
            torch.rand(1, 3, side, side, generator=generator),
            (torch.rand(1, CHANNELS, side, side, generator=generator) > 0.8).float(),
        )
        for number in range(count)
    ]


class Bench:
    """One pipeline, and the three ways to make a list of cells with it.

    Args:
        size: one of `SIZES`.
        count: photographs.
        steps: how many steps a run of encode ratio 1 has.
        device, dtype: of both sides.
        compiled: ours goes through torch.compile, and so does the stock pipeline when batched.
        rows: how many rows a call has, of ours and of the batched stock pipeline.
    """

    def __init__(
        self,
        size: str,
        count: int,
        steps: int = 10,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
        rows: int = ROWS,
    ) -> None:
        parts = parts_of(size, device=device, dtype=dtype)
        self.device, self.dtype, self.steps, self.rows = device, dtype, steps, rows
        self.sources = photographs(count, SIZES[size].side)
        self.stock = self.batched_stock = stock(parts)
        if compiled:
            self.batched_stock = compiled_pipeline(parts_of(size, device=device, dtype=dtype))
        self.diffusion = StableDiffusion(
            **parts, device=device, dtype=dtype, compile_calls=compiled
        )
        self.images: dict[str, dict[Cell, Tensor]] = {}
        self.pool: DenoiserPool[Cell] | None = None

    def per_sample(self, cells: Sequence[Cell]) -> None:
        """The stock pipeline, once for every image."""
        self.images["per sample"] = {cell: self._stock([cell], self.stock)[0] for cell in cells}

    def batched(self, cells: Sequence[Cell]) -> None:
        """The stock pipeline, images of one config together, as many as make `rows` rows."""
        groups = defaultdict(list)
        for cell in cells:
            groups[cell[1:]].append(cell)
        self.images["batched"] = {}
        for (scale, _), members in groups.items():
            at_once = self.rows if scale <= 1 else self.rows // 2
            for start in range(0, len(members), at_once):
                batch = members[start : start + at_once]
                self.images["batched"].update(
                    zip(batch, self._stock(batch, self.batched_stock), strict=True)
                )

    def ours(self, cells: Sequence[Cell]) -> None:
        """The pool."""
        self.pool = DenoiserPool(self.diffusion, rows=self.rows)
        prompts: dict[str, Condition] = {}
        wanted = defaultdict(list)
        for number, scale, ratio in cells:
            wanted[number].append((scale, ratio))
        jobs = (self.job(n, pairs, prompts) for n, pairs in wanted.items())
        self.images["ours"] = {
            twin.key: (twin.image / 2 + 0.5).clamp(0, 1) for twin in self.pool.run(jobs)
        }

    def largest_difference(self, one: str, other: str) -> float:
        """Between images that two ways made."""
        here, there = self.images[one], self.images[other]
        assert here.keys() == there.keys()
        return max(float((here[c].cpu() - there[c].cpu()).abs().max()) for c in here)

    @torch.inference_mode()
    def _stock(self, cells: Sequence[Cell], pipeline: Any) -> list[Tensor]:
        sources = [self.sources[number] for number, _, _ in cells]
        _, scale, ratio = cells[0]
        images = pipeline(
            prompt=[source.prompt for source in sources],
            image=torch.cat([source.image for source in sources]),
            control_image=torch.cat([source.conditioning for source in sources]),
            strength=ratio,
            num_inference_steps=self.steps,
            guidance_scale=scale,
            controlnet_conditioning_scale=1.0,
            generator=[torch.Generator().manual_seed(source.number) for source in sources],
            output_type="pt",
        ).images
        return list(images.float())

    @torch.inference_mode()
    def job(
        self, number: int, pairs: list[tuple[float, float]], prompts: dict[str, Condition]
    ) -> Job[Cell]:
        """A photograph's job, of guidance scales and encode ratios; `prompts` are remembered."""
        source, diffusion = self.sources[number], self.diffusion
        generator = torch.Generator().manual_seed(number)
        mean, std = diffusion.encode(2 * source.image - 1)
        drawn = torch.randn(2, *mean.shape, generator=generator, dtype=self.dtype)
        posterior, noise = drawn.float().to(diffusion.device)
        followed = diffusion.conditioning(source.conditioning[0])
        for prompt in (source.prompt, ""):
            if prompt not in prompts:
                prompts[prompt] = diffusion.prompt(prompt)
        both = [{**prompts[prompt], **followed} for prompt in (source.prompt, "")]
        runs = {r: timesteps_of(r, self.steps, pure_noise_at_one=False) for _, r in pairs}
        return Job(
            group=0,
            noise=noise[0],
            latents=diffusion.sample_latents(mean, std, posterior)[0],
            trajectories=tuple(
                Trajectory((number, scale, ratio), runs[ratio], scale, *both)
                for scale, ratio in pairs
            ),
        )


def grid_cells(count: int, ratios: Sequence[float]) -> list[Cell]:
    """The whole grid of every photograph."""
    return [(n, w, r) for n in range(count) for w in SCALES for r in ratios]


def grid_speed(
    bench: Bench, cells: Sequence[Cell], rounds: int, *, tolerance: float | None = TOLERANCE
) -> dict[str, Any]:
    """P7, P8 (and P9 with random cells): seconds of the three ways, and how much faster ours is.

    Args:
        bench: the pipeline.
        cells: what to make.
        rounds: of turns.
        tolerance: between ours and the stock images; None where their arithmetic differs.
    """
    ways = ("per sample", "batched", "ours")
    calls = (bench.per_sample, bench.batched, bench.ours)
    taken = in_turns(
        {way: lambda call=call: call(cells) for way, call in zip(ways, calls, strict=True)},
        rounds=rounds,
    )
    difference = bench.largest_difference("per sample", "ours")
    assert tolerance is None or difference < tolerance, difference
    pool = bench.pool
    assert pool is not None
    return {
        "images": len(cells),
        "seconds": {way: spread(seconds) for way, seconds in taken.items()},
        "times_faster_than_per_sample": times_faster(taken, "per sample", "ours"),
        "times_faster_than_batched": times_faster(taken, "batched", "ours"),
        "largest_difference_to_per_sample": difference,
        "rows": pool.counts["rows"],
        "fill": pool.counts["rows"] / (pool.counts["calls"] * bench.rows),
        "paired_calls": pool.counts["paired_calls"] / pool.counts["calls"],
    }


def prefix_speed(size: str, rounds: int, *, device: str = "cpu") -> dict[str, Any]:
    """P10: a call of pairs with its prefix evaluated once, and with it evaluated for every row."""
    parts = parts_of(size, device=device)
    diffusion = StableDiffusion(**parts, device=device)
    shape = diffusion.latent_shape(SIZES[size].side, SIZES[size].side)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(ROWS // 2, *shape, generator=generator).repeat(2, 1, 1, 1)
    timesteps = torch.randint(0, 1000, (ROWS // 2,), generator=generator).repeat(2)
    followed = diffusion.conditioning(photographs(1, SIZES[size].side)[0].conditioning[0])
    rows = [{**diffusion.prompt(p), **followed} for p in ("a", "") for _ in range(ROWS // 2)]
    condition = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    arguments = (latents.to(device), timesteps.to(device), condition)
    found: dict[str, Tensor] = {}

    def call(name: str, shared: frozenset[str] | None = None) -> None:
        for _ in range(4):
            found[name] = diffusion.denoiser(*arguments, shared=shared)

    taken = in_turns(
        {
            "for every row": lambda: call("for every row"),
            "once": lambda: call("once", frozenset(followed)),
        },
        rounds=rounds,
    )
    difference = float((found["once"] - found["for every row"]).abs().max())
    assert difference == 0
    return {
        "milliseconds_per_call": {k: spread(v, per=4 / 1000) for k, v in taken.items()},
        "times_faster": times_faster(taken, "for every row", "once"),
        "difference": difference,
    }


def random_cells(count: int) -> list[Cell]:
    """One random guidance scale and encode ratio for each photograph."""
    rng = random.Random(0)
    return [(n, rng.choice(SCALES), rng.randint(1, 10) / 10) for n in range(count)]


def cpu_benchmarks(rounds: int, only: str | None) -> dict[str, Any]:
    """P7 to P10."""
    tenths = [i / 10 for i in range(1, 11)]
    benchmarks = {
        "P7-P8 grid of 4 guidance scales x 10 ratios": lambda: grid_speed(
            Bench("tiny", 8), grid_cells(8, tenths), max(3, rounds // 2)
        ),
        "P7-P8 grid of 4 guidance scales x 3 ratios": lambda: grid_speed(
            Bench("tiny", 8), grid_cells(8, (0.2, 0.5, 0.8)), rounds
        ),
        "P7-P8 grid, arithmetic-bound": lambda: grid_speed(
            Bench("small", 2), grid_cells(2, (0.2, 0.5, 0.8)), 3
        ),
        "P9 64 random configs": lambda: grid_speed(Bench("tiny", 64), random_cells(64), rounds),
        "one image": lambda: grid_speed(Bench("tiny", 1, rows=2), [(0, 2.0, 0.5)], 4 * rounds),
        "one guided config of 8 photographs": lambda: grid_speed(
            Bench("tiny", 8), [(n, 2.0, 0.5) for n in range(8)], 2 * rounds
        ),
        "P10 prefix, tiny": lambda: prefix_speed("tiny", 4 * rounds),
        "P10 prefix, arithmetic-bound": lambda: prefix_speed("small", rounds),
    }
    result = {}
    for name, benchmark in benchmarks.items():
        if only is None or name.startswith(only):
            result[name] = benchmark()
            print(f"{name}: {result[name]}", flush=True)
    return result


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="Beginning of the benchmarks' names.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = cpu_benchmarks(options.rounds, options.only)
    kept = load("engine_speed") if options.only else {}
    save("engine_speed", {**kept, "environment": environment(), **result})


if __name__ == "__main__":
    main()
