"""DiffuMask (arXiv 2303.11681): class names -> images, and masks that their own attention shows."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from scribblegen.classes import Classes
from scribblegen.engine.denoising import Denoising
from scribblegen.engine.jobs import Finished, Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.stage_times import StageTimes, profile_table
from scribblegen.engine.transfers import to_device
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.told_prompts import ToldPrompts
from scribblegen.methods.base import Place, Record
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.methods.diffumask_rows import SUBSET, ImageRows, subset
from scribblegen.prompts import Prompt
from scribblegen.seeds import derive_seed
from scribblegen.segmenting.attention import WORDS, AttentionProbe
from scribblegen.segmenting.token_spans import token_words, unnamed_reason

MOST_CLASSES = 12  # that a prompt may name: rows of one call keep equally many maps


@dataclass(frozen=True, eq=False)
class ImageKey:
    """Which image: of which prompt, where it stands, and the seed of its noise."""

    place: Place
    prompt: Prompt
    seed: int


class DiffuMask:
    """The method: one image of every prompt, and its mask.

    Args:
        config: its options.
        family: the pipeline; a ControlNet is not asked.
        classes: that prompts name.
        rows: makes the rows of images.

    Raises:
        ValueError: the resolution does not fit the networks.
    """

    def __init__(
        self, config: DiffuMaskConfig, family: StableDiffusion, classes: Classes, rows: ImageRows
    ) -> None:
        # What was left to the machine is settled here, and so told in the provenance.
        self.config = replace(
            config,
            dtype=str(family.dtype).removeprefix("torch."),
            compile="on" if family.is_compiled else "off",
        )
        self.family, self.classes, self.rows = family, classes, rows
        self.subsets = [subset(config, classes)]
        resolution = config.resolution or family.default_resolution
        if resolution % family.size_multiple:
            raise ValueError(
                f"`resolution` must be a multiple of {family.size_multiple} for this pipeline. "
                f"Got {resolution}."
            )
        self.size = (resolution, resolution)
        self.timesteps = family.schedule.timesteps(
            1.0, config.num_inference_steps, sampler=config.sampler
        )
        self.times = StageTimes(family.device)
        self.pool = self._new_pool()
        self._prompt = ToldPrompts(family)

    def identity(self) -> dict[str, str | None]:
        """The fingerprints of all networks and of the weights of maps, and the kind of device."""
        judge, affinity = self.rows.judge, self.rows.affinity
        return {
            "weights": self.family.fingerprint(),
            "agreement model": None if judge is None else judge.fingerprint(),
            "affinity model": None if affinity is None else affinity.fingerprint(),
            "fusion": hashlib.sha256(repr(self.rows.fusion).encode()).hexdigest()[:16],
            "device": self.family.device.type,
        }

    def generate(self, items: Iterable[tuple[Place, Prompt]]) -> Iterator[Record]:
        """One record of each prompt, as its image is finished."""
        newest = previous = 0
        for place, prompt in items:
            if place.group > newest:
                newest, previous = place.group, newest
            yield from self._drain_before(previous)
            job = self._job(place, prompt)
            if isinstance(job, str):
                reason = job
                yield Record(place, SUBSET, 0, partial(str, reason))
                continue
            self.pool.submit(job)
            while not self.pool.wants_jobs:
                yield from map(self._record, self.pool.step())
        yield from self._drain_before(newest + 1)

    def remarks(self) -> Mapping[str, int]:
        """Nothing: what is wrong with a prompt or an image is a rejection."""
        return {}

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Seconds of every stage, and how full the calls were."""
        stages = {**self.times.totals(), **seconds}
        counts: Counter[str] = self.pool.counts
        return profile_table(stages, wall, counts, self.config.rows)

    def _drain_before(self, group: int) -> Iterator[Record]:
        while (oldest := self.pool.oldest_group) is not None and oldest < group:
            yield from map(self._record, self.pool.step())

    def _record(self, finished: Finished[ImageKey]) -> Record:
        key = finished.key
        row = partial(self.rows.row, finished, key.prompt, key.seed)
        return Record(key.place, SUBSET, 0, row)

    @torch.inference_mode()
    def _job(self, place: Place, prompt: Prompt) -> Job[ImageKey] | str:
        """What draws the image of a prompt, or why none is drawn."""
        words = self._words(prompt)
        if isinstance(words, str):
            return words
        with self.times.stage("condition"):
            told = {**self._prompt(prompt.text), WORDS: to_device(words, self.family.device)}
            null = self._prompt("") if self.config.guidance_scale != 1 else None
        seed = derive_seed(self.config.seed, prompt.source_id)
        generator = torch.Generator().manual_seed(seed)
        # On the CPU, as the stock pipeline draws it from a generator of this seed.
        noise = torch.randn(1, *self.family.latent_shape(*self.size), generator=generator)
        trajectory = Trajectory(
            ImageKey(place, prompt, seed),
            self.timesteps,
            self.config.guidance_scale,
            told,
            null,
        )
        return Job(place.group, to_device(noise, self.family.device)[0], None, (trajectory,))

    def _words(self, prompt: Prompt) -> Tensor | str:
        """(`MOST_CLASSES`, T) float32, zeros behind the classes that the prompt names."""
        if len(prompt.class_ids) > MOST_CLASSES:
            return f"prompt names more than {MOST_CLASSES} classes"
        tokenizer = self.family.tokenizer
        length = tokenizer.model_max_length
        found = token_words(tokenizer, prompt.text, prompt.phrases, length=length)
        names = [self.classes.names[i] for i in prompt.class_ids]
        if reason := unnamed_reason(found, names):
            return reason
        words = torch.zeros(MOST_CLASSES, length)
        words[: len(found)] = found
        return words

    def _new_pool(self) -> DenoiserPool[ImageKey]:
        config = self.config
        spread = (config.spread_width,) if config.spread == "self_attention" else ()
        probe = AttentionProbe(
            factors=self.rows.fusion.factors,
            self_factors=spread,
            start=config.attention_start,
            end=config.attention_end,
        )
        return DenoiserPool(
            self.family,
            rows=config.rows,
            decode_rows=config.decode_rows,
            denoising=Denoising(sampler=config.sampler, probe=probe),
            times=self.times,
        )
