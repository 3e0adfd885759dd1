"""From maps to a mask: thresholds, borders, what is left unsaid."""

import numpy as np
import pytest
import torch

from scribblegen.classes import IGNORE_INDEX
from scribblegen.segmenting.agreeing_threshold import CANDIDATES, agreeing_threshold
from scribblegen.segmenting.maps_to_masks import MaskSettings, mask_of_maps, without_specks

PLAIN = MaskSettings(refine=False, ignore_band=0.0, min_component=0.0, max_hole=0.0)
SIZE = 32


def bump(row, column, width=8.0):
    """(SIZE, SIZE) in [0, 1], highest at a place."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    away = ((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)
    return torch.from_numpy(np.exp(-away).astype(np.float32))


def grey():
    return np.full((SIZE, SIZE, 3), 128, np.uint8)


def test_the_planted_threshold_is_found():
    map_ = bump(16, 16).numpy()
    for planted in (0.37, 0.45, 0.53):
        found, overlap = agreeing_threshold(map_, map_ > planted)
        assert overlap == 1 and ((map_ > found) == (map_ > planted)).all()


def test_all_thresholds_are_counted_as_one_by_one():
    rng = np.random.default_rng(0)
    map_, coarse = rng.random((20, 30)), rng.random((20, 30)) > 0.6
    expected = []
    for candidate in CANDIDATES:
        over = map_ > candidate
        expected.append((over & coarse).sum() / (over | coarse).sum())
    found, overlap = agreeing_threshold(map_, coarse)
    assert overlap == pytest.approx(max(expected)) and found == CANDIDATES[np.argmax(expected)]


def test_no_overlap_is_an_overlap_of_zero():
    empty = np.zeros((4, 4), bool)
    assert agreeing_threshold(np.zeros((4, 4)), empty, [0.5]) == (0.5, 0.0)
    with pytest.raises(ValueError, match="`candidates` must ascend"):
        agreeing_threshold(np.zeros((4, 4)), empty, [0.5, 0.4])


def test_each_class_has_the_threshold_that_agrees_with_the_coarse_mask():
    maps = torch.stack([bump(8, 8, 4.0), bump(24, 24, 4.0)])
    # The coarse mask is high where the maps are above 0.4 and above 0.52.
    coarse = torch.stack([(maps[0] > 0.4).float(), (maps[1] > 0.52).float()])
    found = mask_of_maps(maps, coarse, [3, 7], grey(), background=0, settings=PLAIN)
    assert (maps[0] > found.thresholds[0]).equal(maps[0] > 0.4)
    assert (maps[1] > found.thresholds[1]).equal(maps[1] > 0.52)
    assert set(np.unique(found.mask)) == {0, 3, 7} and found.agreement == 1
    assert ((found.mask == 3) == (maps[0] > 0.4).numpy()).all()


def test_near_the_threshold_nothing_is_said():
    maps = bump(16, 16)[None]
    settings = MaskSettings(refine=False, thresholds=(0.5,), ignore_band=0.2)
    mask = mask_of_maps(maps, maps, [1], grey(), background=0, settings=settings).mask
    # Scores are the map itself and 1/2, so the winner is ahead by |map - 1/2|.
    unsure = (maps[0] - 0.5).abs().numpy() < 0.2
    assert ((mask == IGNORE_INDEX) == unsure).all() and unsure.any()


def test_what_is_of_no_named_class_may_stay_unsaid():
    maps = torch.stack([bump(8, 8, 4.0), bump(24, 24, 4.0)])
    told, unsaid = (
        mask_of_maps(maps, maps, [3, 7], grey(), background=rest, settings=PLAIN).mask
        for rest in (0, IGNORE_INDEX)
    )
    assert set(np.unique(unsaid)) == {3, 7, IGNORE_INDEX}
    assert (np.where(told == 0, IGNORE_INDEX, told) == unsaid).all()


def test_where_no_class_is_background_every_pixel_has_one():
    maps = torch.stack([bump(8, 16), 0.1 + 0 * bump(8, 16)])
    found = mask_of_maps(maps, maps, [2, 5], grey(), background=None, settings=PLAIN)
    assert set(np.unique(found.mask)) == {2, 5} and found.thresholds == ()
    assert ((found.mask == 2) == (maps[0] > maps[1]).numpy()).all()


def test_borders_move_to_where_colours_change():
    image = grey()
    image[:, :14] = (220, 30, 30)
    maps = torch.stack([bump(16, 0, 14.0)])
    settings = MaskSettings(ignore_band=0.0, thresholds=(0.3, 0.4, 0.5))
    rough = mask_of_maps(maps, maps, [1], image, background=0, settings=PLAIN).mask
    found = mask_of_maps(maps, maps, [1], image, background=0, settings=settings).mask
    truth = np.zeros_like(found)
    truth[:, :14] = 1
    assert (rough == truth).mean() < 0.92 and (found == truth).all()


def test_specks_are_given_up_and_holes_filled():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:14, 2:14] = 1
    mask[6:8, 6:8] = 0  # a hole of 1 %
    mask[17, 17] = 2  # a speck
    mask[18:, :5] = 3  # 2.5 %
    kept = without_specks(mask, min_component=0.005, max_hole=0.02, background=0)
    assert (kept[2:14, 2:14] == 1).all() and kept[17, 17] == 0 and (kept[18:, :5] == 3).all()
    assert mask[17, 17] == 2 and (mask[6:8, 6:8] == 0).all()  # not changed
    assert (without_specks(mask, 0.0, 0.0, 0) == mask).all()


def test_only_background_inside_one_class_is_a_hole():
    mask = np.full((20, 20), 1, np.uint8)
    mask[4:6, 4:6] = 2  # a thing on a thing
    mask[10:12, 10:12] = 0
    mask[0:2, 0:2] = 0  # open to the outside
    expected = mask.copy()
    expected[10:12, 10:12] = 1
    assert (without_specks(mask, 0.0, 0.02, background=0) == expected).all()
    assert (without_specks(mask, 0.0, 0.02, background=None) == mask).all()


def test_one_class_without_background_is_everywhere():
    maps = bump(16, 16)[None]
    found = mask_of_maps(maps, maps, [4], grey(), background=None, settings=MaskSettings())
    assert (found.mask == 4).all() and found.margin == 1


@pytest.mark.parametrize(
    ("maps", "coarse", "image", "message"),
    [
        ((2, 8, 8), (2, 8, 8), (8, 8, 3), "`maps` must be"),
        ((1, 8, 8), (1, 8, 9), (8, 8, 3), "`coarse` and `image`"),
        ((1, 8, 8), (1, 8, 8), (9, 8, 3), "`coarse` and `image`"),
    ],
)
def test_shapes_that_do_not_fit(maps, coarse, image, message):
    with pytest.raises(ValueError, match=message):
        mask_of_maps(
            torch.zeros(maps),
            torch.zeros(coarse),
            [1],
            np.zeros(image, np.uint8),
            background=0,
            settings=PLAIN,
        )
