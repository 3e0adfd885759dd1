"""The backgrounds: sky, grass, water and sand, as a small autoencoder can hold them.

Textures are smooth noise from coarse grids and a few marks: no grain of single pixels, which costs
capacity and teaches nothing. Grids are counted per picture, so a scene looks alike at any size.
Every painter returns (3, h, w) float32, nominally in 0..1, before the light's gain.
"""

import colorsys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scribblegen.builders.scenes.kinds import Light
from scribblegen.builders.scenes.layers import WHITE, colour
from scribblegen.builders.scenes.shapes import pixel_window


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a background lies.

    Args:
        x: (1, w) float32, pixel centres as shares of the width.
        y: (h, 1) float32, pixel centres as shares of the height.
        top, bottom: The band of the background, as y.
        light: The time of day.
        light_x: The x of the sun or moon.
    """

    x: np.ndarray
    y: np.ndarray
    top: float
    bottom: float
    light: Light
    light_x: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.y.shape[0], self.x.shape[1]

    @property
    def depth(self) -> np.ndarray:
        """(h, 1): 0 at the far edge, 1 at the near one."""
        return np.clip((self.y - self.top) / (self.bottom - self.top), 0, 1)

    def blob(self, x: float, y: float, radius: float) -> tuple[tuple[slice, slice], np.ndarray]:
        """A disc, `radius` in shares of the smaller side: its window and its (h', w') opacity."""
        height, width = self.shape
        pixels = max(radius * min(height, width), 0.6)
        rows = pixel_window(y * height, pixels + 1, height)
        columns = pixel_window(x * width, pixels + 1, width)
        away = np.hypot(self.x[:, columns] * width - x * width, self.y[rows] * height - y * height)
        return (rows, columns), np.clip(pixels + 0.5 - away, 0, 1)


def sky(rng: np.random.Generator, frame: Frame) -> np.ndarray:
    """Gradient, clouds, and sun, moon and stars."""
    light, (height, width) = frame.light, frame.shape
    low = frame.depth**1.3 + np.zeros_like(frame.x)
    picture = mix(colour(*light.sky_top), colour(*light.sky_bottom), low)
    span = frame.bottom - frame.top
    sun_y = frame.top + span * (
        rng.uniform(0.5, 0.85) if light.name == "dusk" else rng.uniform(0.15, 0.5)
    )
    clear, stars = rng.random() < 0.6, rng.random((14, 3))
    if light.name == "night":
        for star_x, star_y, size in stars:
            _dot(picture, frame, star_x, star_y * frame.bottom, 0.005 + 0.005 * size, WHITE * 0.85)
    if clear and light.name != "overcast":
        side = min(height, width)
        away = np.hypot(
            (frame.x - frame.light_x) * (width / side), (frame.y - sun_y) * (height / side)
        )
        tint = colour(0.86, 0.88, 0.96) if light.name == "night" else colour(1.0, 0.95, 0.75)
        picture = mix(picture, tint, 0.5 * np.exp(-away / 0.13))
        _dot(picture, frame, frame.light_x, sun_y, 0.055, tint)
    clouds = (
        noise(rng, frame, 5, 3) + 0.5 * noise(rng, frame, 10, 6) + 0.25 * noise(rng, frame, 20, 12)
    )
    cover = smoothstep(0.1, 1.3, clouds + 1.2 * light.cover + rng.uniform(-0.4, 0.4))
    lit = colour(*light.cloud)
    shaded = mix(lit, lit * 0.9, smoothstep(0.6, 2.2, clouds))
    return mix(picture, shaded, 0.85 * cover)


def grass(rng: np.random.Generator, frame: Frame) -> np.ndarray:
    """A meadow: patches, tufts of blades, and a few flowers."""
    base = _draw_base(rng, (84, 116), (0.5, 0.68), (0.55, 0.7))
    near = mix(base * 1.1 + 0.06, base * 0.9, frame.depth)
    picture = near * (1 + 0.06 * noise(rng, frame, 6, 4) + 0.04 * noise(rng, frame, 14, 16))
    petals = colour(*colorsys.hsv_to_rgb(rng.choice((0.14, 0.9)), rng.choice((0.0, 0.5)), 1.0))
    for x, depth, chance, size in rng.random((int(rng.integers(8, 18)), 4)):
        y = frame.top + depth * (frame.bottom - frame.top)
        radius = (0.009 + 0.006 * size) * (0.6 + 0.8 * depth)
        if chance < 0.4:
            _dot(picture, frame, x, y, radius, petals)
        else:
            for lean in (-1.1, 0.0, 1.1):
                _dot(
                    picture, frame, x + lean * radius, y - (lean == 0) * radius, radius, base * 0.74
                )
    return picture


def sand(rng: np.random.Generator, frame: Frame) -> np.ndarray:
    """Dunes with ripples, and a few pebbles."""
    base = _draw_base(rng, (34, 43), (0.3, 0.46), (0.84, 0.93))
    bend = noise(rng, frame, 4, 3)
    ripples = np.sin(
        2 * np.pi * (rng.uniform(5, 8) * (frame.depth + 0.6) ** 0.7 * 1.6 + 0.55 * bend)
    )
    strength = smoothstep(-0.8, 1.2, noise(rng, frame, 4, 3))
    picture = mix(base * 1.03, base * 0.95, frame.depth)
    picture = picture * (1 + 0.045 * ripples * strength + 0.03 * bend)
    for x, depth, chance, size in rng.random((int(rng.integers(4, 11)), 4)):
        y = frame.top + depth * (frame.bottom - frame.top)
        radius = (0.008 + 0.009 * size) * (0.6 + 0.8 * depth)
        _dot(picture, frame, x, y + 0.5 * radius, radius, base * 0.6)
        _dot(picture, frame, x, y, radius, base * (0.72 if chance < 0.5 else 1.1))
    return picture


def water(rng: np.random.Generator, frame: Frame) -> np.ndarray:
    """Waves that shorten with distance, and the sky's light on them."""
    base = _draw_base(rng, (190, 214), (0.62, 0.8), (0.6, 0.76))
    swell = noise(rng, frame, 7, 3)
    phase = rng.uniform(9, 13) * np.log1p(1.6 * frame.depth) + 0.38 * swell
    crest = smoothstep(0.35, 1.0, np.sin(2 * np.pi * phase))
    broken = smoothstep(-0.5, 0.9, noise(rng, frame, 12, 6))
    far = np.clip(1 - frame.depth, 0, 1) ** 2
    picture = mix(base, colour(*frame.light.sky_bottom), 0.32 * far) * (1 + 0.05 * swell)
    picture = mix(picture, base * 0.5 + 0.48, 0.5 * crest * broken)
    if frame.light.name != "overcast":
        # The sun's path towards the viewer, broken by the waves.
        path = np.exp(-(((frame.x - frame.light_x) / 0.11) ** 2))
        glint = mix(colour(*frame.light.sky_bottom), WHITE, np.float32(0.3))
        picture = mix(picture, glint, 0.6 * path * far * (0.35 + 0.65 * crest))
    return picture


