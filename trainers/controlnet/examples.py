"""Sources as a ControlNet is trained on them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.families.stable_diffusion.conditioning import fit_scribble
from scribblegen.images import image_to_tensor, resize_image
from scribblegen.prompts import sample_prompt
from scribblegen.seeds import derive_seed, numpy_generator
from scribblegen.sources import Source
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.controlnet.config import ControlNetConfig
from scribblegen.trainers.small_pipeline.photographs import read_usable


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

    Args:
        source: photographs with scribbles.
        resolution: side of the training square.
        config: prompts and random views.
    """

    def __init__(self, source: Source, resolution: int, config: ControlNetConfig) -> None:
        self.source, self.resolution, self.config = source, resolution, config
        self.batches: list[list[Draw]] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> list[tuple[Draw, Example]]:
        return [(draw, self.example(draw.index, self.view(draw))) for draw in self.batches[number]]

    def view(self, draw: Draw) -> int:
        """Which of its photograph's views a draw shows."""
        seed = derive_seed(self.config.seed, "view of", draw.epoch, draw.position)
        return seed % self.config.views

    def example(self, index: int, view: int = 0) -> Example:
        """A view of the source at `index`, or of the next usable one; view 0 is all of it."""
        sample = read_usable(self.source, index)
        size = (self.resolution, self.resolution)
        image, scribble = sample.image, sample.scribble
        if view:
            rng = numpy_generator(self.config.seed, "view", sample.source_id, view)
            image, scribble = self._random_view(image, scribble, rng)
        names = [self.source.classes.names[i] for i in present_classes(scribble)]
        config = self.config
        return Example(
            image=image_to_tensor(resize_image(image, *size)),
            scribble=fit_scribble(scribble, *size),
            prompt=sample_prompt(names, sample.prompt, config.prompt_mode, config.prompt_stem),
        )

    def _random_view(
        self, image: np.ndarray, scribble: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A part of a photograph and of its scribble, mirrored or not."""
        height, width = scribble.shape
        share = rng.uniform(self.config.crop_scale, 1)
        shown = (max(1, round(height * share)), max(1, round(width * share)))
        top, left = (
            int(rng.integers(whole - part + 1))
            for whole, part in zip((height, width), shown, strict=True)
        )
        part = (slice(top, top + shown[0]), slice(left, left + shown[1]))
        if (scribble[part] == IGNORE_INDEX).all():
            part = (slice(None), slice(None))  # nobody drew there: it would teach nothing
        step = -1 if self.config.random_flip and rng.random() < 0.5 else 1
        return (
            np.ascontiguousarray(image[part][:, ::step]),
            np.ascontiguousarray(scribble[part][:, ::step]),
        )


def batches(
    examples: Examples, plan: list[list[Draw]], num_workers: int
) -> Iterator[list[tuple[Draw, Example]]]:
    """The examples of each list of draws, read ahead by `num_workers` processes."""
    examples.batches = plan
    loader: DataLoader[list[tuple[Draw, Example]]] = DataLoader(
        examples, batch_size=None, num_workers=num_workers
    )
    yield from loader
