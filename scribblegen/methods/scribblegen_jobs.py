"""A photograph with its scribble -> the jobs of its twins, and the pools that they go through."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from scribblegen.classes import Classes, present_classes
from scribblegen.engine.denoising import Denoising
from scribblegen.engine.encode_ratio import Timesteps
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.stage_times import StageTimes
from scribblegen.engine.transfers import to_device
from scribblegen.families.base import Condition
from scribblegen.families.stable_diffusion.conditioning import (
    conditioning_image,
    drops,
    fit_scribble,
    null_conditioning_image,
)
from scribblegen.families.stable_diffusion.deep_cache import DeepCache
from scribblegen.families.stable_diffusion.denoiser import CONDITIONING, CONDITIONING_SCALE
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.told_prompts import ToldPrompts
from scribblegen.images import image_to_tensor, resize_image
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.methods.scribblegen_rows import PhotographRecords
from scribblegen.prompts import sample_prompt
from scribblegen.records import Sample
from scribblegen.seeds import derive_seed


@dataclass(frozen=True, eq=False)
class TwinKey:
    """Which twin: of which photograph, its number in a cell, the seed of its noise, its prompt, and
    what tells the cells of the grid apart."""

    photograph: PhotographRecords
    replicate: int
    seed: int
    prompt: str
    timesteps: Timesteps
    guidance_scale: float


class TwinJobs:
    """Makes the jobs of a photograph's twins. What depends on the photograph alone is made once.

    Args:
        config: settled: what was left to the ControlNet is in it.
        family: pipeline and ControlNet.
        classes: the classes of the scribbles.
        runs: timesteps and guidance scale of every twin that a photograph gets with one noise.
        times: where time spent is added up.
    """

    def __init__(
        self,
        config: ScribbleGenConfig,
        family: StableDiffusion,
        classes: Classes,
        runs: Sequence[tuple[Timesteps, float]],
        times: StageTimes,
    ) -> None:
        self.config, self.family, self.classes = config, family, classes
        self.runs, self.times = runs, times
        self.remarks: Counter[str] = Counter()
        # Only samplers of this kind draw noise in their steps.
        draws = config.sampler == "lcm"
        self._num_draws = max(steps.num_steps for steps, _ in runs) if draws else 0
        self._prompt = ToldPrompts(family)
        self._null_conditionings: dict[tuple[int, int], Condition] = {}

    def prompt(self, sample: Sample) -> str:
        """The prompt that the twins of `sample` are generated with, but for its last words."""
        names = [self.classes.names[i] for i in present_classes(sample.scribble)]
        mode, stem = self.config.prompt_mode, self.config.prompt_stem
        assert mode is not None and stem is not None
        return sample_prompt(names, sample.prompt, mode, stem)

    def twin_prompt(self, sample: Sample, replicate: int) -> str:
        """The prompt of one replicate: with one of the suffixes, if there are any."""
        prompt, suffixes = self.prompt(sample), self.config.prompt_suffixes
        if not suffixes:
            return prompt
        # In turn, so that replicates differ; from where, the source decides, so that sources do.
        first = derive_seed(self.config.seed, "suffix", sample.source_id)
        return f"{prompt} {suffixes[(first + replicate) % len(suffixes)]}"

    @torch.inference_mode()
    def jobs(self, photograph: PhotographRecords, size: tuple[int, int]) -> list[Job[TwinKey]]:
        """One job per replicate.

        Args:
            photograph: with its sample and its place.
            size: (height, width) at which the networks see it.
        """
        family, device = self.family, self.family.device
        sample, group = photograph.sample, photograph.place.group
        with self.times.stage("encode"):
            image = image_to_tensor(resize_image(sample.image, *size))
            mean, std = family.encode(to_device(image[None], device))
        with self.times.stage("condition"):
            scribble = fit_scribble(sample.scribble, *size)
            encoding = self.config.conditioning_encoding
            followed = self._follow(conditioning_image(scribble, self.classes, encoding))
            texts = [self.twin_prompt(sample, i) for i in range(self.config.replicates)]
            conditions = [self._conditions(text, followed, size) for text in texts]
            self._remark_cut_prompt(texts[0], sample)
        jobs = []
        for replicate, text in enumerate(texts):
            seed = derive_seed(self.config.seed, sample.source_id, replicate)
            # On the CPU and in this order, as the stock pipeline draws them from one generator.
            generator = torch.Generator().manual_seed(seed)
            shape = family.latent_shape(*size)
            drawn = [
                torch.randn(1, *shape, generator=generator) for _ in range(2 + self._num_draws)
            ]
            posterior_noise, noise, *step_noises = to_device(torch.stack(drawn), device)
            latents = family.sample_latents(mean, std, posterior_noise)
            key = partial(TwinKey, photograph, replicate, seed, text)
            trajectories = tuple(
                Trajectory(key(timesteps, w), timesteps, w, *conditions[replicate])
                for timesteps, w in self.runs
            )
            of_steps = tuple(step_noise[0] for step_noise in step_noises)
            jobs.append(Job(group, noise[0], latents[0], trajectories, of_steps))
        return jobs

    def new_pool(self) -> DenoiserPool[TwinKey]:
        """An empty pool, for jobs of one size."""
        config = self.config
        window = (config.control_guidance_start, config.control_guidance_end)
        windows = {CONDITIONING: window, CONDITIONING_SCALE: window}
        cache = DeepCache(config.deep_cache_interval) if config.deep_cache_interval > 1 else None
        return DenoiserPool(
            self.family,
            rows=config.rows,
            decode_rows=config.decode_rows,
            denoising=Denoising(sampler=config.sampler, windows=windows, probe=cache),
            times=self.times,
        )

    def null_conditioning(self, size: tuple[int, int]) -> Condition:
        """What stands for no scribble at a (height, width)."""
        if size not in self._null_conditionings:
            values = self.family.record.null_conditioning
            empty = null_conditioning_image(self.family.conditioning_channels, *size, values)
            self._null_conditionings[size] = self._follow(empty)
        return self._null_conditionings[size]

    def _conditions(
        self, prompt: str, followed: Condition, size: tuple[int, int]
    ) -> tuple[Condition, Condition]:
        """What the conditional and the unconditional rows are denoised under."""
        drops_conditioning, drops_text = drops(self.config.null_condition)
        told = self._prompt(prompt)
        null_told = self._prompt("") if drops_text else told
        null_followed = self.null_conditioning(size) if drops_conditioning else followed
        return {**told, **followed}, {**null_told, **null_followed}

    def _follow(self, picture: np.ndarray) -> Condition:
        """A conditioning image (C, H, W), as rows follow it."""
        on_device = to_device(torch.from_numpy(picture), self.family.device)
        return self.family.conditioning(on_device, scale=self.config.controlnet_conditioning_scale)

    def _remark_cut_prompt(self, prompt: str, sample: Sample) -> None:
        if not self.family.is_cut(prompt):
            return
        self.remarks["photographs whose prompt is too long for the text encoder and is cut"] += 1
        names = [self.classes.names[i] for i in present_classes(sample.scribble)]
        ends = [prompt.find(name) + len(name) for name in names if name in prompt]
        lost = sum(self.family.is_cut(prompt[:end]) for end in ends)
        self.remarks["names of drawn classes that are lost with it"] += lost
