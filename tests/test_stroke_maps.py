"""Strokes spread over what is near and alike."""

import numpy as np
import pytest
import torch

from scribblegen.segmenting.stroke_maps import stroke_maps


def halves():
    """A picture of two halves of different colours with a stroke in each; half way between the
    strokes is not the border of the halves."""
    image = np.full((48, 48, 3), 40, np.uint8)
    image[:, 24:] = 220
    scribble = np.full((48, 48), 255, np.uint8)
    scribble[24, 4:8] = 2
    scribble[24, 32:36] = 0
    return image, scribble


def test_a_stroke_reaches_as_far_as_its_colour():
    image, scribble = halves()
    maps = stroke_maps(scribble, image, 4)
    assert maps.shape == (4, 48, 48) and maps.dtype == torch.float32
    assert torch.allclose(maps.sum(dim=0), torch.ones(48, 48), atol=1e-5)
    assert not maps[[1, 3]].any(), "what is not drawn is nowhere"
    label = maps.argmax(dim=0)
    assert (label[:, :24] == 2).all() and (label[:, 24:] == 0).all(), "20 is half way"


def test_strokes_stay_and_inputs_too():
    image, scribble = halves()
    image[24, 4:8] = 220  # a stroke of a colour that the other class has
    before = image.copy(), scribble.copy()
    maps = stroke_maps(scribble, image, 3)
    assert (maps[2][scribble == 2] == 1).all() and (maps[0][scribble == 0] == 1).all()
    assert (image == before[0]).all() and (scribble == before[1]).all()


def test_without_colours_the_nearest_stroke_wins():
    _, scribble = halves()
    label = stroke_maps(scribble, np.zeros((48, 48, 3), np.uint8), 3).argmax(dim=0)
    assert (label[24, :18] == 2).all() and (label[24, 22:] == 0).all()


def test_one_class_alone_is_everywhere():
    _, scribble = halves()
    scribble[scribble == 0] = 255
    assert (stroke_maps(scribble, np.zeros((48, 48, 3), np.uint8), 3)[2] == 1).all()


@pytest.mark.parametrize("values", [[], [3]])
def test_strokes_of_no_class_are_refused(values):
    scribble = np.full((8, 8), 255, np.uint8)
    scribble[0, : len(values)] = values
    with pytest.raises(ValueError, match="`scribble` must have strokes of the 3 classes"):
        stroke_maps(scribble, np.zeros((8, 8, 3), np.uint8), 3)
