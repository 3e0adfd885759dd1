"""What a drawing is made of: layers, and the look that tells two objects of one kind apart.

A drawing is a function of local coordinates (x right, y down, float32 arrays of one shape; the
object spans its kind's half sizes) and a `Look`. It returns layers in painter's order, and it draws
no random number: all of them are in `Look`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Layer(NamedTuple):
    """One paint stroke of an object.

    Args:
        distance: (h, w) float32, in the object's own units: negative inside.
        colour: (3, 1, 1) float32 in 0..1; above 1 where the thing shines by itself.
        detail: Whether it is painted only on what is there already: a detail never widens the
            silhouette.
        opacity: One number or an array (h, w), in 0..1.
    """

    distance: np.ndarray
    colour: np.ndarray
    detail: bool = False
    opacity: float | np.ndarray = 1.0


@dataclass(frozen=True, eq=False)
class Look:
    """What makes two objects of one kind differ.

    Args:
        colour: (3, 1, 1) float32, the colour that a caption may name.
        window: (3, 1, 1) float32, glass by day and lamplight by night.
        light_x: Where the light comes from, -1 (left) to 1 (right), in local coordinates.
        traits: Four numbers in [0, 1) for proportions and patterns.
    """

    colour: np.ndarray
    window: np.ndarray
    light_x: float
    traits: tuple[float, float, float, float]


Drawing = Callable[[np.ndarray, np.ndarray, Look], list[Layer]]


def colour(red: float, green: float, blue: float) -> np.ndarray:
    """(3, 1, 1) float32, ready to broadcast over a (3, h, w) patch."""
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


BLACK, WHITE, CREAM = colour(0.03, 0.03, 0.03), colour(1.0, 1.0, 0.98), colour(0.94, 0.9, 0.82)


def part(distance: np.ndarray, paint: np.ndarray) -> Layer:
    """An opaque layer that belongs to the silhouette."""
    return Layer(distance, paint)


def detail(distance: np.ndarray, paint: np.ndarray, opacity: float | np.ndarray = 1.0) -> Layer:
    """A layer that lies within the silhouette painted so far."""
    return Layer(distance, paint, True, opacity)


def shade(x: np.ndarray, look: Look, half: float, strength: float = 0.38) -> Layer:
    """Darkness on the side away from the light, of a thing that is round about its upright axis."""
    away = np.clip(0.35 - x * (look.light_x / half), 0, 1)
    return detail(np.full(x.shape, -1, np.float32), BLACK, strength * away * away)
