"""The zero-shot protocol: what is unseen, how it is measured, what photographs do not say of it."""

import json

import numpy as np
import pytest

from scribblegen.classes import load_classes
from scribblegen.trainers.segmentation.confusion import scores
from scribblegen.trainers.segmentation.opening import open_data
from scribblegen.trainers.segmentation.row_check import check_rows
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.zero_shot_options import ZeroShotOptions
from tests.test_synthetic_only import NAMES, config_of, write

VOC = load_classes("voc").names


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return write(tmp_path_factory.mktemp("synthetic") / "x", {"diffumask": 5, "more": 4})


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs") / "mine"
    return write(folder, {"real": 4}, columns=("label", "mask", "pseudo_label"))


def both(synthetic, photographs, folder, /, **changes):
    kept = {
        "real": photographs,
        "scheme": "append",
        "eval_data": None,
        "eval_split": "train",
        "unseen_classes": ["tree"],
        **changes,
    }
    return config_of(synthetic, photographs, folder, **kept)


def matrix_of(ious):
    """A confusion matrix in which class k has an IoU of ious[k] / 10: the rest is no class."""
    matrix = np.zeros((len(ious), len(ious) + 1), np.int64)
    for number, iou in enumerate(ious):
        matrix[number, number], matrix[number, -1] = iou, 10 - iou
    return matrix


@pytest.mark.parametrize(
    ("ious", "unseen", "seen_iou", "unseen_iou", "harmonic"),
    [
        ([8, 6, 4, 2], (3,), 0.6, 0.2, 0.3),
        ([8, 6, 4, 2], (0, 2), 0.4, 0.6, 0.48),
        ([5, 5], (1,), 0.5, 0.5, 0.5),
        ([8, 0], (1,), 0.8, 0.0, 0.0),
        ([0, 0], (1,), 0.0, 0.0, 0.0),
    ],
)
def test_means_are_over_seen_and_unseen_classes(ious, unseen, seen_iou, unseen_iou, harmonic):
    found = scores(matrix_of(ious), unseen)
    assert found["mean_iou_seen"] == pytest.approx(seen_iou)
    assert found["mean_iou_unseen"] == pytest.approx(unseen_iou)
    assert found["harmonic_mean_iou"] == pytest.approx(harmonic)
    assert found["mean_iou"] == pytest.approx(np.mean(ious) / 10)
    plain = scores(matrix_of(ious))
    assert {k: v for k, v in found.items() if k in plain}.keys() == plain.keys()
    assert not [key for key in plain if "seen" in key or "harmonic" in key]


def test_a_class_that_does_not_occur_is_in_no_mean():
    matrix = matrix_of([8, 6, 4])
    matrix[1] = 0
    assert scores(matrix, (1, 2))["mean_iou_unseen"] == pytest.approx(0.4)
    found = scores(matrix, (1,))
    assert np.isnan(found["mean_iou_unseen"]) and np.isnan(found["harmonic_mean_iou"])
    assert found["mean_iou_seen"] == pytest.approx(0.6)


def ids(names, *given):
    return ZeroShotOptions(unseen_classes=list(given)).unseen_ids(names)


def test_the_split_of_voc_is_its_last_five_in_the_alphabet():
    unseen = [VOC[number] for number in ids(VOC, "voc-15-5")]
    assert unseen == ["potted plant", "sheep", "sofa", "train", "tv monitor"]
    joined = [name.replace(" ", "") for name in VOC]
    assert ids(joined, "voc-15-5") == ids(VOC, "voc-15-5") == (16, 17, 18, 19, 20)


