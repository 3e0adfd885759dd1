"""The source that needs no download: procedural scenes with exact masks and captions.

It stands for a photograph collection where nothing may be downloaded: demonstrations, tests, and
the small diffusion pipeline that the project trains itself.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.composition import compose
from scribblegen.builders.scenes.kinds import LIGHTS, SCENE_CLASSES
from scribblegen.builders.scenes.painter import MIN_SIDE, render_scene
from scribblegen.records import Sample
from scribblegen.sources import PhotographSource

SCENES_VERSION = 1  # raised whenever a scene's pixels, mask or caption change


class SceneSource(PhotographSource):
    """Scenes `start` to `stop - 1`, drawn when they are read.

    Args:
        start, stop: numbers of the first scene and of the one after the last. A scene's id tells
            its number, so that ranges which do not overlap share no scene.
        light: only the scenes of the range in this light: day, dusk, night or overcast.
        size: side of the square pictures, in pixels.
        max_samples: The largest number of scenes; the first ones stay. None keeps all.
        seed: The root seed of the collection.
        scribble: makes the (size, size) uint8 scribble of a mask, given the source id to seed it.

    Raises:
        ValueError: for an empty range, a negative number or a picture too small.
    """

    def __init__(
        self,
        start: int = 0,
        stop: int = 64,
        *,
        light: str | None = None,
        max_samples: int | None = None,
        size: int = 64,
        seed: int = 0,
        scribble: Callable[[np.ndarray, str], np.ndarray],
    ) -> None:
        if not 0 <= start < stop:
            raise ValueError(
                f"`start` must be at least 0 and below `stop`. Got {start} and {stop}."
            )
        if size < MIN_SIDE:
            raise ValueError(f"`size` must be at least {MIN_SIDE} pixels. Got {size}.")
        known = [kind.name for kind in LIGHTS]
        if light is not None and light not in known:
            raise ValueError(f"`light` must be one of {known}. Got {light!r}.")
        numbers = (n for n in range(start, stop) if light in (None, compose(n, seed).light.name))
        self.numbers = list(itertools.islice(numbers, max_samples))
        super().__init__(SCENE_CLASSES, [f"scene-{number:06d}" for number in self.numbers])
        self.size, self.seed = size, seed
        self.scribble = scribble

    def load(self, index: int) -> Sample:
        # A negative position would pair the last id with a scene before the first.
        position = range(len(self))[index]
        number = self.numbers[position]
        scene = render_scene(number, height=self.size, width=self.size, seed=self.seed)
        source_id = self.source_ids[position]
        return Sample(
            source_id=source_id,
            image=scene.image,
            scribble=self.scribble(scene.mask, source_id),
            mask=scene.mask,
            prompt=scene.caption,
        )

    def content_keys(self) -> Sequence[str]:
        return [f"scenes {SCENES_VERSION} seed {self.seed} size {self.size}"] * len(self)


def open_scenes(config: ScenesConfig, ids: str | None) -> SceneSource:
    """The scenes of a range such as `0:64`, or `0:64@dusk` of one light; the first 64 if None."""
    start, stop, light = _parse_range(ids or "0:64")
    annotator = Annotator.of(config, SCENE_CLASSES, has_scribbles=False)
    return SceneSource(
        start,
        stop,
        light=light,
        max_samples=config.max_samples,
        size=config.scene_size,
        seed=config.scene_seed,
        scribble=lambda mask, source_id: annotator.scribble(source_id, None, mask),
    )


def _parse_range(text: str) -> tuple[int, int, str | None]:
    numbers, at, light = text.partition("@")
    start, colon, stop = numbers.partition(":")
    if not (colon and start.isdigit() and stop.isdigit()):
        raise ValueError(
            f"`ids` must be a range of scenes such as 0:64, or 0:64@dusk of one light. "
            f"Got {text!r}."
        )
    return int(start), int(stop), light if at else None


class Scenes(SourceBuilder):
    """`SceneSource` as a `datasets` builder: `Scenes(ids="0:64", scene_size=96)`."""

    source = "scenes"
