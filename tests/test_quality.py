"""Which masks stay: small cases worked out by hand."""

import numpy as np
import pytest

from scribblegen.classes import load_classes
from scribblegen.segmenting.mask_rules import MaskRule, MaskShape, fault_of, read_mask_rules
from scribblegen.segmenting.quality import (
    ClassQuality,
    MaskQuality,
    class_ious,
    mask_quality,
    mask_shape,
    mean_ranks,
    verdicts,
)
from scribblegen.segmenting.quality_files import (
    digest_of,
    is_measured,
    read_qualities,
    write_qualities,
)
from tests.benchmarks.pruning_quality import auroc

SHAPE = MaskShape(area=0.2, aspect=1.0, fill=1.0)
NAMES = ("background", "cat", "dog")


def quality(**ious):
    return MaskQuality(1.0, {name: ClassQuality(iou, SHAPE) for name, iou in ious.items()})


def test_iou_of_each_class_over_what_the_mask_speaks_of():
    mask = np.array([[0, 0, 1], [1, 1, 255]], np.uint8)
    found = np.array([[0, 1, 1], [1, 2, 1]])
    # 0: one of two pixels. 1: both see two, the mask a third, the segmentor a fourth; its pixel
    # where the mask says nothing counts for none. 2: not in the mask.
    assert class_ious(mask, found) == {0: 1 / 2, 1: 2 / 4}
    assert class_ious(mask, mask) == {0: 1.0, 1: 1.0}


def test_the_shape_is_of_the_largest_connected_part():
    region = np.zeros((10, 20), bool)
    region[2:6, 3:13] = True
    region[2, 3:8] = False  # of a box of 4 x 10, 35 pixels are left
    region[8, 18] = True  # another part
    assert mask_shape(region) == MaskShape(area=36 / 200, aspect=10 / 4, fill=35 / 40)
    diagonal = np.eye(4, dtype=bool)
    assert mask_shape(diagonal) == MaskShape(area=1 / 4, aspect=1.0, fill=1 / 4)


def test_ranks_are_among_the_images_with_the_same_class():
    ious = {
        "a": {"cat": 0.9},
        "b": {"cat": 0.8, "dog": 0.1},
        "c": {"dog": 0.2},
        "d": {"dog": 0.2},
        "e": {"hare": 0.0},
    }
    # dog: b is worst of three, (0 + 1) / 6; c and d share the rest, (1 + 3) / 6.
    assert mean_ranks(ious) == pytest.approx(
        {"a": 3 / 4, "b": (1 / 4 + 1 / 6) / 2, "c": 4 / 6, "d": 4 / 6, "e": 1 / 2}
    )


def test_with_one_class_a_row_every_class_keeps_its_share():
    easy = {f"easy{k}": quality(cat=0.9 + k / 1000) for k in range(10)}
    hard = {f"hard{k}": quality(dog=0.1 + k / 1000, background=k / 10) for k in range(10)}
    found = verdicts({**easy, **hard}, keep=0.3, background="background")
    kept = [i for i, verdict in found.items() if verdict.fault is None]
    assert kept == ["easy7", "easy8", "easy9", "hard7", "hard8", "hard9"]
    assert found["hard0"].fault == "among the worst 70 %: cv_iou 0.10, rank 0.05"
    assert found["hard3"].cv_iou == pytest.approx(0.103), "the background does not count"


def test_of_equal_ranks_the_first_ids_stay():
    same = {name: quality(cat=0.5) for name in "dbca"}
    found = verdicts(same, keep=0.5)
    assert sorted(i for i, v in found.items() if v.fault is None) == ["a", "b"]
    assert list(found) == list("dbca")


def test_the_background_counts_where_nothing_else_is():
    found = verdicts({"a": quality(background=0.4)}, min_cv_iou=0.3, background="background")
    assert found["a"].fault is None and found["a"].cv_iou == 0.4


def test_a_threshold_keeps_what_reaches_it():
    rows = {"a": quality(cat=0.4, dog=0.6), "b": quality(cat=0.49)}
    found = verdicts(rows, min_cv_iou=0.5)
    assert found["a"].fault is None
    assert found["b"].fault == "cv_iou below 0.5: cv_iou 0.49, rank 0.75"


def test_a_mask_against_a_rule_never_stays_and_counts_as_dropped():
    huge = MaskQuality(1.0, {"cat": ClassQuality(1.0, MaskShape(0.62, 1, 1))})
    rows = {"a": huge, "b": quality(cat=0.5), "c": quality(cat=0.6), "d": quality(cat=0.7)}
    rules = {"cat": MaskRule(max_area=0.5)}
    found = verdicts(rows, keep=0.75, rules=rules)
    assert found["a"].fault == "mask of cat covers more than 50 % of the image: 62 %"
    assert [found[i].fault for i in "bcd"] == [None] * 3
    assert found["a"].rank == 1 / 8 and found["b"].rank == 3 / 8, "as if nothing was seen"
    assert verdicts(rows, keep=1, rules=rules)["a"].fault
    assert verdicts(rows, min_cv_iou=0, rules=rules)["a"].fault


@pytest.mark.parametrize("given", [{}, {"keep": 0.5, "min_cv_iou": 0.5}])
def test_exactly_one_policy(given):
    with pytest.raises(ValueError, match="exactly one of `keep` and `min_cv_iou`"):
        verdicts({"a": quality(cat=1)}, **given)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    assert auroc([0.9, 0.2, 0.5, 0.5], [True, False, True, False]) == 3.5 / 4


