import tracemalloc

import numpy as np
import pytest

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.scribbles.strokes import (
    RASTERISERS,
    Stroke,
    arc_length,
    drop_scribble,
    drop_strokes,
    rasterise,
    shrink_scribble,
    shrink_stroke,
    shrink_strokes,
    strokes_from_scribble,
)

CORNER = [(0, 0), (10, 0), (10, 10)]


def stroke(points, class_id=1, width=3.0):
    return Stroke(class_id, np.array(points, np.float64), width)


def wave(length=200.0, width=3.0, class_id=1, height=60.0):
    x = np.linspace(20, 20 + length, 80)
    return stroke(np.stack([x, height + 15 * np.sin(x / 20)], axis=1), class_id, width)


def drawn(scribble):
    return scribble != IGNORE_INDEX


@pytest.mark.parametrize("rasteriser", RASTERISERS)
@pytest.mark.parametrize("width", [1.5, 2.0, 3.0, 4.5])
def test_a_stroke_is_as_wide_as_asked(rasteriser, width):
    line = wave(width=width)
    area = drawn(rasterise([line], 120, 260, rasteriser)).sum()
    assert area / arc_length(line) == pytest.approx(width, abs=0.3)


def test_a_straight_stroke_of_three_pixels_covers_three_rows_and_both_ends():
    for y in (10, 10.5):
        rows, columns = np.nonzero(drawn(rasterise([stroke([(5, y), (15, y)])], 30, 30)))
        assert len(np.unique(rows)) == 3
        assert (columns.min(), columns.max()) == (5, 15)


def test_the_direction_of_a_stroke_does_not_change_its_pixels():
    line = wave()
    back = stroke(line.points[::-1])
    assert np.array_equal(rasterise([line], 120, 260), rasterise([back], 120, 260))


def test_vertices_on_a_straight_line_do_not_change_its_pixels():
    two = stroke([(3.2, 4.1), (83.2, 54.1)])
    many = stroke(np.linspace(two.points[0], two.points[1], 300))
    for rasteriser in RASTERISERS:
        assert np.array_equal(
            rasterise([two], 80, 100, rasteriser), rasterise([many], 80, 100, rasteriser)
        )


def test_one_point_is_a_disc_as_wide_as_the_stroke():
    disc = drawn(rasterise([stroke([(20, 20)], width=9)], 41, 41))
    y, x = np.mgrid[:41, :41]
    assert np.array_equal(disc, np.hypot(x - 20, y - 20) <= 4.5)
    assert np.array_equal(disc, drawn(rasterise([stroke([(20, 20), (20, 20)], width=9)], 41, 41)))


def test_discs_add_a_round_end_and_a_round_corner_only():
    corner = stroke([(20, 20), (60, 20), (60, 60)], width=9)
    plain, discs = (drawn(rasterise([corner], 80, 80, r)) for r in RASTERISERS)
    y, x = np.mgrid[:80, :80]
    near = np.min([np.hypot(x - a, y - b) for a, b in corner.points], axis=0) <= 4.5
    assert not (discs & ~plain & ~near).any()
    assert plain[18, 60] and not plain[16, 64]  # bevelled: the corner is filled, but cut off
    assert discs[17, 16 + 2] and not plain[17, 18]


def test_the_later_stroke_wins():
    first, second = stroke([(0, 10), (20, 10)], 1), stroke([(10, 0), (10, 20)], 2)
    assert rasterise([first, second], 21, 21)[10, 10] == 2
    assert rasterise([second, first], 21, 21)[10, 10] == 1


def test_parts_outside_the_picture_are_left_out():
    line = stroke([(-50, 10), (50, 10)])
    assert drawn(rasterise([line], 20, 20)).sum() == 60
    assert not drawn(rasterise([stroke([(-9, -9)])], 20, 20)).any()


@pytest.mark.parametrize("rasteriser", RASTERISERS)
def test_strokes_that_leave_the_picture_are_drawn_as_on_a_larger_one(rasteriser):
    rng = np.random.default_rng(1)
    for width in (1.0, 3.0, 4.5, 12.0):
        for _ in range(12):
            points = rng.uniform(-300, 390, (rng.integers(2, 7), 2))
            points[rng.integers(len(points))] = (20, 50)  # so that most of them come back
            larger = rasterise([stroke(points + 500, width=width)], 1100, 1090, rasteriser)
            there = rasterise([stroke(points, width=width)], 100, 90, rasteriser)
            assert drawn(there).any()
            assert np.array_equal(there, larger[500:600, 500:590])


