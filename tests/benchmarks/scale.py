"""P4, P17 and a plan on paper: balance, the scan of a million rows, memory over 100,000 images.

    python -m tests.benchmarks.scale

No network is run: the denoiser is a stub, the files are lines of a manifest. Writes
`results/scale.json`.
"""

import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.files import content_key
from scribblegen.builders.sources import open_source
from scribblegen.families.stable_diffusion.denoiser import StableDiffusionDenoiser
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.methods.scribblegen import ScribbleGen
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.generation import generate_parts, images_per_item
from scribblegen.runs.manifest import UNITS_FOLDER, finish_unit, pending_units, write_manifest
from scribblegen.runs.shards import (
    Shard,
    default_sources_per_shard,
    plan_units,
)
from scribblegen.runs.shares import Part, finished_parts, share_out
from scribblegen.tiny.random_weights import random_parts
from tests.benchmarks.timing import environment, save

SUBSETS = [f"guidance{w}-encode{r / 10:g}" for w in (1, 2, 4, 7.5) for r in range(1, 11)]


def balance() -> dict[str, Any]:
    """P4: the longest process's sources over the mean, ours and a split of the list by ratio."""
    found = {}
    for num_sources, processes in ((1449, 2), (1449, 8), (1449, 64), (250_000, 64)):
        units = plan_units("train", num_sources, default_sources_per_shard(num_sources))
        shares = share_out(units, [], processes, costly=["train"])
        costs = [sum(part.stop - part.start for part in share) for share in shares]
        # A list ordered by encode ratio, cut into equal counts: what `split_between_processes`
        # does with one config after the other. An image costs its steps and one decode.
        steps = np.repeat(np.arange(1, 11) * 2, num_sources * 4)
        cost = steps + 2.5
        contiguous = [chunk.sum() for chunk in np.array_split(cost, processes)]
        found[f"{num_sources} sources, {processes} processes"] = {
            "ours": max(costs) / np.mean(costs),
            "contiguous": float(max(contiguous) / np.mean(contiguous)),
            "units": len(units),
            "cut into parts": sum(not part.is_whole for share in shares for part in share),
        }
    return found


def resume_scan() -> dict[str, Any]:
    """P17: how long a start takes that finds a million rows finished, one unit missing."""
    num_sources = 25_000
    units = plan_units("train", num_sources, default_sources_per_shard(num_sources))
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for subset in SUBSETS:
            (folder / subset).mkdir()
        for unit in units[:-1]:
            shards = {}
            for subset in SUBSETS:
                path = folder / unit.shard(subset)
                path.write_bytes(b"")
                shards[subset] = Shard(path, unit.stop - unit.start, "0" * 64)
            finish_unit(folder, unit, shards, [])
        for name, prepare in (
            ("lines of an unfinished run", lambda: None),
            ("one manifest", lambda: write_manifest(folder, {})),
        ):
            prepare()
            seconds = []
            for _ in range(5):
                started = time.perf_counter()
                pending = pending_units(folder, units)
                finished_parts(folder, pending)
                share_out(pending, [], 8, costly=["train"])
                seconds.append(time.perf_counter() - started)
            assert pending == units[-1:]
            found[name] = {"seconds": float(np.median(seconds))}
        labels = [folder / f"{number}.png" for number in range(num_sources)]
        for label in labels:
            label.write_bytes(bytes(2000))
        started = time.perf_counter()
        for label in labels:
            content_key(label, whole=True)
            content_key(label, whole=False)
        found["fingerprint of the source's files"] = {"seconds": time.perf_counter() - started}
    rows = (len(units) - 1) * len(SUBSETS) * (units[0].stop - units[0].start)
    return {**found, "rows": rows, "files": (len(units) - 1) * len(SUBSETS)}


class _Unfinished:
    """A progress bar that watches how many images would be lost if the process died now."""

    def __init__(self, folder: Path, images_per_unit: int) -> None:
        self.lines, self.images_per_unit = folder / UNITS_FOLDER, images_per_unit
        self.made, self.most = 0, 0

    def update(self, images: int) -> None:
        self.made += images
        kept = len(list(self.lines.glob("*.json"))) * self.images_per_unit
        self.most = max(self.most, self.made - kept)


