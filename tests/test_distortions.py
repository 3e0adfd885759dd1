"""Perspective and erasing: maps stay on what they lie over, and other draws do not move."""

import hashlib
from itertools import product

import numpy as np
import pytest

from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.distortions import PADDING, Erasing, Perspective, Shown
from scribblegen.trainers.segmentation.maps import DerivedMap, LabelMap, WeightMap
from scribblegen.trainers.segmentation.splicing import mosaic

SIDE = 96
MAPS = {
    "label": LabelMap(),
    "tile": LabelMap(),
    "tags": LabelMap(pad=0),
    "near": WeightMap(),
    "far": WeightMap(pad=2.5),
    "own": DerivedMap("label", lambda ids: ids.astype(np.float32), pad=-1.0),
}


def checkers(height=120, width=160, step=20, tile=0):
    """A checkerboard whose colours say the class, and maps that say it too."""
    places = np.arange(height)[:, None] // step + 2 * (np.arange(width)[None] // step)
    label = (places % 5).astype(np.uint8)
    image = np.stack([40 * label + 20, 255 - 40 * label, 80 + 0 * label], axis=2).astype(np.uint8)
    return {
        "image": image,
        "label": label,
        "tile": np.full_like(label, tile),
        "tags": label + np.uint8(10),
        "near": image[..., 0],
        "far": image[..., 0].astype(np.float32) / 255,
        "own": label.astype(np.float32),
    }


def away_from_borders(label, reach=3):
    """Where all labels within reach are equal."""
    low = high = label.astype(int)
    for axis, by in product((0, 1), range(-reach, reach + 1)):
        moved = np.roll(label.astype(int), by, axis)
        low, high = np.minimum(low, moved), np.maximum(high, moved)
    return (low == high) & (label != 255)


def shown_of(row):
    pixels, visible = row["image"], np.ones(row["label"].shape, bool)
    return Shown(pixels, {name: row[name] for name in MAPS}, visible)


@pytest.mark.parametrize("spliced", [None, (1, 2), (2, 2), (3, 3)])
@pytest.mark.parametrize("warped", [None, 0.1, 0.45])
@pytest.mark.parametrize("erased", [None, "keep", "ignore"])
def test_a_checkerboard_stays_aligned_through_any_combination(spliced, warped, erased):
    augment = Augmentation(
        crop_size=SIDE,
        scale=(1.0, 1.0) if spliced else (0.7, 2.0),
        maps=MAPS,
        perspective=Perspective(1.0, warped) if warped else None,
        erasing=Erasing(1.0, label=erased) if erased else None,
    )
    plain = Augmentation(
        crop_size=SIDE, scale=augment.scale, maps=MAPS, perspective=augment.perspective
    )
    compared = 0
    for number in range(12):
        row = checkers()
        if spliced:
            rows = [checkers(100 + 20 * n, 140, 50, n) for n in range(spliced[0] * spliced[1])]
            rng = np.random.default_rng(number)
            row = mosaic(rows, spliced, SIDE, MAPS, flip=0.5, rng=rng)
        view = augment(row, np.random.default_rng(number))
        label, inside = view["label"], view["inside"]
        assert np.array_equal(inside, label != 255)
        assert np.array_equal(view["tags"][inside], label[inside] + 10)
        assert np.array_equal(view["own"][inside], label[inside].astype(np.float32))
        for name, kind in MAPS.items():
            assert (view[name][~inside] == kind.pad).all() and view[name].dtype == row[name].dtype
        unhidden = (plain(row, np.random.default_rng(number))["image"] == view["image"]).all(axis=2)
        # A tile is blended with what was cut off beside it.
        kept = away_from_borders(label) & away_from_borders(view["tile"]) & unhidden
        assert (
            np.abs(view["image"][..., 0][kept].astype(int) - (40 * label[kept] + 20)) <= 2
        ).all()
        assert (np.abs(view["near"][kept].astype(int) - (40 * label[kept] + 20)) <= 2).all()
        assert np.abs(view["far"][kept] * 255 - (40 * label[kept] + 20.0)).max(initial=0) <= 2
        compared += kept.sum()
    assert compared > 12 * SIDE * SIDE * (0.02 if spliced == (3, 3) else 0.1)


