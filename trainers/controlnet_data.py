"""Sources as a ControlNet is trained on them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scribblegen.classes import present_classes
from scribblegen.conditioning import fit_scribble
from scribblegen.images import image_to_tensor, resize_image
from scribblegen.prompts import sample_prompt
from scribblegen.sources import Source
from scribblegen.trainers.photographs import read_usable
from scribblegen.trainers.plan import Draw


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
        sample = read_usable(self.source, index)
        size = (self.resolution, self.resolution)
        names = [self.source.classes.names[i] for i in present_classes(sample.scribble)]
        return Example(
            image=image_to_tensor(resize_image(sample.image, *size)),
            scribble=fit_scribble(sample.scribble, *size),
            prompt=sample_prompt(names, sample.prompt, self.prompt_mode, self.prompt_stem),
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
