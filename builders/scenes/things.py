"""Drawings of balls and houses. See `layers`."""

import numpy as np

from scribblegen.builders.scenes.layers import (
    BLACK,
    WHITE,
    Layer,
    Look,
    colour,
    detail,
    part,
    shade,
)
from scribblegen.builders.scenes.shapes import box, circle, convex, stripes

SLATE, WOOD, BRASS = colour(0.36, 0.34, 0.37), colour(0.45, 0.36, 0.3), colour(1.0, 0.93, 0.7)


def _sphere(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    """Shadow and highlight that make a ball of a disc of radius 1."""
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    lambert = np.clip(0.5 * look.light_x * x - 0.55 * y + 0.67 * z, 0, 1)
    disc = np.full(x.shape, -1, np.float32)
    highlight = circle(x, y, (0.38 * look.light_x, -0.42), 0.17)
    return [detail(disc, BLACK, 0.62 * (1 - lambert)), detail(highlight, WHITE, 0.75)]


def beach_ball(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    z = np.sqrt(np.clip(1 - x * x - y * y, 0.0, 1))
    tip = 0.6 + 0.5 * look.traits[0]
    cos, sin = float(np.cos(tip)), float(np.sin(tip))
    up, depth = y * cos + z * sin, z * cos - y * sin
    gores = np.sin(3 * np.arctan2(x, depth)) * np.hypot(x, depth) / 3
    pole = np.sqrt(np.maximum(x * x + (up - 1) ** 2, 0)) - 0.2
    return [
        part(circle(x, y, (0, 0), 1.0), look.colour),
        detail(gores, WHITE * 0.97),
        detail(pole, look.colour * 0.9),
        *_sphere(x, y, look),
    ]


def rubber_ball(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    z = np.sqrt(np.clip(1 - x * x - y * y, 0.0, 1))
    latitude = y * 0.85 + z * 0.5 - 0.3
    width = 0.13 + 0.1 * look.traits[0]
    return [
        part(circle(x, y, (0, 0), 1.0), look.colour),
        detail(np.abs(latitude) - width, look.colour * 0.45),
        detail(np.abs(np.abs(latitude) - width) - 0.03, WHITE),
        *_sphere(x, y, look),
    ]


def _window(x: np.ndarray, y: np.ndarray, centre: tuple[float, float], look: Look) -> list[Layer]:
    cross = np.minimum(np.abs(x - centre[0]), np.abs(y - centre[1])) - 0.018
    return [
        detail(box(x, y, centre, (0.17, 0.18)), WHITE),
        detail(box(x, y, centre, (0.13, 0.14)), look.window),
        detail(np.maximum(cross, box(x, y, centre, (0.14, 0.15))), WHITE),
    ]


def cottage(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    eaves = -0.02 + 0.1 * look.traits[0]
    wall = box(x, y, (0, (1 + eaves) / 2), (0.76, (1 - eaves) / 2))
    roof = convex(x, y, (-1, eaves + 0.06), (-0.45, -0.82), (0.45, -0.82), (1, eaves + 0.06))
    if look.traits[1] < 0.5:
        roof = convex(x, y, (-1, eaves + 0.06), (0, -0.95), (1, eaves + 0.06))
    row = np.floor(y / 0.17)
    tiles = np.maximum(stripes(x + 0.12 * (row % 2), 0.24, 0.88), stripes(y, 0.17, 0.82))
    door_x = 0.36 if look.traits[2] < 0.5 else 0.0
    windows = ((-0.3, 0.42),) if door_x else ((-0.46, 0.42), (0.46, 0.42))
    tint = SLATE if look.traits[3] < 0.5 else WOOD * 0.9
    layers = [
        part(box(x, y, (0.46, -0.66), (0.11, 0.28)), SLATE * 0.8),
        part(wall, look.colour),
        detail(stripes(y, 0.16, 0.12), BLACK, 0.22),
        detail(np.abs(y - eaves - 0.1) - 0.07, BLACK, 0.35),
        detail(box(x, y, (door_x, 0.72), (0.17, 0.3)), WHITE),
        detail(box(x, y, (door_x, 0.74), (0.13, 0.28)), WOOD * 0.7),
        detail(circle(x, y, (door_x + 0.08, 0.74), 0.03), BRASS),
    ]
    for centre in windows:
        layers += _window(x, y, centre, look)
    layers += [part(roof, tint * 0.75), detail(np.maximum(tiles, roof), tint * 1.15)]
    return [*layers, shade(x, look, 1.0, 0.22)]


def tower(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    wall = box(x, y, (0, 0.3), (0.36, 0.7))
    row = np.floor(y / 0.14)
    joints = -np.maximum(stripes(x + 0.13 * (row % 2), 0.26, 0.86), stripes(y, 0.14, 0.84))
    crown = box(x, y, (0, -0.43), (0.46, 0.12))
    layers = [part(wall, look.colour), detail(joints, BLACK, 0.28)]
    if look.traits[0] < 0.55:
        roof = convex(x, y, (-0.54, -0.38), (0, -1), (0.54, -0.38))
        layers += [part(roof, SLATE * 0.8), detail(stripes(y, 0.15, 0.7), SLATE * 1.2, 0.8)]
    else:
        teeth = np.maximum(stripes(x - 0.12, 0.24, 0.52), box(x, y, (0, -0.58), (0.46, 0.12)))
        layers += [part(np.minimum(crown, teeth), look.colour * 0.85)]
    for centre in ((0.0, -0.1), (0.0, 0.32)):
        arch = np.minimum(box(x, y, centre, (0.1, 0.12)), circle(x, y, (0, centre[1] - 0.1), 0.1))
        layers += [detail(arch - 0.035, WHITE), detail(arch, look.window)]
    door = np.minimum(box(x, y, (0, 0.86), (0.14, 0.16)), circle(x, y, (0, 0.72), 0.14))
    return [*layers, detail(door, WOOD * 0.6), shade(x, look, 0.4)]
