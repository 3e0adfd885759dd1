"""Photographs and their texts: whole ones with captions, parts with the words of their classes."""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from scribblegen.classes import count_values, present_classes
from scribblegen.images import resize_image, resize_label
from scribblegen.prompts import class_prompt
from scribblegen.seeds import numpy_generator
from scribblegen.sources import Source
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.clip.config import ClipConfig
from scribblegen.trainers.small_pipeline.photographs import caption_of, read_usable

_FINER = 2  # photographs are kept at so many times the training side, for their parts
_LEAST_SHARE = 0.05  # of a part's labelled pixels, for the name of a class to be in its text


@dataclass(frozen=True, eq=False)
class _Kept:
    """A photograph: (h, w, 3) and (h, w) uint8, and its caption, where it is needed."""

    image: np.ndarray
    label: np.ndarray
    caption: str


class Examples:
    """Every photograph of a source, in memory; up to 64 kB each at a training side of 64 pixels.

    Args:
        source: photographs with labels, and with captions unless all texts are of class names.
        config: sizes, shares and seed.
        show: draw a progress bar.

    Raises:
        ValueError: a photograph has no caption.
    """

    def __init__(self, source: Source, config: ClipConfig, *, show: bool) -> None:
        self.config, self.names = config, source.classes.names
        most = config.resolution * (_FINER if config.regions else 1)
        needs_captions = config.class_prompts < 1 and config.regions < 1
        self._kept = []
        for index in tqdm(range(len(source)), desc="read", unit="image", disable=not show):
            sample = read_usable(source, index)
            scale = min(1, most / max(sample.scribble.shape))
            height, width = (max(1, round(side * scale)) for side in sample.scribble.shape)
            self._kept.append(
                _Kept(
                    resize_image(sample.image, height, width),
                    resize_label(sample.scribble, height, width),
                    caption_of(sample) if needs_captions else "",
                )
            )

    def texts(self) -> list[str]:
        """Texts that together have every word of all that are shown."""
        captions = [kept.caption for kept in self._kept if kept.caption]
        return [*captions, class_prompt(self.names, self.config.prompt_stem)]

    def example(self, draw: Draw) -> tuple[np.ndarray, str]:
        """(resolution, resolution, 3) uint8 and its text; the same for the same draw."""
        config, kept = self.config, self._kept[draw.index]
        rng = numpy_generator(config.seed, "example", draw.epoch, draw.position)
        image, label = kept.image, kept.label
        is_region, is_by_classes, is_mirrored = rng.random(3) < (
            config.regions,
            config.class_prompts,
            0.5 if config.random_flip else 0,
        )
        if is_region:
            part = region(label, rng, config.region_scale)
            image, label = image[part], label[part]
        if is_mirrored:
            image = image[:, ::-1]
        image = resize_image(np.ascontiguousarray(image), config.resolution, config.resolution)
        if is_region:
            return image, self._class_text(shown_classes(label))
        return image, self._class_text(present_classes(label)) if is_by_classes else kept.caption

    def _class_text(self, ids: list[int]) -> str:
        return class_prompt([self.names[i] for i in ids], self.config.prompt_stem)


def region(label: np.ndarray, rng: np.random.Generator, scale: float) -> tuple[slice, slice]:
    """A part of a photograph around a place of a class; all its classes are equally likely.

    Args:
        label: (H, W) uint8, with a labelled pixel.
        rng: what it is drawn from.
        scale: its sides are `scale` to 1 of the whole.

    Returns:
        Rows and columns; a labelled pixel is among them.
    """
    height, width = label.shape
    share = rng.uniform(scale, 1)
    rows, columns = (max(1, round(side * share)) for side in (height, width))
    drawn = present_classes(label)
    places = np.flatnonzero(label == drawn[int(rng.integers(len(drawn)))])
    row, column = divmod(int(places[int(rng.integers(len(places)))]), width)
    top = min(max(row - rows // 2, 0), height - rows)
    left = min(max(column - columns // 2, 0), width - columns)
    return slice(top, top + rows), slice(left, left + columns)


def shown_classes(label: np.ndarray) -> list[int]:
    """Classes of a part that cover more than a trace of what is labelled in it, in id order."""
    counts = count_values(label)[:-1]  # all but `IGNORE_INDEX`
    return [int(i) for i in np.flatnonzero(counts > _LEAST_SHARE * counts.sum())]
