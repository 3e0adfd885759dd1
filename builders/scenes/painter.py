"""From a composition to pixels: the image, and the exact mask of what was painted."""

from dataclasses import dataclass

import numpy as np

from scribblegen.builders.scenes.captions import caption
from scribblegen.builders.scenes.composition import Composition, compose
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.scenes.layers import colour
from scribblegen.builders.scenes.objects import paint_object
from scribblegen.builders.scenes.textures import BACKGROUND_PAINTERS, Frame, mix
from scribblegen.seeds import numpy_generator

MIN_SIDE = 16


@dataclass(frozen=True)
class DrawnObject:
    """One object of a scene: `instances == number` is where it is seen.

    Args:
        number: Its number from 1 in painter's order: a later object lies before an earlier one.
        class_name, phrase, colour: Its class, its sub-class and its colour word, captioned or not.
        box: Left, top, right, bottom in pixels, right and bottom excluded: its silhouette within
            the picture, hidden parts included.
    """

    number: int
    class_name: str
    phrase: str
    colour: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture and all that is known of it.

    Args:
        image: (h, w, 3) uint8 RGB.
        mask: (h, w) uint8 class ids of `SCENE_CLASSES`, exact: no `IGNORE_INDEX`.
        instances: (h, w) uint8, the number of the object in front; 0 on backgrounds.
        caption: What is drawn, in words of `SCENE_VOCABULARY`.
        objects: The objects in painter's order.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    caption: str
    objects: tuple[DrawnObject, ...]


def render_scene(index: int, *, height: int = 96, width: int = 96, seed: int = 0) -> Scene:
    """Paints the scene number `index`. The same scene at another size shows the same things.

    Args:
        index: The number of the scene, any from 0.
        height, width: The size of the picture in pixels, at least 16 each.
        seed: The root seed of the whole collection.

    Raises:
        ValueError: for a negative index or a picture too small.
    """
    if index < 0:
        raise ValueError(f"`index` must be at least 0. Got {index}.")
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"`height` and `width` must be at least {MIN_SIDE} pixels. Got {height} and {width}."
        )
    composition = compose(index, seed)
    canvas, mask = _paint_backgrounds(composition, height, width)
    instances = np.zeros((height, width), np.uint8)
    drawn = []
    for number, thing in enumerate(composition.objects, start=1):
        box = paint_object(canvas, mask, instances, composition, thing, number)
        drawn.append(
            DrawnObject(number, thing.kind.class_name, thing.kind.phrase, thing.colour, box)
        )
    image = np.clip(canvas * (255 * composition.exposure) + 0.5, 0, 255).astype(np.uint8)
    return Scene(
        image=np.ascontiguousarray(image.transpose(1, 2, 0)),
        mask=mask,
        instances=instances,
        caption=caption(composition),
        objects=tuple(drawn),
    )


def _paint_backgrounds(
    composition: Composition, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(3, h, w) float32 and (h, w) uint8 ids: upper background, lower one, and their border."""
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    names, horizon = SCENE_CLASSES.names, composition.horizon

    def paint(name: str, top: float, bottom: float) -> np.ndarray:
        rng = numpy_generator(composition.texture_seed, name)
        frame = Frame(x, y, top, bottom, composition.light, composition.light_x)
        picture = BACKGROUND_PAINTERS[name](rng, frame)
        return picture if name == "sky" else picture * colour(*composition.light.gain)

    lower = paint(composition.lower, horizon, 1.0)
    if composition.upper is None:
        return lower, np.full((height, width), names.index(composition.lower), np.uint8)
    upper = paint(composition.upper, 0.0, horizon)
    wave = np.sin(x * 7.0 + composition.phase) * composition.swell
    border = y - horizon - composition.slope * (x - 0.5) - wave  # above 0 in the lower one
    if composition.upper == "water":
        foam = np.clip(1 - np.abs(border + 0.012) / 0.022, 0, 1) * 0.75
        upper = mix(upper, colour(*composition.light.gain) * 0.97, foam)
        lower = lower * (1 - 0.28 * np.clip(1 - border / 0.05, 0, 1))
    canvas = mix(upper, lower, np.clip(border * height + 0.5, 0, 1))
    ids = (names.index(composition.upper), names.index(composition.lower))
    return canvas, np.where(border > 0, ids[1], ids[0]).astype(np.uint8)
