"""From maps and strokes to a dense label."""

import numpy as np
import pytest
import torch

from scribblegen.segmenting.pseudo_labels import pseudo_label

IGNORE = 255


def row(*maps):
    """(K, 1, W): one line of pixels for each class."""
    return torch.tensor(maps)[:, None]


def test_the_threshold_and_its_band():
    maps = row([0.0] * 6, [0.0, 0.3, 0.4, 0.5, 0.6, 1.0])
    assert pseudo_label(maps).tolist() == [[0, 0, IGNORE, IGNORE, 1, 1]]
    assert pseudo_label(maps, ignore_band=0).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert pseudo_label(maps, background_threshold=0.8).tolist() == [[0, 0, 0, 0, 0, 1]]


def test_the_highest_of_several_classes_wins_and_so_does_a_background_that_is_seen():
    maps = row([0.0, 0.9, 0.0], [0.9, 0.6, 0.7], [0.8, 0.0, 0.9])
    assert pseudo_label(maps).tolist() == [[1, 0, 2]]
    assert pseudo_label(maps[[1, 0, 2]], background=1).tolist() == [[0, 1, 2]]


def test_classes_without_a_stroke_are_left_out_and_strokes_written_over():
    maps = row([0.0] * 4, [0.7, 0.7, 0.7, 0.0], [0.9, 0.9, 0.1, 0.0])
    scribble = np.array([[IGNORE, IGNORE, IGNORE, 1]], np.uint8)
    assert pseudo_label(maps, scribble=scribble).tolist() == [[1, 1, 1, 1]]
    everything = np.full((1, 4), IGNORE, np.uint8)  # says nothing of any class
    assert pseudo_label(maps, scribble=everything).tolist() == [[2, 2, 1, 0]]


def test_classes_none_of_which_is_background():
    maps = row([0.9, 0.2, 0.1, 0.0], [0.3, 0.8, 0.2, 0.0])
    label = pseudo_label(maps, background=None)
    assert label.tolist() == [[0, 1, IGNORE, IGNORE]]
    scribble = np.array([[1, IGNORE, IGNORE, 0]], np.uint8)
    label = pseudo_label(maps, background=None, scribble=scribble)
    assert label.tolist() == [[1, 1, IGNORE, 0]]


@pytest.mark.parametrize("refine", ["two_label", "all_labels"])
def test_a_refinement_follows_the_image(refine):
    image = np.full((32, 32, 3), 40, np.uint8)
    image[8:24, 8:24] = 220
    maps = torch.zeros(3, 32, 32)
    maps[2, 6:22, 6:22] = 0.9  # two pixels off
    truth = np.where(image[..., 0] > 100, 2, 0)
    plain, refined = (pseudo_label(maps, image=image, refine=r) for r in ("none", refine))
    assert plain.dtype == refined.dtype == np.uint8
    assert (plain != truth).mean() > 0.05 and (refined == truth).all()


def test_nothing_that_is_given_is_changed():
    random = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 8, 8, generator=random)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    scribble = np.full((8, 8), IGNORE, np.uint8)
    scribble[2] = 1
    given = maps.clone(), image.copy(), scribble.copy()
    for refine in ("none", "two_label", "all_labels"):
        pseudo_label(maps, image=image, scribble=scribble, refine=refine)
    assert torch.equal(maps, given[0])
    assert (image == given[1]).all() and (scribble == given[2]).all()


def test_an_image_in_which_no_class_is_seen_is_background_or_nothing():
    maps = torch.zeros(2, 4, 4)
    image = np.zeros((4, 4, 3), np.uint8)
    assert (pseudo_label(maps) == 0).all()
    assert (pseudo_label(maps, image=image, refine="two_label") == 0).all()
    assert (pseudo_label(maps, background=None) == IGNORE).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"background": 3}, "`background` must be the id of one of 3 classes"),
        ({"background_threshold": 0.05}, "with `ignore_band` on either side"),
        ({"refine": "crf"}, "`refine` must be one of"),
        ({"refine": "two_label"}, "`image` must be given"),
        ({"refine": "two_label", "background": None}, "must be all_labels"),
        ({"scribble": np.zeros((4, 5), np.uint8)}, r"`scribble` must be as large as `maps`"),
        ({"scribble": np.full((4, 4), 7, np.uint8)}, r"ids of the 3 classes of `maps`. Got \[7\]"),
    ],
)
def test_what_does_not_fit_is_said(options, said):
    with pytest.raises(ValueError, match=said):
        pseudo_label(torch.rand(3, 4, 4), **options)
