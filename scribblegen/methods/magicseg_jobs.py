"""A description -> the jobs of its pair: the image that it tells of, and the one without it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scribblegen.counterfactual_text import counterfactual
from scribblegen.descriptions import Description
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.stage_times import StageTimes
from scribblegen.engine.transfers import to_device
from scribblegen.families.base import Condition
from scribblegen.families.stable_diffusion.denoiser import PROMPT
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.told_prompts import ToldPrompts
from scribblegen.images import image_to_tensor
from scribblegen.methods.attention_images import noise_of, square_of
from scribblegen.methods.base import Place
from scribblegen.methods.magicseg_config import MagicSegConfig
from scribblegen.methods.magicseg_words import rivals
from scribblegen.seeds import derive_seed
from scribblegen.segmenting.attention import LOOKED_FOR, WORDS
from scribblegen.segmenting.token_spans import unnamed_reason, words_at
from scribblegen.vocabulary import MOST_WORDS, Vocabulary


@dataclass(frozen=True, eq=False)
class Pair:
    """What is drawn of a description.

    Args:
        place: of the description.
        description: with its words.
        counterfactual_prompt: the text without them.
        negative_prompt: what its image is guided away from; None for no words.
        seed, cf_seed: of the noise of either image.
    """

    place: Place
    description: Description
    counterfactual_prompt: str
    negative_prompt: str | None
    seed: int
    cf_seed: int


@dataclass(frozen=True, eq=False)
class HalfKey:
    """Which image of a pair."""

    pair: Pair
    is_counterfactual: bool


class PairJobs:
    """Makes the jobs of pairs.

    Both images of a pair are trajectories of one job where they start from one noise; else of two.
    One that is made from the other image has its job when that is finished.

    Args:
        config: settled.
        family: the pipeline.
        vocabulary: that descriptions name words of.
        times: where time spent is added up.

    Raises:
        ValueError: the resolution does not fit the networks, or no step is left at the encode
            ratio.
    """

    def __init__(
        self,
        config: MagicSegConfig,
        family: StableDiffusion,
        vocabulary: Vocabulary,
        times: StageTimes,
    ) -> None:
        self.config, self.family, self.vocabulary, self.times = config, family, vocabulary, times
        self.size = square_of(config, family)
        ratios = (1.0, config.cf_encode_ratio or 1.0)
        self.timesteps, self.cf_timesteps = (
            family.schedule.timesteps(r, config.num_inference_steps, sampler=config.sampler)
            for r in ratios
        )
        self._prompt = ToldPrompts(family)

    def pair(self, place: Place, description: Description) -> Pair | str:
        """The texts and the seeds of a pair; or why it cannot be drawn."""
        try:
            text, negative = counterfactual(description, self.config.cf_mode, self.vocabulary)
        except ValueError as error:
            return str(error)
        seed = derive_seed(self.config.seed, description.source_id)
        cf_seed = seed
        if self.config.cf_noise == "independent":
            cf_seed = derive_seed(self.config.seed, "counterfactual", description.source_id)
        return Pair(place, description, text, negative, seed, cf_seed)

    @torch.inference_mode()
    def begin(self, pair: Pair) -> Sequence[Job[HalfKey]] | str:
        """The jobs of what starts from noise; or why none is drawn."""
        words = self._words(pair.description)
        if isinstance(words, str):
            return words
        with self.times.stage("condition"):
            positive = self._positive(pair, words)
            counterfactual = self._counterfactual(pair, words)
        group, noise = pair.place.group, noise_of(pair.seed, self.family, self.size)
        if self.config.cf_encode_ratio is not None:
            return (Job(group, noise, None, (positive,)),)
        if pair.cf_seed == pair.seed:
            return (Job(group, noise, None, (positive, counterfactual)),)
        other = noise_of(pair.cf_seed, self.family, self.size)
        return (
            Job(group, noise, None, (positive,)),
            Job(group, other, None, (counterfactual,)),
        )

    @torch.inference_mode()
    def from_positive(self, pair: Pair, image: np.ndarray) -> Job[HalfKey]:
        """The job of a counterfactual image that is made from the other one, (H, W, 3) uint8.

        Of that image as it is stored, so that its row tells all that this one is made from; and of
        the mean of its latents, without noise of the encoder's own.
        """
        family = self.family
        words = self._words(pair.description)
        assert isinstance(words, Tensor), "a pair of which one image is drawn has its words"
        with self.times.stage("encode"):
            tensor = to_device(image_to_tensor(image)[None], family.device)
            mean, std = family.encode(tensor)
            latents = family.sample_latents(mean, std, torch.zeros_like(mean))[0]
        with self.times.stage("condition"):
            trajectory = self._counterfactual(pair, words)
        noise = noise_of(pair.cf_seed, family, self.size)
        return Job(pair.place.group, noise, latents, (trajectory,))

    def _positive(self, pair: Pair, words: Tensor) -> Trajectory[HalfKey]:
        condition = self._told(pair.description.text, pair, words)
        null = self._null("")
        scale = self.config.guidance_scale
        return Trajectory(HalfKey(pair, False), self.timesteps, scale, condition, null)

    def _counterfactual(self, pair: Pair, words: Tensor) -> Trajectory[HalfKey]:
        condition = self._told(pair.counterfactual_prompt, pair, words)
        null = self._null(pair.negative_prompt or "")
        scale = self.config.guidance_scale
        return Trajectory(HalfKey(pair, True), self.cf_timesteps, scale, condition, null)

    def _told(self, text: str, pair: Pair, words: Tensor) -> Condition:
        """What rows are told: a text to draw, and which words of the pair's own to look for."""
        told = self._prompt(text)
        if not self.config.reads_attention:
            return told
        looked_for = self._prompt(pair.description.text)[PROMPT]
        return {**told, WORDS: to_device(words, self.family.device), LOOKED_FOR: looked_for}

    def _null(self, text: str) -> Condition | None:
        return self._prompt(text) if self.config.guidance_scale != 1 else None

    def _words(self, description: Description) -> Tensor | str:
        """(`MOST_WORDS`, T) float32: the words that the description names, what else it names, and
        zeros behind them; or why a word is not there."""
        mentions = description.mentions
        if len(mentions) > MOST_WORDS:
            return f"description names more than {MOST_WORDS} words"
        tokenizer = self.family.tokenizer
        length = tokenizer.model_max_length
        spans = [mention.spans for mention in mentions]
        spans += [places for _, places in rivals(description)]
        found = words_at(tokenizer, description.text, spans, length=length)
        if reason := unnamed_reason(found[: len(mentions)], [m.name for m in mentions]):
            return reason
        words = torch.zeros(MOST_WORDS, length)
        words[: len(found)] = found
        return words
