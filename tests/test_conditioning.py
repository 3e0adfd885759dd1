"""The ControlNet's input: every pixel says one thing, and "no scribble" says nothing."""

import itertools

import numpy as np
import pytest
from skimage.measure import label

from scribblegen.classes import IGNORE_INDEX, Classes, load_classes
from scribblegen.families.stable_diffusion.conditioning import (
    CONDITIONING_ENCODINGS,
    NULL_CONDITIONS,
    conditioning_image,
    drops,
    fit_scribble,
    null_conditioning_image,
    num_conditioning_channels,
)
from scribblegen.images import resize_label

VOC = load_classes("voc")


def scribble_of(classes: Classes, seed: int = 0) -> np.ndarray:
    """Every class and unlabelled pixels, in no order."""
    values = np.array([*range(len(classes)), IGNORE_INDEX], np.uint8)
    return np.random.default_rng(seed).choice(values, (24, 40)).astype(np.uint8)


@pytest.mark.parametrize("num_classes", [1, 2, 21, 254])
def test_one_hot_planes_are_zero_or_one_and_sum_to_one_at_every_pixel(num_classes: int) -> None:
    classes = Classes(tuple(str(i) for i in range(num_classes)))
    image = conditioning_image(scribble_of(classes), classes, "one_hot")
    assert image.shape == (num_classes + 1, 24, 40) and image.dtype == np.float32
    assert set(np.unique(image)) == {0.0, 1.0}
    assert (image.sum(axis=0) == 1).all()


def test_each_class_and_unlabelled_has_its_own_plane() -> None:
    scribble = scribble_of(VOC)
    image = conditioning_image(scribble, VOC)
    for class_id in range(len(VOC)):
        assert np.array_equal(image[class_id] == 1, scribble == class_id)
    assert np.array_equal(image[-1] == 1, scribble == IGNORE_INDEX)


def test_a_resized_scribble_still_gives_only_zero_and_one() -> None:
    scribble = resize_label(scribble_of(VOC), 64, 64)
    image = conditioning_image(scribble, VOC)
    assert set(np.unique(image)) == {0.0, 1.0} and (image.sum(axis=0) == 1).all()


def test_the_palette_picture_has_the_class_colours() -> None:
    scribble = np.array([[0, 1, 15, IGNORE_INDEX]], np.uint8)
    image = conditioning_image(scribble, VOC, "rgb_palette")
    assert image.shape == (3, 1, 4) and image.dtype == np.float32
    expected = [[0, 0, 0], [128, 0, 0], [192, 128, 128], [255, 255, 255]]
    assert np.rint(image[:, 0].T * 255).astype(int).tolist() == expected


@pytest.mark.parametrize("conditioning_encoding", CONDITIONING_ENCODINGS)
def test_no_two_values_of_a_scribble_look_the_same(conditioning_encoding: str) -> None:
    values = np.array([[*range(len(VOC)), IGNORE_INDEX]], np.uint8)
    image = conditioning_image(values, VOC, conditioning_encoding)
    assert len(np.unique(image[:, 0].T, axis=0)) == len(VOC) + 1


def test_a_two_colour_label_keeps_two_colours_at_any_size() -> None:
    label = np.zeros((24, 40), np.uint8)
    label[5:9, 7:30] = 12
    image = conditioning_image(resize_label(label, 96, 64), VOC, "rgb_palette")
    assert len(np.unique(image.reshape(3, -1), axis=1).T) == 2


@pytest.mark.parametrize(
    "palette",
    [((255, 255, 255), (1, 1, 1)), ((0, 0, 0), (255, 255, 255)), ((9, 9, 9), (9, 9, 9))],
)
def test_a_palette_that_hides_a_class_is_refused_for_the_palette_picture_alone(
    palette: tuple[tuple[int, int, int], ...],
) -> None:
    classes = Classes(("a", "b"), palette)
    with pytest.raises(ValueError, match="`conditioning_encoding` must be one_hot"):
        num_conditioning_channels(classes, "rgb_palette")
    assert num_conditioning_channels(classes, "one_hot") == 3


