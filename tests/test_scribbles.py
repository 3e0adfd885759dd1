import numpy as np
import pytest
from skimage.measure import label as connected_pieces

from scribblegen.classes import IGNORE_INDEX, Classes, present_classes
from scribblegen.families.stable_diffusion.conditioning import conditioning_image
from scribblegen.images import resize_label
from scribblegen.scribbles.simulate import default_width, simulate_scribbles
from scribblegen.scribbles.strokes import RASTERISERS, rasterise
from scribblegen.scribbles.styles import STYLES
from scribblegen.seeds import derive_seed
from tests.scribble_statistics import measure_scribbles

PILLAR = 7  # a class of one narrow upright region


def voc_like_mask(seed, height=375, width=500):
    """Background, one to four blobs of classes 1-5 with a void border, as VOC's masks have."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 5)):
        radius = rng.uniform(0.05, 0.32) * height
        centre = rng.uniform(0.15, 0.85, 2) * (height, width)
        angle = np.arctan2(y - centre[0], (x - centre[1]) / 1.4)
        bumps = 1 + 0.25 * np.sin(rng.integers(2, 6) * angle + rng.uniform(0, 6))
        distance = np.hypot(y - centre[0], (x - centre[1]) / 1.4) - radius * bumps
        mask[distance < 4] = IGNORE_INDEX
        mask[distance < 0] = rng.integers(1, 6)
    return mask


def small_mask():
    mask = np.zeros((128, 171), np.uint8)
    mask[:40] = 1
    mask[40:44] = IGNORE_INDEX
    mask[60:120, 20:90] = 2
    mask[70:90, 30:50] = 3
    mask[50:125, 150:154] = PILLAR
    mask[100:103, 100:103] = 4  # below the floor
    return mask


@pytest.fixture(scope="module")
def simulated():
    masks = [voc_like_mask(i) for i in range(60)]
    return [(m, *simulate_scribbles(m, seed=derive_seed(0, str(i)))) for i, m in enumerate(masks)]


def test_every_drawn_pixel_carries_the_label_of_the_mask(simulated):
    for mask, scribble, _ in simulated:
        drawn = scribble != IGNORE_INDEX
        assert (scribble[drawn] == mask[drawn]).all()


def test_the_scribble_is_the_raster_of_the_strokes():
    for rasteriser in RASTERISERS:
        scribble, strokes = simulate_scribbles(small_mask(), seed=1, rasteriser=rasteriser)
        assert np.array_equal(scribble, rasterise(strokes, 128, 171, rasteriser))
        drawn = scribble != IGNORE_INDEX
        assert (scribble[drawn] == small_mask()[drawn]).all()


@pytest.mark.parametrize("style", STYLES)
def test_every_region_with_enough_area_gets_a_stroke_in_every_style(style):
    mask = small_mask()
    regions = connected_pieces(mask.astype(int), background=IGNORE_INDEX, connectivity=1)
    for seed in range(5):
        scribble, strokes = simulate_scribbles(mask, seed=seed, styles={style: 1.0})
        assert present_classes(scribble) == [0, 1, 2, 3, PILLAR]
        for region in np.unique(regions[regions > 0]):
            enough = (regions == region).sum() >= 20
            assert (scribble[regions == region] != IGNORE_INDEX).any() == enough
        assert {s.style for s in strokes} <= {style, "longest_path", "dot"}


def test_void_gets_no_stroke(simulated):
    for mask, scribble, _ in simulated:
        assert (scribble[mask == IGNORE_INDEX] == IGNORE_INDEX).all()
    everywhere_void = np.full((50, 60), IGNORE_INDEX, np.uint8)
    scribble, strokes = simulate_scribbles(everywhere_void, seed=0)
    assert strokes == [] and (scribble == IGNORE_INDEX).all()


def test_narrow_and_broken_regions_get_a_stroke_that_fits():
    rng = np.random.default_rng(0)
    noisy = (rng.random((90, 120)) < 0.62).astype(np.uint8)
    thin = np.zeros((90, 120), np.uint8)
    thin[10, 5:100] = 1
    thin[:, 110:112] = 2
    diagonal = np.abs(np.subtract.outer(np.arange(90), np.arange(120))) <= 1
    for mask in (noisy, thin, diagonal.astype(np.uint8)):
        scribble, _ = simulate_scribbles(mask, seed=2)
        drawn = scribble != IGNORE_INDEX
        assert (scribble[drawn] == mask[drawn]).all()
        assert present_classes(scribble) == present_classes(mask)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_strokes():
    mask = small_mask()
    before = mask.copy()
    first, strokes = simulate_scribbles(mask, seed=5)
    simulate_scribbles(voc_like_mask(0, 120, 160), seed=9)  # nothing is kept from call to call
    again, strokes_again = simulate_scribbles(mask, seed=5)
    assert first.tobytes() == again.tobytes()
    assert all(
        a.points.tobytes() == b.points.tobytes() and (a.class_id, a.style) == (b.class_id, b.style)
        for a, b in zip(strokes, strokes_again, strict=True)
    )
    assert first.tobytes() != simulate_scribbles(mask, seed=6)[0].tobytes()
    assert np.array_equal(mask, before)


def test_wrong_pixels_are_as_many_as_the_error_rate_says():
    rate, wrong, right = 0.01, 0, 0
    for seed in range(20):
        mask = voc_like_mask(seed)
        scribble, _ = simulate_scribbles(mask, seed=seed, error_rate=rate)
        off_void = (scribble != IGNORE_INDEX) & (mask != IGNORE_INDEX)
        wrong += (scribble != mask)[off_void].sum()
        right += (scribble == mask)[off_void].sum()
    expected = rate * (wrong + right)
    # The count is binomial, and each picture meets its own to about a stroke's width.
    assert abs(wrong - expected) < 4 * np.sqrt(expected) + 20 * 3


def test_pictures_of_voc_size_have_the_statistics_of_human_scribbles(simulated):
    labelled, large, widths, pieces = [], [], [], []
    for mask, scribble, _ in simulated:
        statistics = measure_scribbles(scribble, mask)
        labelled.append(statistics.labelled_fraction)
        widths.append(statistics.mean_width)
        assert statistics.agreement == 1 and statistics.on_void == 0
        regions = connected_pieces(mask.astype(int), background=IGNORE_INDEX, connectivity=1)
        for region in np.unique(regions[regions > 0]):
            inside = regions == region
            own = inside & (scribble != IGNORE_INDEX)
            if inside.sum() >= 0.03 * mask.size:
                large.append(own.sum() / inside.sum())
            if inside.sum() >= 80:
                pieces.append(connected_pieces(own, connectivity=2).max())
    assert 0.02 <= np.mean(labelled) <= 0.04
    assert 0.02 <= np.mean(large) <= 0.07 and np.mean(np.array(large) < 0.08) > 0.95
    assert np.mean(widths) == pytest.approx(3.0, abs=0.3)
    assert 1 <= np.mean(pieces) <= 2 and max(pieces) <= 3


def test_the_pen_scales_with_the_picture_unless_it_is_given():
    assert default_width(375, 500) == 3
    assert default_width(1000, 500) == 6
    assert default_width(64, 64) == 1.5
    _, strokes = simulate_scribbles(voc_like_mask(1), seed=0, width=5.0)
    assert max(s.width for s in strokes) == 5


def test_strokes_keep_away_from_the_border_of_a_large_region():
    mask = np.zeros((300, 400), np.uint8)
    y, x = np.mgrid[:300, :400]
    mask[np.hypot(y - 150, x - 200) < 100] = 1
    for seed in range(10):
        _, strokes = simulate_scribbles(mask, seed=seed)
        own = np.concatenate([s.points for s in strokes if s.class_id == 1])
        assert np.hypot(own[:, 1] - 150, own[:, 0] - 200).max() < 95


def test_a_resized_scribble_has_no_new_value_and_its_one_hot_sums_to_one(simulated):
    classes = Classes(tuple("abcdef"))
    for _, scribble, _ in simulated[:5]:
        resized = resize_label(scribble, 128, 192)
        assert set(np.unique(resized)) <= set(np.unique(scribble))
        assert (conditioning_image(resized, classes).sum(axis=0) == 1).all()


def test_statistics_of_a_scribble_drawn_by_hand():
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 1
    mask[0] = IGNORE_INDEX
    scribble = np.full((20, 20), IGNORE_INDEX, np.uint8)
    scribble[5, 1:9] = 0  # 8 right
    scribble[0:8, 15] = 1  # 7 right, 1 on void
    scribble[15, 2] = 1  # 1 wrong
    statistics = measure_scribbles(scribble, mask)
    assert statistics.labelled_fraction == 17 / 400
    assert statistics.coverage == {0: 8 / 190, 1: 7 / 190}
    assert statistics.agreement == 15 / 16
    assert statistics.on_void == 1 / 17
    assert statistics.pieces == {0: 1, 1: 2}


def test_statistics_of_an_empty_scribble_are_not_a_number_where_nothing_can_be_said():
    empty = np.full((9, 9), IGNORE_INDEX, np.uint8)
    statistics = measure_scribbles(empty, np.zeros((9, 9), np.uint8))
    assert statistics.labelled_fraction == 0 and statistics.coverage == {0: 0}
    assert np.isnan([statistics.agreement, statistics.on_void, statistics.mean_width]).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"mask": np.zeros((4, 4, 3), np.uint8)},
        {"mask": np.zeros((4, 4), np.int64)},
        {"styles": {"zigzag": 1.0}},
        {"styles": {"line": 0.0}},
        {"styles": {}},
        {"width": 0.5},
        {"error_rate": 0.5},
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(wrong):
    arguments = {"mask": small_mask(), "seed": 0, **wrong}
    with pytest.raises(ValueError, match=r"^`\w+` must .* Got "):
        simulate_scribbles(**arguments)
