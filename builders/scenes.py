"""The source that needs no download: procedural scenes with exact masks and captions.

It stands for a photograph collection where nothing may be downloaded: demonstrations, tests, and
the small diffusion pipeline that the project trains itself.
"""

from collections.abc import Callable, Sequence

import numpy as np

from scribblegen.builders.annotator import Annotator
from scribblegen.builders.base import SourceBuilder
from scribblegen.builders.config import SourceConfig
from scribblegen.builders.scene_kinds import SCENE_CLASSES
from scribblegen.builders.scene_painter import MIN_SIDE, render_scene
from scribblegen.records import Sample
from scribblegen.sources import Source

SCENES_VERSION = 1  # raised whenever a scene's pixels, mask or caption change


class SceneSource(Source):
    """Scenes `start` to `stop - 1`, drawn when they are read.

    Args:
        start, stop: numbers of the first scene and of the one after the last. A scene's id tells
            its number, so that ranges which do not overlap share no scene.
        size: side of the square pictures, in pixels.
        seed: root seed of the collection.
        scribble: makes the (size, size) uint8 scribble of a mask, given the source id to seed it.

    Raises:
        ValueError: for an empty range, a negative number or a picture too small.
    """

    def __init__(
        self,
        start: int = 0,
        stop: int = 64,
        *,
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
        super().__init__(SCENE_CLASSES, [f"scene-{index:06d}" for index in range(start, stop)])
        self.start, self.size, self.seed = start, size, seed
        self.scribble = scribble

    def load(self, index: int) -> Sample:
        # A negative position would pair the last id with a scene before the first.
        position = range(len(self))[index]
        scene = render_scene(
            self.start + position, height=self.size, width=self.size, seed=self.seed
        )
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


def open_scenes(config: SourceConfig, ids: str | None) -> SceneSource:
    """The scenes of a range such as `0:64`; the first 64 where None."""
    start, stop = _parse_range(ids or "0:64")
    if config.max_samples is not None:
        stop = min(stop, start + config.max_samples)
    annotator = Annotator.of(config, SCENE_CLASSES, has_scribbles=False)
    return SceneSource(
        start,
        stop,
        size=config.scene_size,
        seed=config.scene_seed,
        scribble=lambda mask, source_id: annotator.scribble(source_id, None, mask),
    )


def _parse_range(text: str) -> tuple[int, int]:
    start, colon, stop = text.partition(":")
    if not (colon and start.isdigit() and stop.isdigit()):
        raise ValueError(f"`ids` must be a range of scenes such as 0:64. Got {text!r}.")
    return int(start), int(stop)


class Scenes(SourceBuilder):
    """`SceneSource` as a `datasets` builder: `Scenes(ids="0:64", scene_size=96)`."""

    source = "scenes"