def test_planted_bad_masks_are_found():
    """Squares, seen by a segmentor that errs on a tenth of the pixels; every fifth mask is that of
    another image."""
    random = np.random.default_rng(0)
    masks = np.zeros((80, 24, 24), np.uint8)
    for number, mask in enumerate(masks):
        top, left = random.integers(0, 14, 2)
        mask[top : top + 10, left : left + 10] = 1 + number % 2
    planted = np.arange(80) % 5 == 0
    shown = masks.copy()
    shown[planted] = np.roll(masks[planted], 1, axis=0)
    rows = {}
    for number, (mask, truth) in enumerate(zip(shown, masks, strict=True)):
        wrong = random.random(truth.shape) < 0.1
        found = np.where(wrong, random.integers(0, 3, truth.shape), truth)
        rows[str(number)] = mask_quality(mask, found, NAMES)
    for policy in ({"keep": 0.8}, {"min_cv_iou": 0.6}):
        judged = list(verdicts(rows, **policy, background="background").values())
        assert auroc([1 - verdict.cv_iou for verdict in judged], planted) >= 0.9
        dropped = np.array([verdict.fault is not None for verdict in judged])
        assert (dropped & planted).sum() >= 0.8 * planted.sum()


def test_rules_of_voc_are_found_by_its_names():
    voc = load_classes("voc").names
    rules = read_mask_rules(None, voc)
    assert rules["person"] == MaskRule(min_area=0.05, max_area=0.5)
    assert rules["tv monitor"] == MaskRule(min_aspect=1, max_aspect=2.5, min_fill=0.7)
    assert set(rules) == {"person", "dining table", "potted plant", "sofa", "tv monitor"}
    assert read_mask_rules("voc", ["Sofa", "lamp", "TVmonitor"]).keys() == {"Sofa", "TVmonitor"}
    assert read_mask_rules(None, ["sofa", "lamp"]) == read_mask_rules("none", voc) == {}
    assert read_mask_rules(None, voc, dense=False) == {}


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((0.5, 1, 1), None),
        ((0.51, 1, 1), "covers more than 50 % of the image: 51 %"),
        ((0.04, 1, 1), "covers less than 5 % of the image: 4 %"),
        ((0.2, 3, 1), "is more than 2.5 times as wide as high: 3.00"),
        ((0.2, 0.5, 1), "is less than 1.0 times as wide as high: 0.50"),
        ((0.2, 1, 0.6), "fills less than 70 % of its box: 60 %"),
    ],
)
def test_every_bound_of_a_rule(shape, said):
    rule = MaskRule(min_area=0.05, max_area=0.5, min_aspect=1.0, max_aspect=2.5, min_fill=0.7)
    fault = fault_of("x", MaskShape(*shape), rule)
    assert fault == (None if said is None else f"mask of x {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat: {max_area: 0.5}", None),
        ("[1]", "must map classes to bounds"),
        ("cot: {max_area: 0.5}", "Got 'cot'. Did you mean `cat`?"),
        ("cat: {most: 0.5}", "must map some of"),
        ("cat: 3", "must map some of"),
        ("cat: {max_area: 2}", "`max_area` must be a share"),
        ("cat: {min_fill: yes}", "`min_fill` must be a share"),
        ("cat: {min_aspect: -1}", "`min_aspect` must be 0 or more"),
        ("cat: {min_area: 0.5, max_area: 0.1}", "no mask is both above 0.5 and below 0.1"),
    ],
)
def test_rules_of_one_s_own(tmp_path, text, said):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    if said is None:
        assert read_mask_rules(str(path), NAMES) == {"cat": MaskRule(max_area=0.5)}
    else:
        with pytest.raises(ValueError) as caught:
            read_mask_rules(str(path), NAMES)
        assert said in str(caught.value) and "`mask_rules`" in str(caught.value)


def test_rules_that_are_nowhere():
    with pytest.raises(FileNotFoundError, match="`mask_rules` must be none, voc or a YAML file"):
        read_mask_rules("vox", NAMES)


def test_scores_are_read_as_they_were_written(tmp_path):
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    rows = {"a": quality(cat=1 / 3), "b": quality(dog=0.5, background=0.7)}
    write_qualities(first, {"a": rows["a"]}, {"part": "1/2"})
    write_qualities(second, {"b": rows["b"]}, {"part": "2/2"})
    assert read_qualities([first, second]) == rows
    assert digest_of(rows) == digest_of(dict(reversed(rows.items())))
    assert digest_of(rows) != digest_of({**rows, "a": quality(cat=0.34)})
    assert is_measured(first, {"part": "1/2"}) and not is_measured(first, {"part": "2/2"})
    assert not is_measured(tmp_path / "3.json", {})
    with pytest.raises(ValueError, match="must not score a row twice"):
        read_qualities([first, first])
    with pytest.raises(FileNotFoundError, match="`held_out_scores` must be files"):
        read_qualities([tmp_path / "3.json"])
    for text in ('{"rows": {"a": {"classes": {}}}}', '{"rows": 3}', "{}", '{"rows": {"a": 1}}'):
        first.write_text(text)
        with pytest.raises(ValueError, match="it holds no scores"):
            read_qualities([first])