@pytest.mark.parametrize("conditioning_encoding", CONDITIONING_ENCODINGS)
def test_the_null_condition_is_what_no_scribble_encodes_to(conditioning_encoding: str) -> None:
    channels = num_conditioning_channels(VOC, conditioning_encoding)
    null = null_conditioning_image(channels, 24, 40)
    assert null.dtype == np.float32 and not null.any()
    empty = np.full((24, 40), IGNORE_INDEX, np.uint8)
    background = empty.copy()
    background[3:6, 4:30] = 0
    for scribble in (scribble_of(VOC), empty, background):
        assert not np.array_equal(conditioning_image(scribble, VOC, conditioning_encoding), null)
    everywhere = np.zeros((24, 40), np.uint8)
    assert conditioning_image(everywhere, VOC, "one_hot").any()


@pytest.mark.parametrize("conditioning_encoding", CONDITIONING_ENCODINGS)
def test_the_announced_channels_are_the_image_s(conditioning_encoding: str) -> None:
    for classes in (VOC, Classes(("a",)), load_classes("ade20k")):
        image = conditioning_image(scribble_of(classes), classes, conditioning_encoding)
        assert len(image) == num_conditioning_channels(classes, conditioning_encoding)
    assert num_conditioning_channels(VOC, "one_hot") == 22
    assert num_conditioning_channels(VOC, "rgb_palette") == 3


def test_the_three_null_conditions_drop_different_things() -> None:
    assert [drops(name) for name in ("hint", "text", "both")] == [
        (True, False),
        (False, True),
        (True, True),
    ]
    pairs = itertools.combinations([drops(name) for name in NULL_CONDITIONS], 2)
    assert all(first != second for first, second in pairs)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="`conditioning_encoding` must be one of .*Got 'lines'"):
        conditioning_image(scribble_of(VOC), VOC, "lines")
    with pytest.raises(ValueError, match="`conditioning_encoding` must be one of .*Got 'lines'"):
        num_conditioning_channels(VOC, "lines")
    with pytest.raises(ValueError, match="`null_condition` must be one of .*Got 'noise'"):
        drops("noise")


@pytest.mark.parametrize("conditioning_encoding", CONDITIONING_ENCODINGS)
def test_the_scribble_is_left_as_it_was(conditioning_encoding: str) -> None:
    scribble = scribble_of(VOC)
    conditioning_image(scribble, VOC, conditioning_encoding)[:] = 7
    assert np.array_equal(scribble, scribble_of(VOC))


def test_a_thin_stroke_stays_whole_when_the_scribble_shrinks():
    scribble = np.full((342, 456), 255, np.uint8)
    for x in range(20, 440):
        y = 40 + int(200 * x / 440)
        scribble[y : y + 2, x] = 3
    fitted = fit_scribble(scribble, 64, 64)
    columns = np.flatnonzero((fitted == 3).any(axis=0))
    assert np.array_equal(columns, np.arange(columns[0], columns[-1] + 1)), "no gap"
    assert label(fitted == 3, connectivity=2).max() == 1
    assert label(resize_label(scribble, 64, 64) == 3, connectivity=2).max() > 5, "nearest has dots"
    assert set(np.unique(fitted)) == {3, 255}


def test_the_class_drawn_most_wins_and_undrawn_areas_stay_unlabelled():
    scribble = np.full((4, 8), 255, np.uint8)
    scribble[0, :3], scribble[1, 0] = 1, 2
    scribble[2:, 4:6] = [[5, 5], [4, 4]]
    assert fit_scribble(scribble, 2, 2).tolist() == [[1, 255], [255, 4]]


@pytest.mark.parametrize("size", [(48, 96), (24, 40), (96, 20), (7, 80)])
def test_fitting_makes_no_class_up(size):
    drawn = scribble_of(VOC)
    fitted = fit_scribble(drawn, *size)
    assert fitted.shape == size and fitted.dtype == np.uint8
    assert set(np.unique(fitted)) <= set(np.unique(drawn))
    assert np.array_equal(fit_scribble(drawn, *drawn.shape), drawn)
