"""One confusion matrix, from which everything follows."""

import numpy as np
import pytest

from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_counts_pairs_and_leaves_out_ignored_pixels(dtype):
    references = np.array([[0, 0, 1], [1, 255, 255]], dtype)
    predictions = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    matrix = confusion_matrix(predictions, references, 3)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    found = scores(matrix)
    assert found["mean_iou"] == pytest.approx((1 / 2 + 2 / 3) / 2), "the absent class is left out"
    assert found["mean_accuracy"] == pytest.approx(0.75)
    assert found["overall_accuracy"] == pytest.approx(3 / 4)
    assert np.isnan(found["per_category_iou"][2])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_prediction_that_is_no_class_is_an_error(dtype):
    found = scores(confusion_matrix(np.array([0, 77], dtype), np.array([0, 0], dtype), 3))
    assert found["mean_iou"] == 0.5 and found["overall_accuracy"] == 0.5


@pytest.mark.parametrize("ignore_index", [255, 0, -1, 254])
@pytest.mark.parametrize("small", [True, False])
def test_equals_the_sums_over_pixels(ignore_index, small):
    rng = np.random.default_rng(0)
    ids = [0, 1, 2, 3] if ignore_index == -1 and small else [0, 1, 2, 3, ignore_index]
    dtype = np.uint8 if small else np.int64
    references = rng.choice(ids, (4, 20, 30)).astype(dtype)
    predictions = rng.integers(0, 4, (4, 20, 30)).astype(dtype)
    found = scores(confusion_matrix(predictions, references, 4, ignore_index))
    kept = references.astype(np.int64) != ignore_index
    for c in range(4):
        here, there = (predictions == c) & kept, (references == c) & kept
        if c != ignore_index:
            iou = (here & there).sum() / (here | there).sum()
            assert found["per_category_iou"][c] == pytest.approx(iou)


def test_padding_of_the_trainer_is_left_out():
    matrix = confusion_matrix(np.array([-100, 1]), np.array([-100, 1]), 2)
    assert matrix.sum() == 1


def test_nothing_counted_is_not_a_number():
    found = scores(confusion_matrix(np.array([1]), np.array([255]), 2))
    assert np.isnan(found["mean_iou"]) and np.isnan(found["overall_accuracy"])


@pytest.mark.parametrize(
    ("predictions", "references", "named"),
    [
        ([0, 1], [0], "one shape"),
        ([0], [7], "`references` must hold ids below 3.*Got 7"),
        ([0.5], [1], "`predictions` must hold integer"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, None])
def test_what_does_not_fit_is_refused(predictions, references, named, dtype):
    predictions = np.array(predictions, dtype if predictions != [0.5] else None)
    with pytest.raises(ValueError, match=named):
        confusion_matrix(predictions, np.array(references, dtype), 3)
