"""Distance weights are the reference's where it is right, and those of a loop over all pairs."""

import math

import numpy as np
import pytest

from scribblegen.segmenting.distance import (
    boundary_distance_weight,
    contour,
    scribble_distance_weight,
)

IGNORED = 255


def bytes_of(weights):
    assert weights.dtype == np.float32
    return np.rint(weights * 255).astype(int)


def dot(width=400):
    scribble = np.full((3, width), IGNORED, np.uint8)
    scribble[1, 0] = 4
    return scribble


def square(side=61, half=10):
    label = np.zeros((side, side), np.uint8)
    middle = side // 2
    label[middle - half : middle + half + 1, middle - half : middle + half + 1] = 3
    return label


def test_strokes_weigh_255_254_239_91_at_0_1_10_100_pixels():
    row = bytes_of(scribble_distance_weight(dot(), quantise=True))[1]
    assert row[[0, 1, 10, 100]].tolist() == [255, 254, 239, 91]


def test_boundaries_weigh_0_20_28_40_241_255():
    label = np.zeros((40, 40), np.uint8)
    label[5, 5] = 1
    weights = bytes_of(boundary_distance_weight(label, quantise=True))
    at = [(5, 5), (5, 6), (6, 6), (5, 7), (5, 17), (5, 18)]
    assert [weights[place] for place in at] == [0, 20, 28, 40, 241, 255]


@pytest.mark.parametrize(
    ("power", "radius"), [(0, 255), (1, 154.7), (2, 93.8), (3, 56.9), (6, 12.7), (7, 7.7)]
)
def test_a_ramp_ends_at_255_through_the_root_of_lambda(power, radius):
    assert 255 / math.sqrt(math.e**power) == pytest.approx(radius, abs=0.05)
    row = scribble_distance_weight(dot(), math.e**power)[1]
    inside = np.arange(400) < 255 / math.sqrt(math.e**power)
    assert (row[inside] > 0).all() and (row[~inside] == 0).all()
    label = np.zeros((3, 400), np.uint8)
    label[1, 0] = 1
    far = boundary_distance_weight(label, math.e**power)[1]
    assert (far[inside] < 1).all() and (far[~inside] == 1).all()


def test_without_a_stroke_nothing_weighs_and_without_an_object_everything_does():
    blank = np.full((5, 7), IGNORED, np.uint8)
    background = blank.copy()
    background[2] = 0
    for quantise in (False, True):
        assert (scribble_distance_weight(blank, quantise=quantise) == 0).all()
        assert (scribble_distance_weight(background, quantise=quantise) == 0).all()
        assert (boundary_distance_weight(blank, quantise=quantise) == 1).all()
        assert (boundary_distance_weight(background, quantise=quantise) == 1).all()
    own = scribble_distance_weight(background, include_background_strokes=True)
    assert (own[2] == 1).all() and (own[0] < 1).all()


def brute_force(points, lam):
    places = np.argwhere(points)
    found = np.full(points.shape, 255.0)
    if len(places):
        for y, x in np.ndindex(points.shape):
            squares = ((places - (y, x)) ** 2).sum(axis=1)
            found[y, x] = min(255.0, math.sqrt(lam) * math.sqrt(squares.min()))
    return found


def brute_contour(objects):
    height, width = objects.shape
    found = np.zeros(objects.shape, bool)
    for y, x in np.ndindex(objects.shape):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            beyond = not (0 <= v < height and 0 <= u < width)
            if objects[y, x] and (beyond or objects[v, u] != objects[y, x]):
                found[y, x] = True
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("lam", [math.e, math.e**2, math.e**6])
def test_weights_are_those_of_a_loop_over_all_pairs(seed, lam):
    rng = np.random.default_rng(seed)
    scribble = rng.integers(0, 4, (32, 32)).astype(np.uint8)
    scribble[rng.random((32, 32)) < 0.97] = IGNORED
    label = np.kron(rng.integers(0, 4, (8, 8)), np.ones((4, 4), int)).astype(np.uint8)
    label[label == 3] = IGNORED
    merged = (label > 0) & (label != IGNORED)
    by_class = np.where(label == IGNORED, 0, label)
    for quantise, round_ in ((False, lambda v: v), (True, np.floor)):
        options = {"quantise": quantise}
        drawn = (scribble > 0) & (scribble < IGNORED)
        expected = 1 - round_(brute_force(drawn, lam)) / 255
        found = scribble_distance_weight(scribble, lam, **options)
        assert np.abs(found - expected).max() < 1e-6
        expected = 1 - round_(brute_force(scribble < IGNORED, lam)) / 255
        found = scribble_distance_weight(scribble, lam, include_background_strokes=True, **options)
        assert np.abs(found - expected).max() < 1e-6
        expected = round_(brute_force(brute_contour(merged), lam)) / 255
        assert np.abs(boundary_distance_weight(label, lam, **options) - expected).max() < 1e-6
        expected = round_(brute_force(brute_contour(by_class), lam)) / 255
        found = boundary_distance_weight(label, lam, class_wise_contours=True, **options)
        assert np.abs(found - expected).max() < 1e-6


def test_a_contour_is_outer_and_inner_and_belongs_to_the_object():
    ring = square(9, 3) > 0
    ring[3:6, 3:6] = False
    found = contour(ring)
    assert not found[~ring].any()
    assert found[1, 1:8].all(), "outer"
    assert found[2, 3:6].all(), "inner, where the hole's side touches it"
    assert not found[2, 2], "the ring's own middle touches nothing by a side"


def test_classes_are_merged_unless_asked():
    label = np.full((20, 40), 1, np.uint8)
    label[:, 20:] = 2
    merged, by_class = (boundary_distance_weight(label, class_wise_contours=c) for c in (0, 1))
    assert merged[10, 20] > 0 and by_class[10, 20] == by_class[10, 19] == 0


def test_inputs_are_not_changed():
    label = square()
    label[0] = IGNORED
    before = label.copy()
    scribble_distance_weight(label)
    boundary_distance_weight(label, class_wise_contours=True)
    assert np.array_equal(label, before)


@pytest.mark.parametrize("make", [scribble_distance_weight, boundary_distance_weight])
def test_what_is_no_map_is_refused(make):
    with pytest.raises(ValueError, match=r"must be \(H, W\) uint8 class ids. Got \(4,\)"):
        make(np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match="int64"):
        make(np.zeros((4, 4), np.int64))
    for lam in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="`lam` must be a positive number"):
            make(np.zeros((4, 4), np.uint8), lam)
