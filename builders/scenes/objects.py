"""Paints one object: its drawing turned, mirrored, shaded and laid over what is there."""

import numpy as np

from scribblegen.builders.scenes.composition import Composition, PlacedObject
from scribblegen.builders.scenes.kinds import FLYING, SCENE_CLASSES, SWIMMING
from scribblegen.builders.scenes.layers import BLACK, Layer, Look, colour
from scribblegen.builders.scenes.shapes import pixel_window

LAMPLIGHT = colour(1.0, 0.9, 0.68)  # pale: the walls keep the say in an object's hue
OUTLINE = 0.08  # width of the darker rim of an object, in local units


def paint_object(
    canvas: np.ndarray,
    mask: np.ndarray,
    instances: np.ndarray,
    composition: Composition,
    thing: PlacedObject,
    number: int,
) -> tuple[int, int, int, int]:
    """Paints `thing` into the three rasters, which `render_scene` owns, and returns its box."""
    height, width = mask.shape
    scale = thing.scale * min(height, width)  # pixels per local unit
    angle = np.deg2rad(thing.degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    half_width, half_height = thing.kind.half
    centre_x, base_y = thing.x * width, thing.base_y * height
    centre_y = base_y - half_height * scale
    _paint_shadow(canvas, composition, thing, (centre_x, base_y), scale)

    reach_x = (abs(cos) * half_width + abs(sin) * half_height) * scale + 2
    reach_y = (abs(sin) * half_width + abs(cos) * half_height) * scale + 2
    rows, columns = pixel_window(centre_y, reach_y, height), pixel_window(centre_x, reach_x, width)
    u = ((np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - centre_x) / scale)[None]
    v = ((np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - centre_y) / scale)[:, None]
    mirror = -1.0 if thing.flipped else 1.0
    layers = thing.kind.draw(
        (u * cos + v * sin) * mirror, v * cos - u * sin, _look(composition, thing)
    )
    paint, coverage, silhouette = _flatten(layers, scale)

    towards_light = np.float32(np.sign(composition.light_x - thing.x)) * u * 0.08 - v * 0.1
    rim = 0.62 + 0.38 * np.clip(-silhouette / OUTLINE, 0, 1)
    window = canvas[:, rows, columns]
    window *= 1 - coverage
    window += paint * (rim * (1 + towards_light)) * colour(*composition.light.gain)
    inside = silhouette < 0
    mask[rows, columns][inside] = SCENE_CLASSES.names.index(thing.kind.class_name)
    instances[rows, columns][inside] = number
    seen_rows, seen_columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    if not len(seen_rows):
        return (0, 0, 0, 0)
    left, top = columns.start + int(seen_columns[0]), rows.start + int(seen_rows[0])
    right, bottom = columns.start + int(seen_columns[-1]), rows.start + int(seen_rows[-1])
    return left, top, right + 1, bottom + 1


def _flatten(layers: list[Layer], scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paints layers over each other.

    Returns:
        (3, h, w) premultiplied colour, (h, w) coverage in 0..1, (h, w) distance of the silhouette.
    """
    shape = layers[0].distance.shape
    paint, coverage = np.zeros((3, *shape), np.float32), np.zeros(shape, np.float32)
    silhouette = np.full(shape, 1e3, np.float32)
    for layer in layers:
        opacity = np.clip(0.5 - layer.distance * scale, 0, 1) * layer.opacity
        if layer.detail:
            opacity = opacity * coverage
            paint += opacity * layer.colour - paint * opacity
        else:
            paint += opacity * (layer.colour - paint)
            coverage += opacity * (1 - coverage)
            silhouette = np.minimum(silhouette, layer.distance)
    return paint, coverage, silhouette


def _look(composition: Composition, thing: PlacedObject) -> Look:
    lamps = composition.light.name in ("night", "dusk") and thing.traits[3] < 0.8
    gain = colour(*composition.light.gain)
    side = float(np.sign(composition.light_x - thing.x))
    return Look(
        colour=colour(*thing.rgb),
        # Lamplight shines by itself: the gain is taken out before it is put on.
        window=LAMPLIGHT / gain if lamps else colour(0.36, 0.45, 0.54),
        light_x=-side if thing.flipped else side,
        traits=thing.traits,
    )


def _paint_shadow(
    canvas: np.ndarray,
    composition: Composition,
    thing: PlacedObject,
    foot: tuple[float, float],
    scale: float,
) -> None:
    """Darkens the ground where `thing` stands, or the water under a boat."""
    if thing.kind.class_name in FLYING + SWIMMING:
        return
    height, width = canvas.shape[1:]
    radii = (thing.kind.half[0] * scale * 1.1, max(0.17 * scale * thing.kind.half[0], 1.5))
    x = foot[0] - 0.12 * radii[0] * float(np.sign(composition.light_x - thing.x))
    y = foot[1] - 0.03 * scale
    rows, columns = pixel_window(y, radii[1], height), pixel_window(x, radii[0], width)
    u = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - x) / radii[0]
    v = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - y) / radii[1]
    share = 0.5 * np.clip(1.2 * (1 - np.hypot(u[None], v[:, None])), 0, 1)
    window = canvas[:, rows, columns]
    window += (BLACK - window) * share
