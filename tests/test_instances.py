"""Detections and instances: which stay, what they make together, and run lengths."""

import numpy as np
import pytest

from scribblegen.segmenting.instances import (
    Detection,
    Instance,
    box_iou,
    decode_rle,
    encode_rle,
    local_mask,
    suppressed,
)


def detection(box: tuple[float, ...], score: float, row: int = 0) -> Detection:
    return Detection(box, score, row, f"word{row}")


def instance(local: int, score: float, rows: slice, columns: slice = slice(None)) -> Instance:
    mask = np.zeros((4, 6), bool)
    mask[rows, columns] = True
    return Instance(local, (0, 0, 6, 4), score, f"word{local}", mask)


def test_iou_by_hand():
    iou = box_iou(
        np.array([[0, 0, 2, 2], [5, 5, 5, 9]]),
        np.array([[1, 0, 3, 2], [0, 0, 2, 2], [9, 9, 10, 10], [5, 5, 5, 9]]),
    )
    assert iou == pytest.approx(np.array([[1 / 3, 1, 0, 0], [0, 0, 0, 0]]))


def test_of_two_boxes_on_one_thing_the_surer_stays_whatever_their_classes():
    bear, dog = detection((0, 0, 10, 10), 0.6, 1), detection((0, 0, 10, 9), 0.7, 0)
    far = detection((20, 0, 30, 10), 0.4, 1)
    assert suppressed([bear, far, dog]) == [dog, far]
    assert suppressed([bear, far, dog], iou_threshold=0.95) == [dog, bear, far]
    assert suppressed([]) == []


def test_a_suppressed_box_suppresses_none():
    first = detection((0, 0, 10, 10), 0.9)
    second = detection((0, 4, 10, 14), 0.8)
    third = detection((0, 8, 10, 18), 0.7)
    assert suppressed([third, second, first], 0.3) == [first, third]


def test_equal_scores_do_not_depend_on_the_order_of_detections():
    twins = [detection((0, 0, 10, 10), 0.5, row) for row in (2, 0, 1)]
    assert suppressed(twins) == suppressed(twins[::-1]) == [twins[1]]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_of_shares_is_refused(threshold):
    with pytest.raises(ValueError, match="`iou_threshold` must be in"):
        suppressed([], threshold)


def test_the_surest_instance_lies_in_front():
    sure, unsure = instance(1, 0.9, slice(0, 2)), instance(2, 0.5, slice(1, 4))
    expected = np.array([[1] * 6, [1] * 6, [2] * 6, [2] * 6], np.uint8)
    for order in ([sure, unsure], [unsure, sure]):
        label = local_mask(order, (4, 6))
        assert label.dtype == np.uint8 and np.array_equal(label, expected)
    assert not local_mask([], (4, 6)).any()


def test_of_equally_sure_instances_the_smaller_lies_in_front():
    small, large = instance(7, 0.5, slice(1, 2), slice(1, 3)), instance(3, 0.5, slice(0, 4))
    for order in ([small, large], [large, small]):
        assert local_mask(order, (4, 6))[1].tolist() == [3, 7, 7, 3, 3, 3]
    same = [instance(5, 0.5, slice(0, 4)), instance(2, 0.5, slice(0, 4))]
    assert (local_mask(same, (4, 6)) == 2).all() and (local_mask(same[::-1], (4, 6)) == 2).all()


def test_what_cannot_be_in_a_label_is_refused():
    with pytest.raises(ValueError, match="must be 5x6"):
        local_mask([instance(1, 0.5, slice(0, 1))], (5, 6))
    for local in (0, 255):
        with pytest.raises(ValueError, match=r"`local` must be in 1\.\.254"):
            local_mask([instance(local, 0.5, slice(0, 1))], (4, 6))


def test_run_lengths_go_down_the_columns_and_begin_with_zeros():
    assert encode_rle(np.array([[0, 1, 1], [0, 0, 1]], bool)) == "2 3: 2 1 1 2"
    assert encode_rle(np.array([[1, 1], [1, 0]], bool)) == "2 2: 0 3 1"
    assert encode_rle(np.zeros((2, 3), bool)) == "2 3: 6"
    assert encode_rle(np.ones((2, 3), bool)) == "2 3: 0 6"


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (3, 7), (64, 50), (0, 5)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_run_lengths_hold_the_mask(shape, share):
    mask = np.random.default_rng(0).random(shape) < share
    again = decode_rle(encode_rle(mask))
    assert again.dtype == bool and again.shape == shape and np.array_equal(again, mask)


@pytest.mark.parametrize(
    "text", ["", "2 3", "2 3 4: 6", "2 3: 5", "2 3: 7 -1", "a b: 1", "2 3: x", "-2 -3: 6", None]
)
def test_text_that_is_no_run_lengths_is_refused(text):
    with pytest.raises(ValueError, match="`rle` must"):
        decode_rle(text)


def test_a_row_of_an_instance_holds_all_of_it():
    one = instance(2, 0.25, slice(1, 3))
    row = one.row()
    assert {key: row[key] for key in ("local", "box", "score", "phrase")} == {
        "local": 2,
        "box": [0, 0, 6, 4],
        "score": 0.25,
        "phrase": "word2",
    }
    assert np.array_equal(decode_rle(row["rle"]), one.mask)
