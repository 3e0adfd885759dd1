"""Which sample is drawn at which step, and everything random about it.

A draw is (epoch, position in the epoch). Its noise, timestep and dropout come from the draw alone,
so neither the batch size, nor accumulation, nor the number of processes, nor a resume changes what
an optimiser step is made of.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scribblegen.classes import present_classes
from scribblegen.images import image_to_tensor, resize_image, resize_label
from scribblegen.prompts import sample_prompt
from scribblegen.records import Rejection, Sample
from scribblegen.seeds import derive_seed, numpy_generator
from scribblegen.sources import Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draw:
    """One use of one source: `index` is its position in the source."""

    epoch: int
    position: int
    index: int


@dataclass(frozen=True)
class Plan:
    """The draws of every optimiser step.

    Args:
        num_sources: of the source.
        step_size: samples of an optimiser step, over all processes and accumulated calls.
        seed: root seed.
    """

    num_sources: int
    step_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.num_sources // self.step_size)

    def step(self, number: int) -> list[Draw]:
        """The draws of step `number`, from 0. The last step of an epoch may be short."""
        epoch, place = divmod(number, self.steps_per_epoch)
        order = numpy_generator(self.seed, "order", epoch).permutation(self.num_sources)
        start = place * self.step_size
        chosen = order[start : start + self.step_size]
        return [Draw(epoch, start + i, int(index)) for i, index in enumerate(chosen)]


@dataclass(frozen=True, eq=False)
class Noise:
    """What is random about a batch of draws.

    Args:
        posterior, noise: (B, C, h, w) float32 from N(0, 1).
        timesteps: (B,) int64.
        drop_hint, drop_text: (B,) bool.
    """

    posterior: Tensor
    noise: Tensor
    timesteps: Tensor
    drop_hint: Tensor
    drop_text: Tensor


def draw_noise(
    draws: list[Draw],
    shape: tuple[int, int, int],
    *,
    seed: int,
    num_timesteps: int,
    dropouts: tuple[float, float, float],
) -> Noise:
    """The randomness of `draws`; `dropouts` are those of hint, of text and of both."""
    parts: dict[str, list[Tensor]] = {"posterior": [], "noise": [], "timesteps": [], "uniform": []}
    for draw in draws:
        generator = torch.Generator().manual_seed(
            derive_seed(seed, "draw", draw.epoch, draw.position)
        )
        parts["posterior"].append(torch.randn(shape, generator=generator))
        parts["noise"].append(torch.randn(shape, generator=generator))
        parts["timesteps"].append(torch.randint(num_timesteps, (), generator=generator))
        parts["uniform"].append(torch.rand((), generator=generator))
    stacked = {name: torch.stack(values) for name, values in parts.items()}
    hint, text, both = dropouts
    uniform = stacked.pop("uniform")
    drops_both = uniform < both
    drops_hint_alone = (uniform >= both) & (uniform < both + hint)
    drops_text_alone = (uniform >= both + hint) & (uniform < both + hint + text)
    return Noise(
        **stacked,
        drop_hint=drops_both | drops_hint_alone,
        drop_text=drops_both | drops_text_alone,
    )


@dataclass(frozen=True, eq=False)
class Example:
    """A source at the training size.

    Args:
        image: (3, H, W) float32 in [-1, 1].
        scribble: (H, W) uint8.
        prompt: its prompt.
    """

    image: Tensor
    scribble: np.ndarray
    prompt: str


class Examples(Dataset[list[tuple[Draw, Example]]]):
    """Batches of examples: item i is the i-th of `batches`.

    A source that cannot be used is replaced by the next one that can, and said.
    """

    def __init__(self, source: Source, resolution: int, prompt_mode: str, prompt_stem: str) -> None:
        self.source = source
        self.resolution = resolution
        self.prompt_mode = prompt_mode
        self.prompt_stem = prompt_stem
        self.batches: list[list[Draw]] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> list[tuple[Draw, Example]]:
        return [(draw, self.example(draw.index)) for draw in self.batches[number]]

    def example(self, index: int) -> Example:
        """The example of the source at `index`, or of the next usable one."""
        sample = self._usable(index)
        size = (self.resolution, self.resolution)
        names = [self.source.classes.names[i] for i in present_classes(sample.scribble)]
        return Example(
            image=image_to_tensor(resize_image(sample.image, *size)),
            scribble=resize_label(sample.scribble, *size),
            prompt=sample_prompt(names, sample.prompt, self.prompt_mode, self.prompt_stem),
        )

    def _usable(self, index: int) -> Sample:
        reasons = []
        for offset in range(len(self.source)):
            sample = self.source.read((index + offset) % len(self.source))
            if isinstance(sample, Sample):
                return sample
            reasons.append(self._said(sample))
        raise ValueError(
            f"no sample of the source can be trained on: {reasons[0]} and {len(reasons) - 1} more."
        )

    def _said(self, rejection: Rejection) -> str:
        text = f"left out {rejection.source_id}: {rejection.reason}"
        logger.warning(text)
        return text


def batches(
    examples: Examples, plan: list[list[Draw]], num_workers: int
) -> Iterator[list[tuple[Draw, Example]]]:
    """The examples of each list of draws, read ahead by `num_workers` processes."""
    examples.batches = plan
    loader: DataLoader[list[tuple[Draw, Example]]] = DataLoader(
        examples, batch_size=None, num_workers=num_workers
    )
    yield from loader
