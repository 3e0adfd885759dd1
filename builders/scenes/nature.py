"""Drawings of what grows and swims: trees, mushrooms, fish. See `layers`."""

import numpy as np

from scribblegen.builders.scenes.layers import (
    BLACK,
    CREAM,
    WHITE,
    Layer,
    Look,
    colour,
    detail,
    part,
    shade,
)
from scribblegen.builders.scenes.shapes import box, circle, convex, dots, ellipse, stripes, stroke

BARK = colour(0.42, 0.32, 0.26)


def pine(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    layers = [part(box(x, y, (0, 0.8), (0.1, 0.2)), BARK)]
    slim = 0.85 + 0.15 * look.traits[0]
    for top, bottom, half in ((0.0, 0.72, 0.62), (-0.45, 0.3, 0.5), (-1.0, -0.12, 0.37)):
        half *= slim
        skirt = convex(x, y, (0, top), (half, bottom), (-half, bottom))
        skirt = np.maximum(skirt, y - bottom + 0.05 * np.abs(np.sin(x * 16)))
        layers.append(part(skirt, look.colour * 0.8))
        shadow = np.maximum(skirt, -(y - bottom + 0.22))
        layers.append(detail(shadow, BLACK, 0.32 * np.clip((y - bottom + 0.22) / 0.22, 0, 1)))
        glint = np.maximum(skirt + 0.05, -(x * look.light_x - 0.12 * (y - top)))
        layers.append(detail(glint, look.colour * 1.15, 0.6))
    return layers


def oak(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    a, b, c, d = look.traits
    trunk = convex(x, y, (-0.1, 0.1), (0.1, 0.1), (0.17, 1.0), (-0.17, 1.0))
    bumps = (
        ((-0.45, -0.02 + 0.1 * a), 0.38),
        ((0.45, -0.06 + 0.1 * b), 0.37),
        ((-0.28 - 0.06 * c, -0.46), 0.4),
        ((0.3, -0.48 + 0.06 * d), 0.38),
        ((0.04 * a, -0.2), 0.52),
    )
    crown = np.minimum.reduce([circle(x, y, centre, radius) for centre, radius in bumps])
    layers = [
        part(trunk, BARK),
        detail(stripes(x + 0.05 * np.sin(y * 9), 0.13, 0.35), BLACK, 0.3),
        part(crown, look.colour * 0.72),
    ]
    # Each bump has a lit cap: what makes a crown of leaves out of a cloud.
    for centre, radius in bumps:
        lit = (centre[0] + 0.12 * look.light_x, centre[1] - 0.09)
        layers.append(detail(circle(x, y, lit, radius * 0.66), look.colour * 0.95, 0.65))
    leaves = dots(x + 0.06 * np.sin(y * 11), y + 0.05 * np.sin(x * 9), 0.21, 0.06)
    layers.append(detail(np.maximum(leaves, crown + 0.04), look.colour * 1.2, 0.55))
    layers.append(detail(crown, BLACK, 0.3 * np.clip(y + 0.25, 0, 1)))
    return layers


def palm(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    lean = 0.3 * (look.traits[0] - 0.5)
    bent = x - lean * (1 - y) * 0.5 - 0.12 * np.cos(y * 1.6)
    trunk = np.maximum(np.abs(bent) - (0.085 + 0.025 * y), np.abs(y - 0.25) - 0.75)
    layers = [
        part(trunk, colour(0.55, 0.43, 0.33)),
        detail(stripes(y + 0.3 * bent, 0.15, 0.4), BLACK, 0.35),
    ]
    top_x, top_y = lean * 0.75 + 0.12 * float(np.cos(-0.8)), -0.5
    u, v = x - top_x, y - top_y
    for index, (angle, length) in enumerate(
        (
            (-2.9, 0.8),
            (-0.25, 0.8),
            (-2.35, 0.78),
            (-0.8, 0.78),
            (2.75, 0.66),
            (0.4, 0.66),
            (-1.55, 0.5),
        )
    ):
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        along, across = u * cos + v * sin, v * cos - u * sin
        # Fronds droop: the middle line bends downwards with the square of the distance.
        across = across - 0.5 * cos * along * np.abs(along)
        frond = ellipse(along, across, (length / 2, 0), (length / 2, 0.125))
        layers.append(part(frond, look.colour * (0.72 if index % 2 else 0.88)))
        rib = np.maximum(np.abs(across) - 0.018, frond)
        layers.append(detail(rib, look.colour * 0.45, 0.8))
    for side in (-0.08, 0.09):
        layers.append(part(circle(u, v, (side, 0.1), 0.085), BARK * 0.8))
    return layers


def toadstool(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    waist = 0.17 + 0.06 * look.traits[0]
    stem = np.abs(x) - waist - 0.13 * np.clip(y, 0, 1) ** 2
    stem = np.maximum(stem, np.abs(y - 0.4) - 0.5)
    rim = 0.1 + 0.04 * look.traits[1]
    dome = np.maximum(ellipse(x, y, (0, rim), (0.85, 0.95)), y - rim - 0.08 * (1 - x * x))
    spots = (
        ((-0.42, -0.22), 0.13),
        ((0.02, -0.5), 0.15),
        ((0.45, -0.2), 0.13),
        ((0.02, -0.08), 0.13),
    )
    layers = [
        part(stem, CREAM),
        shade(x, look, 0.2, 0.35),
        detail(np.abs(y - 0.36 - 0.05 * np.cos(x * 8)) - 0.045, WHITE * 0.8),
        part(ellipse(x, y, (0, rim + 0.04), (0.72, 0.14)), CREAM * 0.72),
        detail(np.maximum(stripes(x, 0.16, 0.4), np.abs(y - rim - 0.1) - 0.1), BLACK, 0.2),
        part(dome, look.colour),
        detail(ellipse(x, y, (0.3 * look.light_x, -0.4), (0.45, 0.35)), look.colour * 1.2, 0.7),
    ]
    shadow = np.clip(0.1 - 0.5 * look.light_x * x + 0.4 * y, 0, 1)
    for centre, radius in spots:
        layers.append(detail(circle(x, y, centre, radius * (0.8 + 0.4 * look.traits[2])), WHITE))
    layers.append(detail(dome, BLACK, 0.6 * shadow))
    return layers


def bolete(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    stem = np.maximum(ellipse(x, y, (0, 0.6), (0.4 + 0.06 * look.traits[0], 0.75)), y - 0.86)
    rim = 0.02 + 0.06 * look.traits[1]
    cap = np.maximum(
        ellipse(x, y, (0, rim), (0.8, 0.86)), ellipse(x, y, (0, rim - 0.3), (0.9, 0.5))
    )
    tubes = ellipse(x, y, (0, rim + 0.16), (0.64, 0.14))
    return [
        part(stem, CREAM),
        detail(np.maximum(stripes(x + 0.04 * np.sin(y * 9), 0.15, 0.25), 0.35 - y), BLACK, 0.22),
        shade(x, look, 0.45, 0.4),
        part(tubes, colour(0.86, 0.8, 0.58)),
        part(cap, look.colour * 0.9),
        detail(ellipse(x, y, (0.25 * look.light_x, -0.42), (0.4, 0.22)), look.colour * 1.25, 0.8),
        detail(ellipse(x, y, (0.3 * look.light_x, -0.5), (0.16, 0.07)), WHITE, 0.6),
        detail(np.maximum(cap, rim - 0.12 - y), BLACK, 0.35),
    ]


def _eye(x: np.ndarray, y: np.ndarray, centre: tuple[float, float], radius: float) -> list[Layer]:
    return [
        detail(circle(x, y, centre, radius), WHITE),
        detail(circle(x, y, (centre[0] + 0.02, centre[1]), radius * 0.58), BLACK),
    ]


def carp(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    depth = 0.36 + 0.08 * look.traits[0]
    body = ellipse(x, y, (0.2, 0), (0.78, depth))
    tail = np.minimum(
        convex(x, y, (-0.4, 0.0), (-0.98, -0.42), (-0.78, 0.05)),
        convex(x, y, (-0.4, 0.0), (-0.98, 0.42), (-0.78, -0.05)),
    )
    back = convex(x, y, (-0.2, -depth + 0.12), (0.05, -0.54), (0.5, -depth + 0.1))
    belly = convex(x, y, (-0.05, depth - 0.1), (-0.15, 0.54), (0.25, depth - 0.06))
    fins = np.minimum(np.minimum(tail, back), belly)
    side = ellipse(x, y, (0.1, 0.08), (0.2, 0.1))
    scales = np.maximum(np.abs(dots(x, y, 0.21, 0.1)) - 0.022, np.abs(x - 0.02) - 0.44)
    layers = [
        part(fins, look.colour * 0.75),
        detail(stripes(y + 0.2 * x, 0.14, 0.3), BLACK, 0.25),
        part(body, look.colour),
        detail(scales, look.colour * 0.6, 0.7),
        detail(ellipse(x, y, (0.2, depth), (0.7, depth * 0.55)), WHITE, 0.55),
        detail(np.abs(circle(x, y, (0.98, 0), 0.44)) - 0.025, BLACK, 0.45),
        detail(side, look.colour * 0.7),
        detail(stroke(x, y, (0.86, 0.13), (0.97, 0.08), 0.022), BLACK, 0.7),
    ]
    return layers + _eye(x, y, (0.74, -0.08), 0.1)


def angelfish(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    body = ellipse(x, y, (0.15, 0), (0.6, 0.48 + 0.06 * look.traits[0]))
    back = convex(x, y, (0.45, -0.3), (-0.55, -0.95), (-0.25, -0.1))
    belly = convex(x, y, (0.45, 0.3), (-0.55, 0.95), (-0.25, 0.1))
    tail = convex(x, y, (-0.3, -0.08), (-0.82, -0.32), (-0.72, 0.0), (-0.82, 0.32), (-0.3, 0.08))
    tail = np.maximum(tail, 0.06 - circle(x, y, (-0.98, 0), 0.2))
    everything = np.minimum(np.minimum(body, tail), np.minimum(back, belly))
    bands = stripes(x - 0.08 * np.cos(y * 3), 0.36, 0.4)
    layers = [
        part(np.minimum(np.minimum(back, belly), tail), look.colour * 0.82),
        part(body, look.colour),
        detail(np.maximum(bands, np.abs(x - 0.02) - 0.44), WHITE, 0.92),
        detail(everything + 0.04, BLACK, 0.3 * np.clip(y + 0.1, 0, 1)),
        detail(stroke(x, y, (0.64, 0.13), (0.74, 0.1), 0.022), BLACK, 0.7),
    ]
    return layers + _eye(x, y, (0.52, -0.1), 0.1)
