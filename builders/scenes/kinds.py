"""What can be in a scene: backgrounds, light, colours, and the kinds of objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scribblegen.builders.scenes import nature, things, vehicles
from scribblegen.builders.scenes.layers import Drawing
from scribblegen.classes import Classes

SCENE_CLASSES = Classes(
    names=(
        *("sky", "grass", "water", "sand"),
        *("ball", "house", "tree", "car", "boat", "fish", "balloon", "mushroom"),
    ),
    palette=(
        *((135, 206, 250), (124, 190, 60), (30, 90, 200), (238, 214, 150)),
        *((230, 25, 75), (150, 75, 30), (0, 100, 50), (90, 90, 100)),
        *((145, 30, 180), (255, 130, 0), (255, 90, 190), (0, 170, 160)),
    ),
)
BACKGROUNDS = SCENE_CLASSES.names[:4]

# (upper, lower, share of scenes); no upper: the lower one fills the picture.
BACKDROPS: tuple[tuple[str | None, str, float], ...] = (
    ("sky", "grass", 0.24),
    ("sky", "water", 0.17),
    ("sky", "sand", 0.13),
    (None, "sky", 0.06),
    (None, "grass", 0.11),
    (None, "water", 0.1),
    (None, "sand", 0.06),
    ("water", "sand", 0.07),
    ("water", "grass", 0.06),
)


@dataclass(frozen=True)
class Light:
    """The time of day. Colours are (red, green, blue) in 0..1.

    Args:
        name: The word of it in captions.
        share: The share of the scenes that have it.
        gain: A factor on everything but the sky. Its cast is weak, for a colour word to stay true.
        sky_top, sky_bottom: The colours between which the sky's gradient runs.
        cloud: The colour of clouds.
        cover: How much of the sky the clouds cover, about -1 (none) to 1 (most).
    """

    name: str
    share: float
    gain: tuple[float, float, float]
    sky_top: tuple[float, float, float]
    sky_bottom: tuple[float, float, float]
    cloud: tuple[float, float, float]
    cover: float


LIGHTS = (
    Light("day", 0.4, (1, 1, 0.98), (0.2, 0.47, 0.9), (0.7, 0.88, 0.98), (1, 1, 1), -0.2),
    Light(
        "dusk",
        0.22,
        (0.92, 0.84, 0.78),
        (0.33, 0.25, 0.55),
        (1, 0.62, 0.34),
        (0.98, 0.5, 0.5),
        -0.1,
    ),
    Light(
        "night",
        0.18,
        (0.575, 0.59, 0.65),
        (0.03, 0.04, 0.14),
        (0.14, 0.18, 0.38),
        (0.2, 0.23, 0.4),
        -0.5,
    ),
    Light(
        "overcast",
        0.2,
        (0.84, 0.85, 0.86),
        (0.55, 0.59, 0.65),
        (0.79, 0.81, 0.83),
        (0.9, 0.91, 0.92),
        0.5,
    ),
)


@dataclass(frozen=True)
class Colour:
    """A colour word: hue in degrees (and how far it may stray), saturation and value ranges."""

    name: str
    hue: float
    stray: float
    saturation: tuple[float, float] = (0.78, 0.92)
    value: tuple[float, float] = (0.8, 0.95)


COLOURS = (
    Colour("red", 0, 3, (0.84, 0.94), (0.75, 0.9)),
    Colour("orange", 27, 3, (0.86, 0.95), (0.92, 1.0)),
    Colour("yellow", 54, 2, (0.8, 0.9), (0.92, 1.0)),
    Colour("green", 122, 12, (0.65, 0.85), (0.55, 0.8)),
    Colour("cyan", 180, 4, (0.75, 0.9), (0.78, 0.92)),
    Colour("blue", 224, 7, (0.75, 0.9), (0.75, 0.95)),
    Colour("purple", 274, 5, (0.62, 0.8), (0.65, 0.85)),
    Colour("pink", 327, 2, (0.5, 0.6), (0.95, 1.0)),
)
ALL_COLOURS = tuple(colour.name for colour in COLOURS)
LEAF_COLOURS = ("green", "green", "green", "green", "yellow", "orange", "red", "pink")
# Fish and floating balls of the water's own colour would be riddles.
DRY_COLOURS = ("red", "orange", "yellow", "green", "purple", "pink")


@dataclass(frozen=True)
class ObjectKind:
    """A sub-class: how it is named and drawn, how large it is, and where it belongs.

    Args:
        class_name: The class of the object, one of `SCENE_CLASSES`.
        phrase: The sub-class in words.
        draw: The drawing, in local coordinates within +-`half`.
        half: Half the width and half the height, in local units.
        size: The typical length of a local unit, as a share of the picture's smaller side.
        tilt: The largest rotation either way, in degrees.
        places: The weight of this kind among the objects of each background.
        colours: The colour words that it may have; repeated ones are likelier.
    """

    class_name: str
    phrase: str
    draw: Drawing
    half: tuple[float, float]
    size: float
    tilt: float
    places: Mapping[str, float]
    colours: tuple[str, ...] = field(default=ALL_COLOURS)


OBJECT_KINDS = (
    ObjectKind(
        "ball",
        "beach ball",
        things.beach_ball,
        (1, 1),
        0.15,
        180,
        {"grass": 0.6, "sand": 1.3, "water": 0.45},
        DRY_COLOURS + ("blue",),
    ),
    ObjectKind(
        "ball",
        "rubber ball",
        things.rubber_ball,
        (1, 1),
        0.14,
        180,
        {"grass": 0.7, "sand": 0.8, "water": 0.3},
        DRY_COLOURS + ("blue",),
    ),
    ObjectKind("house", "cottage", things.cottage, (1, 1), 0.26, 2, {"grass": 1.2, "sand": 0.8}),
    ObjectKind("house", "tower", things.tower, (0.56, 1), 0.3, 2, {"grass": 0.9, "sand": 0.9}),
    ObjectKind("tree", "pine", nature.pine, (0.64, 1), 0.31, 3, {"grass": 1.3}, LEAF_COLOURS),
    ObjectKind("tree", "oak", nature.oak, (0.86, 1), 0.29, 4, {"grass": 1.3}, LEAF_COLOURS),
    ObjectKind(
        "tree", "palm", nature.palm, (1.05, 1), 0.29, 4, {"sand": 1.7, "grass": 0.2}, LEAF_COLOURS
    ),
    ObjectKind("car", "sedan", vehicles.sedan, (1, 0.57), 0.24, 5, {"grass": 0.9, "sand": 0.9}),
    ObjectKind("car", "bus", vehicles.bus, (1, 0.6), 0.25, 5, {"grass": 0.9, "sand": 0.7}),
    ObjectKind("boat", "sailboat", vehicles.sailboat, (1, 1), 0.26, 6, {"water": 1.1}),
    ObjectKind("boat", "steamer", vehicles.steamer, (1, 0.76), 0.26, 4, {"water": 1.1}),
    ObjectKind("fish", "carp", nature.carp, (1, 0.56), 0.22, 30, {"water": 1.1}, DRY_COLOURS),
    ObjectKind(
        "fish", "angelfish", nature.angelfish, (0.84, 0.96), 0.19, 25, {"water": 1.0}, DRY_COLOURS
    ),
    ObjectKind(
        "balloon", "hot air balloon", vehicles.hot_air_balloon, (0.66, 1), 0.24, 8, {"sky": 1.3}
    ),
    ObjectKind("balloon", "airship", vehicles.airship, (1, 0.55), 0.23, 12, {"sky": 1.0}),
    ObjectKind("mushroom", "toadstool", nature.toadstool, (0.88, 0.94), 0.2, 10, {"grass": 1.3}),
    ObjectKind("mushroom", "bolete", nature.bolete, (0.82, 0.9), 0.19, 10, {"grass": 1.2}),
)
FLYING, SWIMMING = ("balloon",), ("fish",)