@pytest.mark.parametrize("rasteriser", RASTERISERS)
def test_points_far_outside_cost_nothing(rasteriser):
    far = [[(-1e9, 10), (1e9, 10)], [(10, 10), (1e9, 10)], [(10, 10), (-1e9, 10), (10, 10)]]
    tracemalloc.start()
    found = [drawn(rasterise([stroke(points)], 20, 30, rasteriser)) for points in far]
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert [np.unique(np.nonzero(scribble)[0]).tolist() for scribble in found] == [[9, 10, 11]] * 3
    round_end = int(rasteriser == "polyline_discs")
    columns = [np.nonzero(scribble)[1] for scribble in found]
    assert [int(c.min()) for c in columns] == [0, 10 - round_end, 0]
    assert [int(c.max()) for c in columns] == [29, 29, 10 + round_end]


def test_a_line_whose_ends_are_both_outside_crosses_the_picture():
    assert drawn(rasterise([stroke([(-400, -400), (400, 400)], width=1.5)], 20, 20)).sum() == 58


@pytest.mark.parametrize("rasteriser", RASTERISERS)
def test_a_pen_wider_than_the_picture_covers_it_and_no_memory(rasteriser):
    tracemalloc.start()
    for points in ([(5, 5)], [(5, 5), (15, 9)], [(-100, 10), (120, 10)]):
        for width in (61, 100, 1e7):
            assert drawn(rasterise([stroke(points, width=width)], 20, 30, rasteriser))[
                9, 5:16
            ].all()
    assert drawn(rasterise([stroke([(-300, 10), (320, 10)], width=1e7)], 20, 30, rasteriser)).all()
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_a_stroke_of_a_million_points_is_drawn_in_blocks():
    angle = np.linspace(0, 40 * np.pi, 1_000_000)
    spiral = np.stack([np.cos(angle), np.sin(angle)], axis=1) * angle[:, None] / 3 + 60
    tracemalloc.start()
    scribble = rasterise([stroke(spiral)], 120, 120)
    assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    tracemalloc.stop()
    few = rasterise([stroke(spiral[:: len(spiral) // 20_000])], 120, 120)
    assert (scribble != few).mean() < 1e-3


def test_what_lies_outside_counts_in_the_length_that_is_shrunk():
    line = stroke([(-1e6, 10), (30, 10)])
    assert arc_length(line) == 1e6 + 30
    half = shrink_stroke(line, 0.5)
    assert half.points.tolist() == [[-749992.5, 10], [-249977.5, 10]]
    assert not drawn(rasterise([half], 20, 30)).any()
    back = stroke([(10, 10), (10, -90), (20, -90), (20, 10)])  # 210 pixels, 20 on the picture
    rows = np.nonzero(drawn(rasterise([shrink_stroke(back, 0.05)], 20, 30)))[0]
    assert (rows.min(), rows.max()) == (0, 5)  # 5.25 are gone at each end


def test_a_stroke_thinner_than_a_pixel_still_marks_one():
    assert drawn(rasterise([stroke([(5.5, 5.5)], width=0.2)], 20, 20)).sum() == 1


@pytest.mark.parametrize(
    "kept, expected",
    [(1, CORNER), (0.5, [(5, 0), (10, 0), (10, 5)]), (0, [(10, 0)])],
)
def test_shrink_keeps_the_central_part_with_every_vertex_of_it(kept, expected):
    line = stroke(CORNER)
    assert arc_length(line) == 20
    assert shrink_stroke(line, 1 - kept).points.tolist() == [list(map(float, p)) for p in expected]


def test_shrink_may_cut_one_segment_twice():
    shrunk = shrink_stroke(stroke(CORNER[:2]), 0.5)
    assert shrunk.points.tolist() == [[2.5, 0], [7.5, 0]]


@pytest.mark.parametrize("removed", [0, 0.2, 0.5, 0.7, 1])
def test_a_stroke_without_length_survives_every_shrink(removed):
    for points in ([(4, 4)], [(4, 4), (4, 4)]):
        shrunk = shrink_stroke(stroke(points), removed)
        assert np.array_equal(np.unique(shrunk.points, axis=0), [[4, 4]])


def test_repeated_points_do_not_break_arc_length_or_shrink():
    line = stroke(np.repeat(CORNER, 3, axis=0))
    assert arc_length(line) == 20
    half = shrink_stroke(line, 0.5)
    assert arc_length(half) == 10
    assert half.points[[0, -1]].tolist() == [[5, 0], [10, 5]]


def test_shrinking_by_everything_leaves_one_disc_for_each_stroke():
    lines = [wave(), wave(class_id=2, height=20)]
    shrunk = shrink_strokes(lines, 1)
    assert [len(s.points) for s in shrunk] == [1, 1]
    assert drawn(rasterise(shrunk, 120, 260)).sum() == pytest.approx(2 * np.pi * 1.5**2, abs=5)


def test_shrinking_leaves_its_argument_alone():
    line = wave()
    before = line.points.copy()
    shrink_stroke(line, 0.5)
    assert np.array_equal(line.points, before)


def test_strokes_are_dropped_as_often_as_asked():
    lines = [stroke([(i, 0)]) for i in range(1000)]
    for probability in (0.1, 0.3, 0.5):
        dropped = 1000 - len(drop_strokes(lines, probability, seed=1))
        assert abs(dropped - 1000 * probability) < 4 * np.sqrt(1000 * probability**1 * 0.9)


def test_dropping_keeps_one_foreground_stroke_and_every_background_stroke():
    lines = [stroke([(0, 0)], class_id) for class_id in (0, 1, 0, 2)]
    for seed in range(20):
        kept = [s.class_id for s in drop_strokes(lines, 1.0, seed)]
        assert kept in ([0, 1, 0], [0, 0, 2])
    assert [s.class_id for s in drop_strokes(lines, 1.0, 0, keep_at_least_one=False)] == [0, 0]


def test_without_a_background_class_any_stroke_may_go():
    lines = [stroke([(0, 0)], class_id) for class_id in (0, 0, 1)]
    assert len(drop_strokes(lines, 1.0, 0, background_id=None)) == 1
    assert drop_strokes(lines, 1.0, 0, keep_at_least_one=False, background_id=None) == []


def test_dropping_is_decided_by_the_seed_and_keeps_the_order():
    lines = [stroke([(i, 0)]) for i in range(50)]
    once, again = drop_strokes(lines, 0.5, 3), drop_strokes(lines, 0.5, 3)
    assert once == again
    assert [s.points[0, 0] for s in once] == sorted(s.points[0, 0] for s in once)
    assert once != drop_strokes(lines, 0.5, 4)


def raster():
    return rasterise([wave(class_id=2), wave(100, class_id=0, height=20)], 120, 260)


def test_a_raster_gives_back_its_strokes():
    lines = [wave(100, class_id=0, height=20), wave(class_id=2)]
    found = strokes_from_scribble(raster())
    assert [s.class_id for s in found] == [0, 2]
    for line, got in zip(lines, found, strict=True):
        assert arc_length(got) == pytest.approx(arc_length(line), rel=0.12)
        assert got.width == pytest.approx(line.width, abs=0.5)


def test_a_raster_is_not_changed_by_a_shrink_of_zero():
    scribble = raster()
    assert np.array_equal(shrink_scribble(scribble, 0), scribble)


def test_a_stronger_shrink_of_a_raster_keeps_a_subset_with_the_same_labels():
    scribble = raster()
    before = scribble.copy()
    for removed in (0.01, 0.2, 0.5, 0.7, 1):
        shrunk = shrink_scribble(before, removed)
        assert (shrunk[drawn(shrunk)] == before[drawn(shrunk)]).all()
        assert present_classes(shrunk) == present_classes(scribble)
        assert drawn(shrunk).sum() <= drawn(before).sum()
        share = drawn(shrunk).sum() / drawn(scribble).sum()
        assert share == pytest.approx(1 - removed, abs=0.05)
        before = shrunk if removed == 1 else before
    assert np.array_equal(scribble, raster())


def test_a_raster_of_specks_survives_every_shrink():
    scribble = np.full((12, 12), IGNORE_INDEX, np.uint8)
    scribble[2, 2] = 1
    scribble[6:8, 6:8] = 2
    scribble[0, 10:] = 3
    for removed in (0.5, 1):
        assert present_classes(shrink_scribble(scribble, removed)) == [1, 2, 3]
    assert len(strokes_from_scribble(scribble)) == 3


def test_an_empty_raster_stays_empty():
    empty = np.full((9, 9), IGNORE_INDEX, np.uint8)
    assert np.array_equal(shrink_scribble(empty, 0.5), empty)
    assert np.array_equal(drop_scribble(empty, 0.5, 0), empty)
    assert strokes_from_scribble(empty) == []


def test_dropping_from_a_raster_removes_whole_pieces_but_no_background():
    scribble = raster()
    scribble[100:103, 20:60] = 2
    kept = drop_scribble(scribble, 1.0, 0)
    assert np.array_equal(kept == 0, scribble == 0)
    assert len(strokes_from_scribble(kept)) == 2
    assert (kept[drawn(kept)] == scribble[drawn(kept)]).all()
    assert np.array_equal(drop_scribble(scribble, 0.0, 0), scribble)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Stroke(1, np.zeros((0, 2)), 3.0),
        lambda: Stroke(IGNORE_INDEX, np.zeros((1, 2)), 3.0),
        lambda: stroke([(0, 0)], width=0),
        lambda: stroke([(0, 0)], width=np.inf),
        lambda: stroke([(0, np.nan)]),
        lambda: stroke([(0, 0), (1e10, 0)]),
        lambda: rasterise([], 4, 4, "matlab"),
        lambda: shrink_stroke(wave(), 1.5),
        lambda: drop_strokes([wave()], -0.1, 0),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(call):
    with pytest.raises(ValueError, match=r"^`\w+` must be .* Got "):
        call()
