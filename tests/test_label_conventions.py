"""Label values of other code bases: lossless both ways, and nothing passes by mistake."""

import itertools

import numpy as np
import pytest

from scribblegen.classes import IGNORE_INDEX
from scribblegen.scribbles.label_conventions import CONVENTIONS, from_convention, to_convention

NUM_CLASSES = 21


def label_and_validity(num_classes: int = NUM_CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """A label with every class and unlabelled pixels, and padding on the right."""
    values = [*range(num_classes), IGNORE_INDEX, IGNORE_INDEX]
    label = np.array([values, values[::-1]], np.uint8)
    valid = np.ones(label.shape, bool)
    label[:, -2:], valid[:, -2:] = IGNORE_INDEX, False
    return label, valid


@pytest.mark.parametrize("num_classes", [1, 2, 21, 150, 254])
@pytest.mark.parametrize(("first", "second"), list(itertools.product(CONVENTIONS, repeat=2)))
def test_a_round_trip_through_any_two_conventions_is_lossless(
    first: str, second: str, num_classes: int
) -> None:
    label, valid = label_and_validity(num_classes)
    for convention in (first, second):
        written = to_convention(label, valid, convention, num_classes)
        read, kept = from_convention(written, convention, num_classes)
        assert np.array_equal(read, label) and read.dtype == np.uint8 and kept.dtype == bool
        if convention in ("rloss", "agmm"):
            assert np.array_equal(kept, valid)  # they tell padding from unlabelled
        else:
            assert kept.all()


@pytest.mark.parametrize(
    ("convention", "unlabelled", "padding"),
    [("scribblegen", 255, 255), ("rloss", 255, 254), ("agmm", 21, 255), ("tel", -1, -1)],
)
def test_each_convention_has_its_own_values(convention: str, unlabelled: int, padding: int) -> None:
    label, valid = label_and_validity()
    written = to_convention(label, valid, convention, NUM_CLASSES)
    assert set(written[valid & (label == IGNORE_INDEX)].tolist()) == {unlabelled}
    assert set(written[~valid].tolist()) == {padding}
    drawn = label != IGNORE_INDEX
    assert np.array_equal(written[drawn], label[drawn])


@pytest.mark.parametrize(
    ("convention", "strays"),
    [
        ("scribblegen", [21, 254, -1]),
        ("rloss", [21, -1]),
        ("agmm", [22, 254, -1]),
        ("tel", [21, 254, 255, -2]),
    ],
)
def test_a_value_of_another_convention_is_refused_by_name(
    convention: str, strays: list[int]
) -> None:
    for stray in strays:
        label = np.array([[0, 1, stray]], np.int16)
        with pytest.raises(ValueError, match=rf"`label` .*{convention}.* Got \[{stray}\]"):
            from_convention(label, convention, NUM_CLASSES)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("stray", [NUM_CLASSES, 254])
def test_a_stray_id_is_never_written_as_something_else(convention: str, stray: int) -> None:
    label = np.array([[0, stray, IGNORE_INDEX]], np.uint8)
    with pytest.raises(ValueError, match=rf"`label` .*Got \[{stray}\]"):
        to_convention(label, np.ones(label.shape, bool), convention, NUM_CLASSES)


def test_agmm_s_unlabelled_value_follows_the_number_of_classes() -> None:
    label = np.array([[0, 5, 7]], np.uint8)
    assert from_convention(label, "agmm", 7)[0].tolist() == [[0, 5, IGNORE_INDEX]]
    with pytest.raises(ValueError, match=r"Got \[7\]"):
        from_convention(label, "agmm", 6)


@pytest.mark.parametrize(
    ("convention", "num_classes"), [("rloss", 255), ("scribblegen", 256), ("agmm", 255)]
)
def test_classes_that_would_take_a_reserved_value_are_refused(
    convention: str, num_classes: int
) -> None:
    with pytest.raises(ValueError, match="`num_classes` must leave"):
        from_convention(np.zeros((1, 1), np.uint8), convention, num_classes)


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="`convention` must be one of .*Got 'coco'"):
        from_convention(np.zeros((1, 1), np.uint8), "coco", 2)


def test_arguments_are_left_as_they_were() -> None:
    label, valid = label_and_validity()
    before = label.copy(), valid.copy()
    written = to_convention(label, valid, "rloss", NUM_CLASSES)
    kept = written.copy()
    from_convention(written, "rloss", NUM_CLASSES)
    assert np.array_equal(label, before[0]) and np.array_equal(valid, before[1])
    assert np.array_equal(written, kept)