def test_corners_of_an_image_go_where_they_are_moved():
    """Against the four-point formula, one pixel at a time."""
    strength = 0.4
    height, width = 40, 60
    grid = np.arange(height * width).reshape(height, width)
    label = (grid % 251).astype(np.uint8)
    shown = Shown(
        np.zeros((height, width, 3), np.uint8), {"label": label}, np.ones_like(label, bool)
    )
    found = Perspective(1.0, strength)(shown, {"label": LabelMap()}, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    rng.random()
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    moved = corners + rng.uniform(-strength / 2, strength / 2, (4, 2)) * (width, height)
    # A point of the unit square, projected: the forward map, solved for by its own equations.
    for x, y in ((10, 10), (30, 20), (50, 35), (20, 30)):
        h = _projection(corners, moved)
        u, v, w = h @ (x + 0.5, y + 0.5, 1)
        u, v = u / w, v / w
        if 1 < u < width - 1 and 1 < v < height - 1:
            near = label[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
            assert found.maps["label"][int(v), int(u)] in near
    assert 0 < (~found.visible).sum() < height * width / 2


def _projection(points, images):
    """By the null space of the homogeneous equations."""
    lines = []
    for (x, y), (u, v) in zip(points, images, strict=True):
        lines += [[x, y, 1, 0, 0, 0, -u * x, -u * y, -u], [0, 0, 0, x, y, 1, -v * x, -v * y, -v]]
    return np.linalg.svd(np.array(lines))[2][-1].reshape(3, 3)


def test_a_tiny_warp_moves_nothing_far():
    row = checkers(50, 70, 10)
    found = Perspective(1.0, 1e-6)(shown_of(row), MAPS, np.random.default_rng(0))
    assert (found.maps["label"] != row["label"]).mean() < 0.02
    kept = found.visible
    assert np.abs(found.pixels[kept].astype(int) - row["image"][kept]).max() <= 1


def test_what_a_warp_does_not_show_is_padding():
    row = checkers(60, 60)
    for seed in range(20):
        found = Perspective(1.0, 0.45)(shown_of(row), MAPS, np.random.default_rng(seed))
        outside = ~found.visible
        assert (found.pixels[outside] == PADDING).all()
        for name, kind in MAPS.items():
            assert (found.maps[name][outside] == kind.pad).all()
        assert (found.maps["label"][found.visible] < 5).all()


@pytest.mark.parametrize("fill", ["noise", "mean"])
def test_an_erased_patch_is_a_rectangle_of_the_asked_size(fill):
    row = checkers(80, 100)
    shares = []
    for seed in range(60):
        shown = shown_of(row)
        found = Erasing(1.0, 0.3, fill, "ignore")(shown, MAPS, np.random.default_rng(seed))
        patch = ~found.visible
        rows, columns = np.flatnonzero(patch.any(axis=1)), np.flatnonzero(patch.any(axis=0))
        assert patch.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert np.array_equal(found.pixels[~patch], row["image"][~patch])
        same = (found.pixels[patch] == PADDING).all()
        assert same if fill == "mean" else not same
        for name, kind in MAPS.items():
            assert (found.maps[name][patch] == kind.pad).all()
            assert np.array_equal(found.maps[name][~patch], row[name][~patch])
        shares.append(patch.mean())
    assert 0.015 < min(shares) < 0.06 and 0.2 < max(shares) <= 0.31


def test_the_label_of_what_is_hidden_is_kept_unless_asked():
    shown = shown_of(checkers())
    kept = Erasing(1.0)(shown, MAPS, np.random.default_rng(0))
    dropped = Erasing(1.0, label="ignore")(shown, MAPS, np.random.default_rng(0))
    assert kept.visible.all() and kept.maps == shown.maps
    assert np.array_equal(kept.pixels, dropped.pixels) and not dropped.visible.all()


def test_padding_is_not_erased():
    augment = Augmentation(crop_size=64, scale=(0.4, 0.5), maps=MAPS, erasing=Erasing(1.0, 1.0))
    for seed in range(10):
        view = augment(checkers(), np.random.default_rng(seed))
        assert (view["image"][~view["inside"]] == PADDING).all() and not view["inside"].all()


def test_probabilities_are_kept_to():
    augment = Augmentation(
        crop_size=32,
        maps={"label": LabelMap()},
        perspective=Perspective(0.3, 0.2),
        erasing=Erasing(0.6, label="ignore"),
    )
    plain = Augmentation(crop_size=32, maps={"label": LabelMap()})
    row, rng, other = checkers(60, 60), np.random.default_rng(0), np.random.default_rng(0)
    changed = 0
    for _ in range(600):
        one, two = augment(row, rng), plain(row, other)
        changed += not np.array_equal(one["image"], two["image"])
    assert changed / 600 == pytest.approx(1 - 0.7 * 0.4, abs=0.05)
    assert rng.random() == other.random(), "no other draw has moved"


def test_one_option_does_not_move_the_draws_of_another():
    row = checkers()
    warp, hide = Perspective(1.0, 0.3), Erasing(1.0, fill="mean", label="ignore")
    base = {"crop_size": 64, "scale": (1.0, 1.0), "maps": {"label": LabelMap()}}

    def patch(**options):
        return augmented(**options)["inside"]

    def augmented(**options):
        return Augmentation(**base, **options)(row, np.random.default_rng(5))

    alone, both, warped = (
        patch(erasing=hide),
        patch(erasing=hide, perspective=warp),
        patch(perspective=warp),
    )
    assert np.array_equal(both, alone & warped)


def test_weights_of_a_view_are_made_after_it_is_distorted():
    def share(ids):
        return np.full(ids.shape, (ids == 255).mean(), np.float32)

    maps = {"label": LabelMap(), "share": DerivedMap("label", share, of_view=True, pad=7.0)}
    augment = Augmentation(
        crop_size=48,
        scale=(1.0, 1.0),
        maps=maps,
        perspective=Perspective(1.0, 0.4),
        erasing=Erasing(1.0, label="ignore"),
    )
    view = augment(checkers(60, 60), np.random.default_rng(1))
    inside = view["inside"]
    assert 0 < (~inside).mean() < 1 and view["share"].dtype == np.float32
    assert np.allclose(view["share"][inside], (~inside).mean())
    assert (view["share"][~inside] == 7).all()


def test_nothing_given_is_changed():
    row = checkers()
    before = {name: values.copy() for name, values in row.items()}
    augment = Augmentation(
        crop_size=64, maps=MAPS, perspective=Perspective(1.0, 0.3), erasing=Erasing(1.0)
    )
    augment(row, np.random.default_rng(0))
    mosaic([row] * 4, (2, 2), 64, MAPS, flip=0.5, rng=np.random.default_rng(0))
    assert all(np.array_equal(row[name], before[name]) for name in row)


def test_distortions_that_are_off_leave_every_view_as_it_was():
    """`test_augmentation.KNOWN` keeps the views themselves."""

    def digest(**options):
        sha, rng = hashlib.sha256(), np.random.default_rng(7)
        augment = Augmentation(crop_size=48, blur=0.5, maps=MAPS, **options)
        for _ in range(10):
            for name, values in sorted(augment(checkers(), rng).items()):
                sha.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return sha.hexdigest()

    never = {"perspective": Perspective(0.0, 0.2), "erasing": Erasing(0.0)}
    assert digest() == digest(**never)
