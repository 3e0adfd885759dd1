"""Which synthetic rows are twins of which photographs; none is dropped in silence."""

import logging

import numpy as np
import pytest
from datasets import Dataset

from scribblegen.trainers.segmentation.data import open_rows
from scribblegen.trainers.segmentation.maps import LabelMap
from scribblegen.trainers.segmentation.pairing import order_of, pair
from scribblegen.trainers.segmentation.row_selection import (
    agreed_twins,
    near_twins,
    num_twins,
    num_unpaired,
    split_off,
)
from scribblegen.trainers.segmentation.schemes import TwinSet
from tests.subset_files import encoded, save, write_card

REAL = ["a", "b", "c"]


def rows_of(number, ids, **columns):
    """Rows whose pictures and labels follow from `number` and place."""
    rows = []
    for place in range(len(ids)):
        image = np.full((24, 24, 3), 10 * number + place, np.uint8)
        rows.append({"image": encoded(image), "label": encoded(image[..., 0] % 2), "classes": [0]})
    named = {"source_id": ids} if ids[0] != "" else {}
    return {key: [row[key] for row in rows] for key in rows[0]} | named | columns


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    save(folder, "real", rows_of(0, REAL))
    save(folder, "paired", rows_of(2, ["b", "z", "b", "a"], encode_ratio=[0.7] * 4))
    score = {"source_distance": 0.1, "agreement": 0.5}
    save(folder, "unpaired", rows_of(4, ["cat 0", "cat 1"], scores=[score, score]))
    save(folder, "nameless", rows_of(6, [""] * 2))
    write_card(folder, "real", "paired", "unpaired", "nameless")
    return str(folder)


def test_twins_follow_their_photographs_and_what_is_left_out_is_said(caplog):
    paired = pair(TwinSet("s", 0.5), ["b", "x", "b", None, "a"], REAL, first=10)
    assert paired == TwinSet("s", 0.5, ((14,), (10, 12), ()))
    (told,) = caplog.messages
    assert told == (
        "s: 2 of its 5 rows are left out, for they are of none of the 3 photographs, such as x"
    )


def test_a_set_that_matches_in_full_says_nothing(caplog):
    caplog.set_level(logging.INFO)
    assert pair(TwinSet("s", 0.0), ["c", "a"], REAL, first=3).rows == ((4,), (), (3,))
    assert caplog.messages == []


@pytest.mark.parametrize("ids", [["x", "y"], [None, None]])
def test_a_set_that_matches_nothing_is_a_pool_and_that_is_said(ids, caplog):
    caplog.set_level(logging.INFO)
    assert pair(TwinSet("s", 1.0), ids, REAL, first=3) == TwinSet("s", 1.0, pool=(3, 4))
    (told,) = caplog.messages
    assert told.startswith("s: none of its 2 rows is of one of the 3 photographs")


def test_a_set_is_ordered_by_its_ratio_or_by_its_place():
    with_ratio = Dataset.from_dict({"encode_ratio": [0.4, 0.4]})
    assert order_of(with_ratio, 3) == 0.4
    assert order_of(Dataset.from_dict({"image": [1]}), 3) == 3.0
    assert order_of(Dataset.from_dict({"encode_ratio": [None]}), 2) == 2.0


def test_all_kinds_of_sets_stand_in_one_table(repository):
    sets = [f"{repository}:{name}" for name in ("paired", "unpaired", "nameless")]
    rows = open_rows(repository, sets)
    assert rows.twin_sets == (
        TwinSet("paired", 0.7, ((6,), (3, 5), ())),
        TwinSet("unpaired", 1.0, pool=(7, 8)),
        TwinSet("nameless", 2.0, pool=(9, 10)),
    )
    assert (num_twins(rows), num_unpaired(rows)) == (3, 4)
    assert rows.read(8)["image"][0, 0, 0] == 41 and rows.read(8)["label"][0, 0] == 1


def test_pools_stay_with_the_training_and_are_chosen_by_agreement_alone(repository):
    rows = open_rows(repository, [f"{repository}:unpaired"])
    training, selection = split_off(rows, 0.4, seed=0)
    assert training.twin_sets[0].pool == (2, 3) and selection.twin_sets == ()
    assert training.read(2)["image"][0, 0, 0] == 40
    assert near_twins(rows, 0.0).twin_sets == rows.twin_sets, "they have no photograph"
    agreements = {3: 0.2, 4: 0.9}

    def measure(asked):
        return np.array([agreements[row] for row in asked])

    assert agreed_twins(rows, measure, at_least=0.5).twin_sets[0].pool == (4,)
    assert agreed_twins(rows, measure, best=1).twin_sets[0].pool == (3, 4)


def test_a_map_that_is_not_there_is_named(repository):
    maps = {"label": LabelMap(), "pseudo_label": LabelMap()}
    with pytest.raises(ValueError, match="reads `pseudo_label`, which .* must have in every row"):
        open_rows(repository, [], maps=maps)