BACKGROUND_PAINTERS: Mapping[str, Callable[[np.random.Generator, Frame], np.ndarray]] = {
    "sky": sky,
    "grass": grass,
    "water": water,
    "sand": sand,
}


def noise(rng: np.random.Generator, frame: Frame, rows: int, columns: int) -> np.ndarray:
    """(h, w) float32 smooth noise, mean 0, deviation about 1, of `rows` x `columns` cells."""
    height, width = frame.shape
    grid = rng.standard_normal((rows + 3, columns + 3), np.float32)
    return (_upsampling(height, rows) @ grid @ _upsampling(width, columns).T) * np.float32(2.08)


@lru_cache(maxsize=256)
def _upsampling(length: int, cells: int) -> np.ndarray:
    """(length, cells + 3) float32: cubic B-spline weights at the pixel centres."""
    position = (np.arange(length) + 0.5) / length * cells
    first = np.minimum(position.astype(int), cells - 1)
    t = position - first
    cubic = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((length, cells + 3), np.float32)
    for offset, weight in enumerate(cubic):
        weights[np.arange(length), first + offset] = weight / 6
    return weights


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray | np.float32) -> np.ndarray:
    """(3, h, w): `first` where `share` is 0, `second` where it is 1."""
    return first + (second - first) * share


def _dot(
    picture: np.ndarray, frame: Frame, x: float, y: float, radius: float, paint: np.ndarray
) -> None:
    """Paints a disc into `picture`, which its caller has just made."""
    (rows, columns), opacity = frame.blob(x, y, radius)
    window = picture[:, rows, columns]
    window += (paint - window) * opacity


def _draw_base(
    rng: np.random.Generator,
    degrees: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> np.ndarray:
    hue = rng.uniform(*degrees) / 360
    return colour(*colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value)))