def redone_after_a_kill(num_sources: int = 64) -> dict[str, Any]:
    """P17: the most images that any moment's kill would lose, in shards' worths."""
    config = ScribbleGenConfig(
        guidance_scales=[1, 2, 4], encode_ratios=[0.2, 0.5, 1.0], num_inference_steps=10
    )
    source = open_source(ScenesConfig(ids=f"0:{num_sources}", scene_size=48))
    assert source is not None
    method = ScribbleGen(
        config,
        StableDiffusion(**random_parts(len(source.classes) + 1)),  # type: ignore[arg-type]
        source.classes,
    )
    units = plan_units("train", len(source), 8)
    per_unit = 8 * images_per_item(method.subsets, "train")
    with tempfile.TemporaryDirectory() as scratch:
        watch = _Unfinished(Path(scratch), per_unit)
        generate_parts(
            method, {"train": source}, list(map(Part.whole, units)), Path(scratch), bar=watch
        )
    return {"images of a unit": per_unit, "most units' worth unfinished": watch.most / per_unit}


class StubDenoiser(StableDiffusionDenoiser):
    """Predicts zeros."""

    def __call__(self, latents: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.zeros_like(latents)


class StubDiffusion(StableDiffusion):
    """Every call is one of zeros: what is left is the engine, the encoders and the files."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.denoiser = StubDenoiser(self.unet, self.controlnet)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        zeros = torch.zeros(len(images), *self.latent_shape(*images.shape[2:]))
        return zeros, zeros

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.full((len(latents), 3, 64, 64), 0.1)


def memory(num_images: int = 100_000) -> dict[str, Any]:
    """The most memory that the process has held, after every tenth of the images."""
    config = ScribbleGenConfig(
        guidance_scales=[1, 2, 4, 7.5],
        encode_ratios=[i / 10 for i in range(1, 11)],
        num_inference_steps=10,
        output_size="model",
    )
    num_sources = num_images // len(SUBSETS)
    source = open_source(ScenesConfig(ids=f"0:{num_sources}", scene_size=48))
    assert source is not None
    stub = StubDiffusion(**random_parts(len(source.classes) + 1))  # type: ignore[arg-type]
    method = ScribbleGen(config, stub, source.classes)
    units = plan_units("train", num_sources, default_sources_per_shard(num_sources))
    held, started = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        for tenth in range(10):
            some = units[tenth * len(units) // 10 : (tenth + 1) * len(units) // 10]
            generate_parts(method, {"train": source}, list(map(Part.whole, some)), Path(scratch))
            held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    seconds = time.perf_counter() - started
    return {
        "images": num_sources * len(SUBSETS),
        "megabytes_after_each_tenth": held,
        "images_per_second_without_networks": round(num_sources * len(SUBSETS) / seconds, 1),
    }


def plan(images_per_second: float, *, images: int = 10_000_000, ranks: int = 64) -> dict[str, Any]:
    """Hours, bytes and files of a large run, from the scheduler itself."""
    num_sources = images // len(SUBSETS)
    units = plan_units("train", num_sources, default_sources_per_shard(num_sources))
    shares = share_out(units, [], ranks, costly=["train"])
    longest = max(sum(part.stop - part.start for part in share) for share in shares)
    kilobytes = 383  # of a 512 x 512 photograph as lossless WebP
    per_shard = units[0].stop - units[0].start
    return {
        "images": images,
        "ranks": ranks,
        "images_per_second_of_a_rank": images_per_second,
        "hours": longest * len(SUBSETS) / images_per_second / 3600,
        "terabytes": images * kilobytes / 1e9,
        "units": len(units),
        "files": len(units) * (len(SUBSETS) + 1),
        "megabytes_of_a_file": per_shard * kilobytes / 1000,
        "gigabytes_of_a_unit_in_memory": per_shard * len(SUBSETS) * kilobytes / 1e6,
        "minutes_lost_by_a_killed_rank": per_shard * len(SUBSETS) / images_per_second / 60,
    }


def main() -> None:
    """The command."""
    torch.set_num_threads(1)
    result = {
        "environment": environment(),
        "P4 balance": balance(),
        "P17 start": resume_scan(),
        "P17 redone after a kill": redone_after_a_kill(),
        "plan at 18.7 images/s": plan(18.7),
        "memory": memory(),
    }
    save("scale", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
