"""DiffuMask (arXiv 2303.11681): class names -> images, and masks that their own attention shows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from scribblegen.classes import Classes
from scribblegen.engine.jobs import Finished, Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.stage_times import StageTimes, profile_table
from scribblegen.engine.transfers import to_device
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.told_prompts import ToldPrompts
from scribblegen.methods.attention_images import (
    attention_probe,
    digest_of,
    noise_of,
    pool_of,
    square_of,
    through_pool,
)
from scribblegen.methods.base import Place, Record
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.methods.diffumask_rows import SUBSET, ImageRows, subset
from scribblegen.prompts import Prompt
from scribblegen.seeds import derive_seed
from scribblegen.segmenting.attention import WORDS
from scribblegen.segmenting.token_spans import token_words, unnamed_reason
from scribblegen.vocabulary import MOST_WORDS


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
        self.size = square_of(config, family)
        self.timesteps = family.schedule.timesteps(
            1.0, config.num_inference_steps, sampler=config.sampler
        )
        self.times = StageTimes(family.device)
        self.pool: DenoiserPool[ImageKey] = pool_of(
            config, family, attention_probe(config, rows.fusion), self.times
        )
        self._prompt = ToldPrompts(family)

    def identity(self) -> dict[str, str | None]:
        """The fingerprints of all networks and of the weights of maps, and the kind of device."""
        judge, affinity = self.rows.judge, self.rows.affinity
        return {
            "weights": self.family.fingerprint(),
            "agreement model": None if judge is None else judge.fingerprint(),
            "affinity model": None if affinity is None else affinity.fingerprint(),
            "fusion": digest_of(self.rows.fusion),
            "device": self.family.device.type,
        }

    def generate(self, items: Iterable[tuple[Place, Prompt]]) -> Iterator[Record]:
        """One record of each prompt, as its image is finished."""
        return through_pool(self.pool, items, self._begin, self._end)

    def remarks(self) -> Mapping[str, int]:
        """Nothing: what is wrong with a prompt or an image is a rejection."""
        return {}

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Seconds of every stage, and how full the calls were."""
        stages = {**self.times.totals(), **seconds}
        counts: Counter[str] = self.pool.counts
        return profile_table(stages, wall, counts, self.config.rows)

    def _begin(self, place: Place, prompt: Prompt) -> Sequence[Job[ImageKey]] | Record:
        job = self._job(place, prompt)
        if isinstance(job, str):
            return Record(place, SUBSET, 0, partial(str, job))
        return (job,)

    def _end(self, finished: Finished[ImageKey]) -> Iterator[Record]:
        key = finished.key
        row = partial(self.rows.row, finished, key.prompt, key.seed)
        yield Record(key.place, SUBSET, 0, row)

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
        trajectory = Trajectory(
            ImageKey(place, prompt, seed),
            self.timesteps,
            self.config.guidance_scale,
            told,
            null,
        )
        return Job(place.group, noise_of(seed, self.family, self.size), None, (trajectory,))

    def _words(self, prompt: Prompt) -> Tensor | str:
        """(`MOST_WORDS`, T) float32, zeros behind the classes that the prompt names."""
        if len(prompt.class_ids) > MOST_WORDS:
            return f"prompt names more than {MOST_WORDS} classes"
        tokenizer = self.family.tokenizer
        length = tokenizer.model_max_length
        found = token_words(tokenizer, prompt.text, prompt.phrases, length=length)
        names = [self.classes.names[i] for i in prompt.class_ids]
        if reason := unnamed_reason(found, names):
            return reason
        words = torch.zeros(MOST_WORDS, length)
        words[: len(found)] = found
        return words
