"""Jobs for the denoiser pool, and the stock pipeline of the same parts."""

from dataclasses import replace
from typing import NamedTuple

import torch
from diffusers import DDIMScheduler, StableDiffusionControlNetImg2ImgPipeline

from scribblegen.engine.encode_ratio import Timesteps, timesteps_of
from scribblegen.engine.jobs import Job, Trajectory

PROMPT = "a photo of cat, dog"
CHANNELS = 9
SCALES = (1.0, 2.0, 4.0, 7.5)
UNIT_IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
IMAGE = 2 * UNIT_IMAGE - 1
CONDITIONING = (
    torch.rand(1, CHANNELS, 64, 64, generator=torch.Generator().manual_seed(2)) > 0.8
).float()


def stock(parts, kind=StableDiffusionControlNetImg2ImgPipeline):
    pipeline = kind(
        **{k: v for k, v in parts.items() if k != "scheduler_config"},
        scheduler=DDIMScheduler.from_config(parts["scheduler_config"]),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Key(NamedTuple):
    """Which image of a test's jobs."""

    job: object
    timesteps: Timesteps
    guidance_scale: float


def trajectories(number, runs, conditional, null=None):
    """One for every guidance scale of every run: `runs` is of (timesteps, guidance scales)."""
    return tuple(
        Trajectory(Key(number, timesteps, w), timesteps, w, conditional, null)
        for timesteps, scales in runs
        for w in scales
    )


def conditions_of(task):
    """The conditional and the null condition of a job's first trajectory."""
    return task.trajectories[0].conditional, task.trajectories[0].null


def with_runs(task, runs, **changes):
    """A job with other runs, under its own conditions."""
    number = task.trajectories[0].key.job
    return replace(task, trajectories=trajectories(number, runs, *conditions_of(task)), **changes)


def job(
    networks,
    image,
    conditioning,
    runs,
    *,
    seed=5,
    conditioning_rows=1,
    key=0,
    group=0,
    prompt=PROMPT,
):
    """A job as the stock pipeline would see it: the same draws from one generator.

    `conditioning_rows` is the batch in which the conditioning is embedded: the stock pipeline
    embeds it once for each branch, and convolutions round differently for another batch size.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, std = networks.encode(image)
    drawn = torch.randn(2, *mean.shape, generator=generator).to(networks.device)
    latents, noise = networks.sample_latents(mean, std, drawn[0]), drawn[1]
    embedded = networks.embed_conditioning(conditioning.repeat(conditioning_rows, 1, 1, 1))[0]
    scale = torch.tensor(1.0, device=networks.device)
    followed = {"conditioning": embedded, "conditioning_scale": scale}
    conditional, null = ({**networks.prompt(text), **followed} for text in (prompt, ""))
    return Job(group, noise[0], latents[0], trajectories(key, runs, conditional, null))


def as_unit(image):
    return (image / 2 + 0.5).clamp(0, 1)


def full_grid_jobs(networks, count, *, ratios=10, scales=SCALES, steps=10):
    generator = torch.Generator().manual_seed(7)
    runs = [(timesteps_of(i / ratios, steps), scales) for i in range(1, ratios + 1)]
    jobs = []
    for key in range(count):
        image = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
        drawn = (torch.rand(1, CHANNELS, 64, 64, generator=generator) > 0.8).float()
        prompt = f"a photo of {key}"
        jobs.append(job(networks, image, drawn, runs, seed=key, key=key, prompt=prompt))
    return jobs