def test_names_are_found_however_they_are_spaced():
    assert ids(VOC, "PottedPlant", "tv-monitor", "sheep") == (16, 17, 20)
    assert ids(["a b", "ab", "c"], "ab") == (1,), "the very name first"
    assert ids(VOC) == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["zebra"], "`unseen_classes` must be classes.*Got 'zebra'"),
        (["treee"], "Did you mean `tree`"),
        (["voc-15-5"], "Got 'potted plant'"),
        (["sky", "voc-15-5"], "Got 'voc-15-5'"),
        (NAMES, "must leave a class that is seen. Got all 3"),
    ],
)
def test_names_that_are_no_class_are_refused_before_any_work(
    synthetic, photographs, tmp_path, given, message
):
    config = both(synthetic, photographs, tmp_path / "model", unseen_classes=given)
    with pytest.raises(ValueError, match=message):
        train_segmentation(config)
    assert not (tmp_path / "model").exists()


def test_hiding_needs_something_to_hide(synthetic, photographs, tmp_path):
    with pytest.raises(ValueError, match="`hide_unseen` has no effect without `unseen_classes`"):
        both(synthetic, photographs, tmp_path, unseen_classes=[], hide_unseen=True)


def test_photographs_alone_do_not_show_what_is_hidden(synthetic, photographs, tmp_path):
    plain = open_data(both(synthetic, photographs, tmp_path))
    options = {"hide_unseen": True, "selection_share": 0.25}
    data = open_data(both(synthetic, photographs, tmp_path, **options))
    tree = NAMES.index("tree")
    assert (plain.training.read(0)["label"] == tree).any()
    assert data.selection.num_real == 1
    for rows in (data.training, data.selection):
        for row in range(rows.num_real):
            label = rows.read(row)["label"]
            assert not (label == tree).any() and (label == 255).any()
    synthetic_rows = range(data.training.num_real, len(data.training))
    for row, other in zip(synthetic_rows, range(4, 13), strict=True):
        assert np.array_equal(data.training.read(row)["label"], plain.training.read(other)["label"])
    assert (data.report.read(0)["label"] == tree).any(), "the report measures all"
    checked = check_rows(data.training, "here")
    assert not checked.drawn[:, tree].any() and checked.held[tree]
    assert checked.synthetic[tree] == 9


def test_other_maps_of_photographs_do_not_show_it_either(photographs, tmp_path):
    config = both("", photographs, tmp_path, synthetic=[], scheme="none", hide_unseen=True)
    config.pseudo_label_weight = 1.0
    rows = open_data(config).training
    assert not (rows.read(0)["pseudo_label"] == NAMES.index("tree")).any()
    assert not check_rows(rows, "here").held[NAMES.index("tree")]


def test_a_training_is_not_changed_by_what_is_reported(synthetic, photographs, tmp_path):
    measured = {}
    for name, changes in {
        "plain": {"unseen_classes": []},
        "apart": {"unseen_classes": ["TREE"], "eval_strategy": "steps", "eval_steps": 2},
        "hidden": {"hide_unseen": True},
    }.items():
        config = both(synthetic, photographs, tmp_path / name, **changes)
        measured[name] = train_segmentation(config)
    plain, apart = measured["plain"], measured["apart"]
    assert {key: apart[key] for key in plain} == plain
    assert sorted(apart.keys() - plain.keys()) == [
        "eval_harmonic_mean_iou",
        "eval_mean_iou_seen",
        "eval_mean_iou_unseen",
    ]
    assert apart["eval_mean_iou_unseen"] == apart["eval_iou_tree"]
    assert measured["hidden"] != apart
    state = json.loads((tmp_path / "apart/trainer_state.json").read_text())
    assert any("eval_harmonic_mean_iou" in entry for entry in state["log_history"])
    text = (tmp_path / "apart/README.md").read_text()
    assert f"| Mean IoU of unseen classes | {apart['eval_mean_iou_unseen']:.4f} |" in text
    assert f"| Harmonic mean IoU | {apart['eval_harmonic_mean_iou']:.4f} |" in text
    assert "Unseen classes: tree. In the photographs of the training they were labelled" in text
    assert "\n\n\n" not in text.split("## Trained")[0].split("## Measured")[1]
    assert "synthetic images alone taught them" in (tmp_path / "hidden/README.md").read_text()
    assert "nseen" not in (tmp_path / "plain/README.md").read_text().split("## Trained")[0]
