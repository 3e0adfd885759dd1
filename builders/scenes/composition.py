"""What is in a scene: light, backgrounds, and which object stands where.

Lengths are shares of the picture, so that a scene is the same at any size: x of the width, y of the
height, `scale` of the smaller side (objects keep their shape in a picture that is not square).
"""

import colorsys
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from scribblegen.builders.scenes.kinds import (
    BACKDROPS,
    COLOURS,
    FLYING,
    LIGHTS,
    OBJECT_KINDS,
    SWIMMING,
    Light,
    ObjectKind,
)
from scribblegen.seeds import numpy_generator

T = TypeVar("T")
NAMES_COLOUR, NAMES_KIND = 0.6, 0.5  # share of objects whose caption tells colour, sub-class
OBJECT_COUNTS = ((1, 0.28), (2, 0.34), (3, 0.24), (4, 0.14))
CROWDING = {1: 1.45, 2: 1.15, 3: 0.95, 4: 0.85}  # fewer objects are larger
MAX_OVERLAP = 0.3  # of the smaller of two bounding boxes
TRIES = 12
MIN_SCALE = 0.1  # 6 pixels of a picture of 64
UPPER_SHARE = 0.24  # of objects in the upper of two backgrounds
ROLLING_EDGE, FLAT_EDGE = 0.1, 0.04  # how far a foot stays from the border of two backgrounds


@dataclass(frozen=True)
class PlacedObject:
    """One object. `base_y` is where its lowest point is; `flipped` mirrors it."""

    kind: ObjectKind
    place: str
    colour: str
    rgb: tuple[float, float, float]
    x: float
    base_y: float
    scale: float
    degrees: float
    flipped: bool
    traits: tuple[float, float, float, float]
    names_colour: bool
    names_kind: bool

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in a square picture, rotation left out."""
        width, height = self.kind.half[0] * self.scale, self.kind.half[1] * self.scale
        return self.x - width, self.base_y - 2 * height, self.x + width, self.base_y


@dataclass(frozen=True)
class Composition:
    """One scene before it is painted.

    Args:
        upper, lower: The two backgrounds; `upper` is None where `lower` fills the picture.
        horizon: The y of their border, 0 without an upper one.
        slope, swell, phase: How the border tilts and waves, in shares of the height (the phase
            in radians).
        light, light_x: The time of day, and the x of the sun or moon that the light comes from.
        exposure: A factor on the brightness of the whole picture.
        objects: The objects in painter's order.
        texture_seed: The seed of the textures, which draw their own numbers.
    """

    upper: str | None
    lower: str
    horizon: float
    slope: float
    swell: float
    phase: float
    light: Light
    light_x: float
    exposure: float
    objects: tuple[PlacedObject, ...]
    texture_seed: int


def compose(index: int, seed: int) -> Composition:
    """The scene number `index` under the root `seed`. Equal numbers give equal scenes."""
    rng = numpy_generator(seed, "scene", index)
    upper, lower, _ = _pick(rng, BACKDROPS, [share for *_, share in BACKDROPS])
    horizon = 0.0
    if upper is not None:
        horizon = rng.uniform(0.32, 0.68) if upper == "sky" else rng.uniform(0.34, 0.6)
    level = 0.0 if lower == "water" else 1.0  # water lies flat, land rolls
    return Composition(
        upper=upper,
        lower=lower,
        horizon=horizon,
        slope=level * rng.uniform(-0.1, 0.1),
        swell=level * rng.uniform(0.01, 0.04),
        phase=rng.uniform(0, 2 * np.pi),
        light=_pick(rng, LIGHTS, [light.share for light in LIGHTS]),
        light_x=rng.uniform(0.1, 0.9),
        exposure=rng.uniform(0.92, 1.06),
        objects=_place_objects(rng, upper, lower, horizon),
        texture_seed=int(rng.integers(2**62)),
    )


def _place_objects(
    rng: np.random.Generator, upper: str | None, lower: str, horizon: float
) -> tuple[PlacedObject, ...]:
    count = _pick(rng, OBJECT_COUNTS, [share for _, share in OBJECT_COUNTS])[0]
    rolling = ROLLING_EDGE if lower != "water" else FLAT_EDGE
    placed: list[PlacedObject] = []
    for _ in range(count):
        if upper is None:
            place, band = lower, (0.0, 0.99)
        elif rng.random() < UPPER_SHARE:
            place, band = upper, (0.0, horizon - (FLAT_EDGE if upper == "sky" else rolling))
        else:
            place, band = lower, (horizon + rolling, 0.99)
        kind = _pick(rng, OBJECT_KINDS, [kind.places.get(place, 0.0) for kind in OBJECT_KINDS])
        for _ in range(TRIES):  # an object that finds no free place is left out
            thing = _draw_object(rng, kind, place, band, CROWDING[count])
            if all(_overlap(thing.box(), other.box()) < MAX_OVERLAP for other in placed):
                placed.append(thing)
                break
    # Far to near: what flies is behind, then what stands higher up in the picture.
    return tuple(
        sorted(placed, key=lambda thing: (thing.kind.class_name not in FLYING, thing.base_y))
    )


def _draw_object(
    rng: np.random.Generator,
    kind: ObjectKind,
    place: str,
    band: tuple[float, float],
    crowding: float,
) -> PlacedObject:
    """An object somewhere in its background, which spans the heights of `band`."""
    top, bottom = band
    depth = rng.uniform(0.0, 1.0)
    degrees = rng.uniform(-kind.tilt, kind.tilt)
    scale = kind.size * crowding * rng.uniform(0.85, 1.2)
    half_width, half_height = kind.half
    if kind.class_name in FLYING + SWIMMING:  # wholly within its background
        tilt = np.deg2rad(degrees)
        reach = half_height * float(np.cos(tilt)) + half_width * abs(float(np.sin(tilt)))
        scale = max(min(scale, 0.48 * (bottom - top) / reach, 0.46 / half_width), MIN_SCALE)
        first, last = top + reach * scale, max(bottom - reach * scale, top + reach * scale)
        base_y = first + depth * (last - first) + half_height * scale
    else:  # its foot on its background, larger when nearer
        scale = min(scale * (0.65 + 0.6 * depth), 0.46 / half_height, 0.48 / half_width)
        scale = max(scale, MIN_SCALE)
        first = max(top, min(bottom, 2 * half_height * scale - 0.02))
        base_y = first + depth * (bottom - first)
    margin = min(0.6 * half_width * scale, 0.5)
    word = str(rng.choice(kind.colours))
    return PlacedObject(
        kind=kind,
        place=place,
        colour=word,
        rgb=_draw_colour(rng, word),
        x=rng.uniform(margin, 1 - margin),
        base_y=base_y,
        scale=scale,
        degrees=degrees,
        flipped=bool(rng.random() < 0.5),
        traits=(rng.random(), rng.random(), rng.random(), rng.random()),
        names_colour=bool(rng.random() < NAMES_COLOUR),
        names_kind=bool(rng.random() < NAMES_KIND),
    )


def _draw_colour(rng: np.random.Generator, word: str) -> tuple[float, float, float]:
    colour = next(colour for colour in COLOURS if colour.name == word)
    hue = (colour.hue + rng.uniform(-colour.stray, colour.stray)) % 360 / 360
    return colorsys.hsv_to_rgb(hue, rng.uniform(*colour.saturation), rng.uniform(*colour.value))


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Shared area of two boxes as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))


def _pick(rng: np.random.Generator, options: tuple[T, ...], weights: list[float]) -> T:
    edges = np.cumsum(weights)
    return options[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]
