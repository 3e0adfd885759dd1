"""Drawings of what carries people: cars, boats, balloons. See `layers`."""

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
from scribblegen.builders.scenes.shapes import box, circle, convex, ellipse, stripes, stroke

SLATE, STEEL, WOOD = colour(0.36, 0.34, 0.37), colour(0.72, 0.73, 0.76), colour(0.45, 0.36, 0.3)
TYRE, LAMP = colour(0.11, 0.11, 0.13), colour(1.0, 0.93, 0.7)


def _wheels(x: np.ndarray, y: np.ndarray, axle: float, spread: float, radius: float) -> list[Layer]:
    u = np.abs(x) - spread
    return [
        part(circle(u, y, (0, axle), radius), TYRE),
        detail(circle(u, y, (0, axle), radius * 0.52), STEEL),
        detail(circle(u, y, (0, axle), radius * 0.2), TYRE),
    ]


def sedan(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    roof = -0.5 + 0.1 * look.traits[0]
    cabin = convex(x, y, (-0.68, 0), (-0.42, roof), (0.24, roof), (0.58, 0))
    glass = np.maximum(cabin + 0.07, y + 0.02)
    body = box(x, y, (0, 0.15), (0.99, 0.22), 0.13)
    return [
        part(np.minimum(cabin, body), look.colour),
        detail(np.maximum(glass, 0.04 - np.abs(x + 0.08)), look.window),
        detail(np.maximum(glass, np.abs(x - y * 0.5 - 0.2) - 0.05), WHITE, 0.35),
        detail(np.abs(y - 0.02) - 0.025, WHITE, 0.45),
        detail(np.maximum(body, 0.24 - y), BLACK, 0.38),
        detail(np.maximum(np.abs(x + 0.08) - 0.015, np.abs(y - 0.12) - 0.14), BLACK, 0.4),
        detail(ellipse(x, y, (0.91, 0.1), (0.09, 0.075)), LAMP),
        detail(box(x, y, (-0.96, 0.1), (0.05, 0.06)), colour(0.8, 0.1, 0.1)),
        detail(circle(np.abs(x) - 0.56, y, (0, 0.32), 0.29), BLACK, 0.6),
        *_wheels(x, y, 0.34, 0.56, 0.225),
    ]


def bus(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    body = box(x, y, (0, -0.09), (0.99, 0.5), 0.12)
    panes = np.maximum(stripes(x + 0.02, 0.36, 0.78), np.abs(y + 0.26) - 0.16)
    door = box(x, y, (0.74, 0.05), (0.13, 0.33))
    return [
        part(body, look.colour),
        detail(np.abs(y + 0.53) - 0.05, WHITE, 0.5),
        detail(np.maximum(panes, np.abs(x + 0.16) - 0.74), look.window),
        detail(np.abs(y - 0.07) - 0.05, WHITE),
        detail(door, SLATE * 0.7),
        detail(box(x, y, (0.74, -0.1), (0.09, 0.16)), look.window),
        detail(np.maximum(body, 0.26 - y), BLACK, 0.38),
        detail(circle(x, y, (0.93, 0.24), 0.065), LAMP),
        detail(circle(np.abs(x) - 0.55, y, (0, 0.4), 0.25), BLACK, 0.6),
        *_wheels(x, y, 0.4, 0.55, 0.2),
    ]


def _hull(x: np.ndarray, y: np.ndarray, deck: float, water: float, look: Look) -> list[Layer]:
    sides = convex(
        x, y, (-0.92, deck), (0.98, deck - 0.06), (0.62, water + 0.2), (-0.7, water + 0.2)
    )
    # The waterline ripples, as water stands before the keel.
    hull = np.maximum(sides, y - water - 0.025 * np.sin(x * 13))
    return [
        part(hull, look.colour * 0.85),
        detail(np.maximum(hull, np.abs(y - deck - 0.1) - 0.035), WHITE),
        detail(np.maximum(hull, water - 0.12 - y), BLACK, 0.45),
    ]


def sailboat(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    main = convex(x, y, (-0.02, -0.98), (-0.02, 0.42), (-0.78, 0.42))
    jib = convex(x, y, (0.1, -0.8), (0.1, 0.42), (0.72, 0.42))
    layers = [part(stroke(x, y, (0.04, -0.97), (0.04, 0.6), 0.04), WOOD)]
    if look.traits[0] < 0.5:
        layers += [part(main, look.colour), detail(np.maximum(stripes(y, 0.46, 0.4), main), WHITE)]
        layers += [part(jib, CREAM)]
    else:
        layers += [part(main, CREAM), detail(np.maximum(stripes(y, 0.34, 0.12), main), BLACK, 0.25)]
        layers += [part(jib, look.colour)]
    return [*layers, shade(x, look, 0.8, 0.2), *_hull(x, y, 0.55, 0.9, look)]


def steamer(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    shift = 0.2 * (look.traits[0] - 0.5)
    funnel = convex(
        x, y, (shift - 0.34, -0.74), (shift - 0.06, -0.74), (shift, 0), (shift - 0.4, 0)
    )
    cabin = box(x, y, (-0.12, 0.08), (0.58, 0.17), 0.03)
    bridge = box(x, y, (0.28, -0.2), (0.22, 0.15), 0.03)
    return [
        part(funnel, look.colour),
        detail(np.abs(y + 0.5) - 0.08, WHITE),
        detail(y + 0.65, BLACK, 0.8),
        part(np.minimum(cabin, bridge), WHITE * 0.93),
        detail(circle(x - 0.26 * np.round(x / 0.26), y, (0, 0.08), 0.07), look.window),
        detail(box(x, y, (0.3, -0.21), (0.15, 0.07)), look.window),
        shade(x, look, 0.9, 0.2),
        *_hull(x, y, 0.25, 0.7, look),
    ]


def hot_air_balloon(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    globe = circle(x, y, (0, -0.36), 0.63)
    skirt = convex(x, y, (-0.56, -0.06), (0.56, -0.06), (0.17, 0.5), (-0.17, 0.5))
    envelope = np.minimum(globe, skirt)
    half = np.sqrt(np.clip(0.4 - (y + 0.36) ** 2, 0.02, 1))
    bulge = np.arcsin(np.clip(x / np.where(y > 0, 0.65 - 0.9 * y, half), -1, 1))
    gores = np.maximum(stripes(bulge + 0.26, 1.05, 0.5) * 0.5, envelope)
    ropes = np.abs(np.abs(x) - 0.15 + 0.05 * (y - 0.5)) - 0.018
    ropes = np.maximum(ropes, np.abs(y - 0.62) - 0.16)
    basket = box(x, y, (0, 0.87), (0.17, 0.12), 0.04)
    layers = [part(ropes, WOOD * 0.7), part(envelope, look.colour)]
    if look.traits[0] < 0.65:
        layers.append(detail(gores, WHITE * 0.96))
    else:
        zigzag = np.abs(y + 0.32 + 0.12 * np.abs(bulge * 2.2 % 2 - 1)) - 0.12
        layers.append(detail(np.maximum(zigzag, envelope), WHITE * 0.96))
    layers += [
        detail(np.maximum(envelope, 0.42 - y), SLATE),
        shade(x, look, 0.62),
        part(basket, WOOD),
        detail(np.maximum(basket, stripes(y, 0.1, 0.4)), BLACK, 0.35),
    ]
    return layers


def airship(x: np.ndarray, y: np.ndarray, look: Look) -> list[Layer]:
    body = ellipse(x, y, (0.04, -0.05), (0.95, 0.36 + 0.05 * look.traits[0]))
    fins = convex(x, np.abs(y + 0.05), (-0.55, 0.1), (-0.75, 0.46), (-0.99, 0.46), (-0.85, 0.0))
    gondola = box(x, y, (0.1, 0.4), (0.26, 0.11), 0.06)
    bands = np.maximum(np.abs(np.abs(x - 0.1) - 0.42) - 0.07, body)
    return [
        part(gondola, SLATE),
        detail(np.maximum(stripes(x, 0.13, 0.6), np.abs(y - 0.39) - 0.05), look.window),
        part(fins, look.colour * 0.7),
        part(body, look.colour),
        detail(bands, WHITE * 0.96),
        detail(ellipse(x, y, (0.1, -0.24), (0.6, 0.08)), WHITE, 0.4),
        detail(body, BLACK, 0.5 * np.clip(y * 2 + 0.1, 0, 1)),
    ]
