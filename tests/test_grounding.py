"""Cross-attention that is taught where words are."""

import math

import numpy as np
import pytest
import torch

from scribblegen.classes import IGNORE_INDEX
from scribblegen.trainers.small_pipeline.grounding import grounding_loss, labels_of_cells
from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig

NO = IGNORE_INDEX


def one_map(*classes):
    """(1, W, h, w) of the attention to each class."""
    return torch.tensor([classes], dtype=torch.float32)


def test_the_loss_of_one_place_by_hand():
    # Class 0 has a quarter of the attention to both classes; the rest goes to other tokens.
    maps = {"cross.1": one_map([[0.05]], [[0.15]])}
    loss = grounding_loss(maps, torch.tensor([[[0]]], dtype=torch.uint8))
    assert float(loss) == pytest.approx(-math.log(0.25))


def test_attention_where_the_labels_are_costs_nothing():
    here, there = [[0.3, 0.0], [0.3, 0.0]], [[0.0, 0.2], [0.0, 0.2]]
    labels = torch.tensor([[[0, 1], [0, 1]]], dtype=torch.uint8)
    assert float(grounding_loss({"cross.1": one_map(here, there)}, labels)) == pytest.approx(0)
    assert float(grounding_loss({"cross.1": one_map(there, here)}, labels)) > 5


def test_places_without_a_label_and_words_without_a_place_do_not_count():
    maps = one_map([[0.1, 0.2]], [[0.1, 0.2]], [[0.0, 0.0]])  # the prompt does not name class 2
    named = torch.tensor([[[0, 0]]], dtype=torch.uint8)
    for other in (NO, 2):
        labels = torch.tensor([[[0, other]]], dtype=torch.uint8)
        assert grounding_loss({"cross.1": maps}, labels) == grounding_loss({"cross.1": maps}, named)
    nothing = torch.full((1, 1, 2), NO, dtype=torch.uint8)
    assert float(grounding_loss({"cross.1": maps}, nothing)) == 0


def test_a_coarse_map_answers_for_all_places_of_its_cells():
    fine = one_map([[0.1, 0.1], [0.1, 0.1]], [[0.3, 0.3], [0.3, 0.3]])
    coarse = one_map([[0.1]], [[0.3]])
    labels = torch.tensor([[[0, 1], [1, 1]]], dtype=torch.uint8)
    by_width = [grounding_loss({name: m}, labels) for name, m in (("1", fine), ("2", coarse))]
    assert torch.allclose(by_width[0], by_width[1])
    both = grounding_loss({"1": fine, "2": coarse}, labels)
    assert torch.allclose(both, by_width[0])


def test_the_gradient_draws_attention_to_the_class_of_a_place():
    maps = torch.full((2, 2, 1, 1), 0.1, requires_grad=True)
    grounding_loss({"1": maps}, torch.tensor([[[0]], [[NO]]], dtype=torch.uint8)).backward()
    assert maps.grad[0, 0] < 0 < maps.grad[0, 1] and not maps.grad[1].any()


def test_a_cell_has_the_class_that_is_most_of_it():
    label = np.array(
        [
            [0, 0, NO, NO],
            [1, 0, NO, 2],
            [1, 1, NO, NO],
            [0, 1, NO, NO],
        ],
        np.uint8,
    )
    assert labels_of_cells(label, (2, 2), 3).tolist() == [[0, 2], [1, NO]]


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"`grounding_weight` must be at least 0. Got -1"):
        TextToImageConfig(grounding_weight=-1)
