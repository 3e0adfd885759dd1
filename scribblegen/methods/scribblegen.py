"""ScribbleGen (arXiv 2311.17121): new photographs for scribbles that exist.

The source's latents are noised to an encode ratio and denoised again under its own scribble and
class names, so the scribble stays a true label of the twin.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from scribblegen.classes import Classes, present_classes
from scribblegen.engine.encode_ratio import Timesteps
from scribblegen.engine.jobs import Conditions, Job, Twin
from scribblegen.engine.pool import DenoiserPool, Denoising
from scribblegen.engine.stage_times import StageTimes, profile_table
from scribblegen.engine.transfers import to_device
from scribblegen.families.stable_diffusion.conditioning import (
    conditioning_image,
    drops,
    fit_scribble,
    null_conditioning_image,
    num_conditioning_channels,
)
from scribblegen.families.stable_diffusion.controlnet_record import (
    check_record,
    choose_null_condition,
)
from scribblegen.families.stable_diffusion.geometry import network_size
from scribblegen.families.stable_diffusion.networks import Diffusion
from scribblegen.images import image_to_tensor, resize_image
from scribblegen.methods.base import Place, Record
from scribblegen.methods.scribblegen_config import Cell, ScribbleGenConfig
from scribblegen.methods.scribblegen_rows import TWIN_SPLIT, PhotographRecords, subsets
from scribblegen.prompts import PROMPT_STEM, sample_prompt
from scribblegen.records import Sample
from scribblegen.seeds import derive_seed

logger = logging.getLogger(__name__)


class Judge(Protocol):
    """A segmentor that looks at twins."""

    def agreement(self, image: np.ndarray, label: np.ndarray) -> float:
        """How much of a label (H, W) it finds in a picture (H, W, 3), both uint8: 0 to 1."""

    def fingerprint(self) -> str:
        """Changes with any of its weights."""


@dataclass(frozen=True, eq=False)
class TwinKey:
    """Which twin: of which photograph, its number in a cell, the seed of its noise, its prompt."""

    photograph: PhotographRecords
    replicate: int
    seed: int
    prompt: str


class ScribbleGen:
    """The method: the photographs themselves, and the grid of their twins.

    Args:
        config: its options.
        diffusion: pipeline and ControlNet.
        classes: of the scribbles.
        splits: that the source has.
        image_format: of the twins' files.
        judge: a segmentor that looks at each twin, for its `scores`.

    Raises:
        ValueError: the ControlNet does not fit the classes, the null condition or the resolution.
    """

    def __init__(
        self,
        config: ScribbleGenConfig,
        diffusion: Diffusion,
        classes: Classes,
        *,
        splits: Sequence[str] = (TWIN_SPLIT,),
        image_format: str = "webp",
        judge: Judge | None = None,
    ) -> None:
        record = diffusion.record
        self.null_condition = choose_null_condition(record, config.null_condition)
        # What was left to the ControlNet is settled here, and so told in the provenance.
        self.config = replace(
            config,
            null_condition=self.null_condition,
            prompt_mode=config.prompt_mode or record.prompt_mode or "classes",
            prompt_stem=config.prompt_stem or record.prompt_stem or PROMPT_STEM,
            dtype=str(diffusion.dtype).removeprefix("torch."),
            compile="on" if diffusion.is_compiled else "off",
        )
        self.diffusion = diffusion
        self.classes, self.image_format, self.judge = classes, image_format, judge
        self.cells = config.cells(diffusion.prediction.schedule)
        self.subsets = subsets(self.cells, classes, splits, config.replicates)
        self.resolution = config.resolution or diffusion.default_resolution
        self.times = StageTimes(diffusion.device)
        self.pools: dict[tuple[int, int], DenoiserPool] = {}
        self._prompts: dict[str, torch.Tensor] = {}
        self._null_conditionings: dict[tuple[int, int], torch.Tensor] = {}
        self._check_fit()
        # Cells whose runs are the same are computed once and given to each.
        self._cells_of: dict[tuple[Timesteps, float], list[Cell]] = {}
        for cell in self.cells:
            self._cells_of.setdefault((cell.timesteps, cell.guidance_scale), []).append(cell)
        scales: dict[Timesteps, list[float]] = {}
        for grid, w in self._cells_of:
            scales.setdefault(grid, []).append(w)
        self._job_cells = tuple((grid, tuple(ws)) for grid, ws in scales.items())

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

    def cells_of(self, twin: Twin) -> list[Cell]:
        """The grid cells that a twin belongs to; more than one where they agree on every step."""
        return self._cells_of[twin.grid, twin.guidance_scale]

    @property
    def counts(self) -> Counter[str]:
        """What all pools have done, see `DenoiserPool`."""
        return sum((pool.counts for pool in self.pools.values()), Counter())

    def output_size(self, sample: Sample) -> tuple[int, int]:
        """(height, width) of the twins of `sample` as they are stored."""
        if self.config.output_size == "model":
            return self.network_size(sample)
        height, width = sample.scribble.shape
        return height, width

    def network_size(self, sample: Sample) -> tuple[int, int]:
        """(height, width) at which the networks see `sample`."""
        return network_size(
            *sample.scribble.shape,
            resolution=self.resolution,
            geometry=self.config.geometry,
            multiple=self.diffusion.size_multiple,
        )

    def identity(self) -> dict[str, str | None]:
        """The fingerprints of all networks, and the kind of device."""
        return {
            "weights": self.diffusion.fingerprint(),
            "agreement model": None if self.judge is None else self.judge.fingerprint(),
            "device": self.diffusion.device.type,
        }

    def generate(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record]:
        """The records of photographs and of their twins in all cells, as they are finished."""
        for made in self._made(items):
            if isinstance(made, Record):
                yield made
            else:
                key = made.key
                assert isinstance(key, TwinKey)
                yield from key.photograph.twin(
                    made,
                    self.cells_of(made),
                    replicate=key.replicate,
                    seed=key.seed,
                    prompt=key.prompt,
                )

    def twins(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Twin]:
        """Twins of all cells and replicates as images, in the order in which they are finished."""
        return (made for made in self._made(items) if isinstance(made, Twin))

    def remarks(self) -> Mapping[str, int]:
        """Prompts that are longer than the text encoder reads, and the names lost with them."""
        return {}

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Seconds of every stage, and how full the calls were."""
        stages = {**self.times.totals(), **seconds}
        return profile_table(stages, wall, self.counts, self.config.rows)

    def _made(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record | Twin]:
        newest = previous = 0
        for place, sample in items:
            photograph = PhotographRecords(
                place,
                sample,
                self.classes,
                size=self.output_size(sample),
                prompt=self.prompt(sample),
                image_format=self.image_format,
                agreement=None if self.judge is None else self.judge.agreement,
            )
            yield photograph.photograph()
            if place.split != TWIN_SPLIT:
                continue
            if place.group > newest:
                newest, previous = place.group, newest
            yield from self._drain_before(previous)
            size = self.network_size(sample)
            if size not in self.pools:
                self.pools[size] = self._new_pool()
            pool = self.pools[size]
            for job in self._jobs(photograph, size):
                pool.submit(job)
                while not pool.wants_jobs:
                    yield from pool.step()
        yield from self._drain_before(newest + 1)

    def _drain_before(self, group: int) -> Iterator[Twin]:
        for pool in self.pools.values():
            while (oldest := pool.oldest_group) is not None and oldest < group:
                yield from pool.step()

    @torch.inference_mode()
    def _jobs(self, photograph: PhotographRecords, size: tuple[int, int]) -> list[Job]:
        """One job per replicate. What depends on the source alone is computed once for all."""
        sample = photograph.sample
        diffusion, device = self.diffusion, self.diffusion.device
        with self.times.stage("encode"):
            image = image_to_tensor(resize_image(sample.image, *size))
            mean, std = diffusion.encode(to_device(image[None], device))
        with self.times.stage("condition"):
            conditioning = conditioning_image(
                fit_scribble(sample.scribble, *size),
                self.classes,
                self.config.conditioning_encoding,
            )
            embedded = diffusion.embed_conditioning(
                to_device(torch.from_numpy(conditioning)[None], device)
            )[0]
            texts = [self.twin_prompt(sample, i) for i in range(self.config.replicates)]
            conditions = [self._conditions(text, embedded, size) for text in texts]
        jobs = []
        for replicate, text in enumerate(texts):
            seed = derive_seed(self.config.seed, sample.source_id, replicate)
            # On the CPU and in this order, as the stock pipeline draws them from one generator.
            generator = torch.Generator().manual_seed(seed)
            shape = diffusion.latent_shape(*size)
            drawn = [
                torch.randn(1, *shape, generator=generator) for _ in range(2 + self._num_draws)
            ]
            posterior_noise, noise, *step_noises = to_device(torch.stack(drawn), device)
            latents = diffusion.sample_latents(mean, std, posterior_noise)
            jobs.append(
                Job(
                    key=TwinKey(photograph, replicate, seed, text),
                    group=photograph.place.group,
                    latents=latents[0],
                    noise=noise[0],
                    conditions=conditions[replicate],
                    cells=self._job_cells,
                    step_noises=tuple(step_noise[0] for step_noise in step_noises),
                )
            )
        return jobs

    @property
    def _num_draws(self) -> int:
        """How many steps draw noise."""
        if self.config.sampler != "lcm":
            return 0
        return max(cell.timesteps.num_steps for cell in self.cells)

    def _conditions(
        self, prompt: str, conditioning: torch.Tensor, size: tuple[int, int]
    ) -> Conditions:
        drops_conditioning, drops_text = drops(self.null_condition)
        embedded = self._embed_prompt(prompt)
        return Conditions(
            prompts=(embedded, self._embed_prompt("") if drops_text else embedded),
            conditionings=(
                conditioning,
                self._null_conditioning(size) if drops_conditioning else conditioning,
            ),
        )

    def _embed_prompt(self, prompt: str) -> torch.Tensor:
        # Sources with the same classes share a prompt; the last few thousand are kept.
        if prompt not in self._prompts:
            if len(self._prompts) >= 4096:
                self._prompts.pop(next(iter(self._prompts)))
            self._prompts[prompt] = self.diffusion.embed_prompt(prompt)
        return self._prompts[prompt]

    def _null_conditioning(self, size: tuple[int, int]) -> torch.Tensor:
        if size not in self._null_conditionings:
            diffusion = self.diffusion
            empty = null_conditioning_image(
                diffusion.conditioning_channels, *size, diffusion.record.null_conditioning
            )
            self._null_conditionings[size] = self.diffusion.embed_conditioning(
                torch.from_numpy(empty)[None]
            )[0]
        return self._null_conditionings[size]

    def _new_pool(self) -> DenoiserPool:
        return DenoiserPool(
            self.diffusion,
            rows=self.config.rows,
            decode_rows=self.config.decode_rows,
            denoising=Denoising(
                conditioning_scale=self.config.controlnet_conditioning_scale,
                sampler=self.config.sampler,
                control_start=self.config.control_guidance_start,
                control_end=self.config.control_guidance_end,
                deep_cache_interval=self.config.deep_cache_interval,
            ),
            times=self.times,
        )

    def _check_fit(self) -> None:
        record = self.diffusion.record
        check_record(record, self.classes, self.config.conditioning_encoding)
        if record.prompt_stem not in (None, self.config.prompt_stem):
            logger.warning(
                "the ControlNet was trained on prompts that begin %r, not %r: see `prompt_stem`",
                record.prompt_stem,
                self.config.prompt_stem,
            )
        if self.null_condition is None and max(self.config.guidance_scales) > 1:
            raise ValueError(
                "`guidance_scales` must be 1: the ControlNet was trained without dropping hint "
                f"or text, so it cannot be guided. Got {self.config.guidance_scales}."
            )
        needed = num_conditioning_channels(self.classes, self.config.conditioning_encoding)
        takes = self.diffusion.conditioning_channels
        if takes != needed:
            advice = "Use a ControlNet trained on these classes"
            if takes == 3:
                advice += ", or `conditioning_encoding` rgb_palette"
            raise ValueError(
                f"`controlnet` takes {takes} conditioning channels, but `conditioning_encoding` "
                f"{self.config.conditioning_encoding} of {len(self.classes)} classes makes "
                f"{needed}. "
                f"{advice}."
            )
        network_size(
            1,
            1,
            resolution=self.resolution,
            geometry=self.config.geometry,
            multiple=self.diffusion.size_multiple,
        )
