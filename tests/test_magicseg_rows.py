"""What becomes of a pair's images: masks, tests of absence, scores, and every reason against it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scribblegen.engine.jobs import Finished
from scribblegen.engine.transfers import HostCopy
from scribblegen.images import decode_image, image_to_tensor
from scribblegen.label_pictures import decode_label
from scribblegen.methods.attention_images import word_maps
from scribblegen.methods.base import Place, SeenWords
from scribblegen.methods.magicseg_absence import ByAttention, ByClip, ByDetector, Halves, fallen
from scribblegen.methods.magicseg_jobs import HalfKey, Pair
from scribblegen.methods.magicseg_masks import AttentionMasks, DetectorMasks, Labelled
from scribblegen.methods.magicseg_rows import PairRows
from scribblegen.methods.magicseg_scores import background_distance, judged
from scribblegen.methods.magicseg_words import rivals
from scribblegen.segmenting.fusion import Fusion
from scribblegen.segmenting.instances import Detection, decode_rle
from scribblegen.segmenting.mask_parts import parts_as_instances
from scribblegen.segmenting.word_maps import heights
from scribblegen.vocabulary import MOST_WORDS
from tests.described import CONFIG, WORDS, described

SIDE = 16
GREY = np.full((SIDE, SIDE, 3), 120, np.uint8)
DARKER = np.full((SIDE, SIDE, 3), 69, np.uint8)
PAIR = Pair(Place("train", 0, 0), described("a dog and a cat"), "nothing", None, 3, 3)
BY_DETECTOR = replace(CONFIG, masks="detector", detector="d", segmenter="s")


def finished(image: np.ndarray | torch.Tensor, is_counterfactual: bool = False) -> Finished:
    tensor = image if isinstance(image, torch.Tensor) else image_to_tensor(image)
    return Finished(HalfKey(PAIR, is_counterfactual), HostCopy(tensor[None], None), 0)


class Fixed:
    """Masks, a test and a judge that always say the same."""

    def __init__(self, mask=None, score=0.5, seen=()):
        half = np.repeat(np.array([1, 2], np.uint8), SIDE // 2)[None].repeat(SIDE, axis=0)
        self.mask, self.gone, self.seen = half if mask is None else mask, score, list(seen)

    def of(self, image, description, left):
        return self.mask if isinstance(self.mask, str) else Labelled(self.mask, (), {"margin": 0.5})

    def score(self, description, halves):
        return self.gone

    def look(self, image, ids):
        return self.seen.pop(0)


def row_of(image=GREY, other=DARKER, fixed=None, config=CONFIG, rows=None):
    fixed = fixed or Fixed()
    rows = rows or PairRows(config=config, masks=fixed, test=fixed, image_format="png")
    return rows.row(PAIR, finished(image), finished(other, True))


def test_a_row_holds_what_was_found():
    row = row_of()
    assert (decode_image(row["image"]["bytes"])[0] == GREY).all()
    assert (decode_image(row["counterfactual_image"]["bytes"])[0] == DARKER).all()
    assert (decode_label(row["mask"]["bytes"]) == Fixed().mask).all()
    assert row["cf_absent_score"] == 0.5 and row["cf_passed"] is True
    assert row["scores"]["area"] == 0.5 and row["scores"]["margin"] == 0.5
    assert row["scores"]["background_distance"] is None, "the words fill it"
    assert [c["id"] for c in row["classes"]] == [1, 2000] and row["cf_seed"] == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_none_are_rejected(value):
    broken = image_to_tensor(GREY)
    broken[0, 3, 3] = value
    assert row_of(image=broken) == "the output holds NaN or infinity"
    assert row_of(other=broken) == "of the counterfactual image the output holds NaN or infinity"
    assert row_of(image=GREY * 0) == "the output is black"
    assert row_of(other=GREY * 0) == "of the counterfactual image the output is black"


def test_masks_that_say_too_little_are_rejected():
    unsure = np.full((SIDE, SIDE), 255, np.uint8)
    strict = replace(CONFIG, max_unsure=0.7)
    assert (
        row_of(fixed=Fixed(unsure), config=strict) == "the mask says nothing on most of the image"
    )
    one = np.ones((SIDE, SIDE), np.uint8)
    assert row_of(fixed=Fixed(one)) == "the mask has too little of dog"
    assert row_of(config=replace(CONFIG, min_area=0.5)) == "the mask has too little of cat"
    assert row_of(fixed=Fixed("the detector finds no dog")) == "the detector finds no dog"


def test_a_union_has_one_value():
    mask = Fixed().mask.copy()
    mask[:2], mask[2:4] = 0, 255
    row = row_of(fixed=Fixed(mask), config=replace(CONFIG, mask_mode="union"))
    stored = decode_label(row["mask"]["bytes"])
    assert (stored == np.where((mask == 1) | (mask == 2), 1, mask)).all()
    assert row["scores"]["area"] == 12 / 16
    empty = Fixed(np.zeros((SIDE, SIDE), np.uint8))
    said = row_of(fixed=empty, config=replace(CONFIG, mask_mode="union"))
    assert said == "the mask has too little of cat, dog"


def test_pairs_that_fail_are_marked_or_rejected_and_counted():
    def rows(config):
        return PairRows(config=config, masks=Fixed(), test=Fixed(score=0.49), image_format="png")

    marking = rows(replace(CONFIG, cf_threshold=0.5))
    row = row_of(rows=marking)
    assert row["cf_passed"] is False and row["cf_absent_score"] == 0.49
    rejecting = rows(replace(CONFIG, cf_threshold=0.5, cf_failures="reject"))
    assert row_of(rows=rejecting) == (
        "the counterfactual image shows what it should lack, by attention"
    )
    for made in (marking, rejecting):
        assert made.remarks == {"pairs whose counterfactual image shows what it should lack": 1}
    untested = replace(CONFIG, cf_check="none")
    made = PairRows(config=untested, masks=Fixed(), test=None, image_format="png")
    row = row_of(rows=made)
    assert row["cf_passed"] is row["cf_absent_score"] is None and not made.remarks


def test_the_distance_is_that_outside_the_words():
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:4], mask[4:8] = 1, 255
    other = GREY.copy()
    other[:8] = 0
    assert background_distance(GREY, other, mask) == 0
    assert background_distance(GREY, DARKER, mask) == pytest.approx(51 / 255)


def test_a_judge_says_how_present_the_words_are():
    shares = np.zeros((2, SIDE, SIDE), np.float32)
    shares[0, :, :8], shares[1, 0, :4] = 0.9, 0.6
    winner = np.full((SIDE, SIDE), -1)
    winner[:, :8] = 0
    gone = SeenWords(shares / 3, np.full((SIDE, SIDE), -1))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, :4], mask[0] = 1, 255
    judge = Fixed(seen=[SeenWords(shares, winner), gone])
    found = judged(judge, PAIR.description, mask, GREY, DARKER, union=False)
    assert found["presence"] == pytest.approx(0.6) and found["cf_presence"] == pytest.approx(0.3)
    assert found["agreement"] == pytest.approx(12 / 16), "4 of 16 columns are another's"
    nothing = dict.fromkeys(("agreement", "presence", "cf_presence"))
    unknown = Fixed(seen=[None, None])
    for no_judge in (None, unknown):
        assert judged(no_judge, PAIR.description, mask, GREY, GREY, union=False) == nothing


class Boxes:
    """A detector with fixed answers, and a segmenter that fills the boxes."""

    def __init__(self, *found: Detection) -> None:
        self.found, self.asked = found, []

    def detect(self, image, phrases, *, box_threshold, text_threshold):
        self.asked.append((phrases, box_threshold, text_threshold))
        return [one for one in self.found if one.score > box_threshold]

    def segment(self, image, boxes):
        masks = np.zeros((len(boxes), SIDE, SIDE), bool)
        for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
            mask[top:bottom, left:right] = True
        return masks


def box(row, score, *corners):
    return Detection(tuple(map(float, corners)), score, row, ("cat", "dog")[row])


def detected(boxes, config=BY_DETECTOR):
    return DetectorMasks(config, boxes, boxes, WORDS).of(GREY, PAIR.description, {})


def test_boxes_become_masks_the_surer_before():
    boxes = Boxes(box(0, 0.5, 0, 0, 8, 8), box(1, 0.9, 4, 0, 16, 8), box(0, 0.8, 0, 1, 8, 8))
    found = detected(boxes)
    assert boxes.asked == [([("cat",), ("dog",)], 0.3, 0.25)]
    assert [(i.local, i.score) for i in found.instances] == [(2, 0.9), (1, 0.8)], "one a thing"
    assert (found.mask[:8, 4:] == 2).all() and (found.mask[1:8, :4] == 1).all()
    assert (found.mask[8:] == 0).all() and found.scores == {"detection": 0.8}
    row = row_of(
        rows=PairRows(
            config=BY_DETECTOR,
            masks=DetectorMasks(BY_DETECTOR, boxes, boxes, WORDS),
            test=Fixed(),
            image_format="png",
        )
    )
    assert decode_rle(row["instances"][0]["rle"]).sum() == 12 * 8


def test_what_no_detector_finds_is_a_rejection():
    assert detected(Boxes()) == "the detector finds no cat, dog"
    assert detected(Boxes(box(0, 0.9, 0, 0, 8, 8))) == "the detector finds no dog"
    assert detected(Boxes(box(0, 0.2, 0, 0, 8, 8))) == "the detector finds no cat, dog"
    union = replace(BY_DETECTOR, mask_mode="union")
    assert (detected(Boxes(box(0, 0.9, 0, 0, 8, 8)), union).mask[:8, :8] == 1).all()
    assert detected(Boxes(), union) == "the detector finds no cat, dog"


def test_what_else_a_text_names_is_looked_for_too():
    text = replace(
        described("a cat by a tree on grass"), nouns=("tree", "grass", "sky", "cat", ".")
    )
    assert rivals(text) == [("tree", ((11, 15),)), ("grass", ((19, 24),))]
    many = replace(
        described(f"a cat and {' '.join(f'n{i}' for i in range(20))}"),
        nouns=tuple(f"n{i}" for i in range(20)),
    )
    assert len(rivals(many)) == MOST_WORDS - 1


def test_where_another_noun_draws_more_none_of_the_words_is():
    """The upper half is of the word and of a noun alike, but the noun draws more there."""
    word, noun = torch.zeros(8, 8), torch.zeros(8, 8)
    word[4:], word[:4, :4], noun[:4] = 1.0, 0.8, 1.0
    left = {"cross.2": torch.stack([word, noun, torch.zeros(8, 8)])}
    config = replace(CONFIG, normalise="max", spread="none")
    masks = AttentionMasks(config, word_maps(config, Fusion({2: 1.0}), None))
    alone = described("a cat on grass")
    found = masks.of(GREY, alone, left)
    assert (found.mask[:6, :6] == 1).all() and (found.mask[9:] == 1).all()
    beside = masks.of(GREY, replace(alone, nouns=("grass",)), left)
    assert (beside.mask[:6] == 0).all() and (beside.mask[9:] == 1).all()
    assert {instance.local for instance in beside.instances} == {1}


def test_a_phrase_that_a_detector_cannot_read_is_a_rejection():
    class Strict(Boxes):
        def detect(self, image, phrases, **thresholds):
            raise ValueError("`phrases` must have at most 3 tokens each")

    reason = "the detector cannot be asked: `phrases` must have at most 3 tokens each"
    assert detected(Strict()) == reason
    made = PairRows(
        config=CONFIG, masks=Fixed(), test=ByDetector(Strict(), WORDS, 0.25), image_format="png"
    )
    assert row_of(rows=made) == reason


def test_parts_are_instances_from_the_largest():
    mask = np.zeros((6, 8), np.uint8)
    mask[0, 0], mask[2:5, 3:7], mask[5, 0:2] = 1, 1, 2
    maps = torch.stack([torch.full((6, 8), 0.25), torch.full((6, 8), 0.5)])
    found = parts_as_instances(mask, (1, 2), ("cat", "dog"), maps, min_share=0)
    assert [(i.local, i.box, i.score) for i in found] == [
        (1, (3.0, 2.0, 7.0, 5.0), 0.25),
        (1, (0.0, 0.0, 1.0, 1.0), 0.25),
        (2, (0.0, 5.0, 2.0, 6.0), 0.5),
    ]
    assert len(parts_as_instances(mask, (1, 2), ("cat", "dog"), maps, min_share=0.1)) == 1


def test_a_presence_that_falls_is_gone_by_its_share():
    assert fallen(0.8, 0.2) == pytest.approx(0.75)
    assert fallen(0.5, 0.9) == 0 and fallen(0.0, 0.0) == 0 and fallen(0.5, 0.0) == 1


def maps_with(height, count=2):
    """Of `count` words: flat, but for a quarter of the places."""
    map_ = torch.full((4, 4), 0.1)
    map_[0] += height
    return {"cross.2": map_.expand(count, 4, 4).clone()}


def test_words_draw_as_much_attention_as_where_they_draw_most():
    flat, high = maps_with(0.0)["cross.2"], maps_with(0.5)["cross.2"]
    assert heights({2: flat}, [{2: 1.0}] * 2) == pytest.approx([0.1] * 2)
    assert heights({2: high}, [{2: 1.0}] * 2) == pytest.approx([0.6] * 2)
    both = heights({2: high, 4: flat}, [{2: 1.0, 4: 2.0}, {8: 1.0}])
    assert both == pytest.approx([(0.6 + 2 * 0.1) / 3, 0])
    assert heights({2: torch.zeros(1, 4, 4)}, [{2: 1.0}]) == [0.0], "no token stands for it"
    one = torch.zeros(1, 10, 10)
    one[0, 0, :5] = 1  # a twentieth of the places
    assert heights({2: one}, [{2: 1.0}]) == [1.0]
    assert heights({2: one.transpose(1, 2) * 0.4}, [{2: 1.0}]) == pytest.approx([0.4])


def test_attention_is_compared_with_that_of_the_image_that_has_the_words():
    test, words = ByAttention(Fusion({2: 1.0})), PAIR.description

    def score(after):
        return test.score(words, Halves(GREY, DARKER, maps_with(0.5), after))

    def expected(height):
        return pytest.approx(1 - (0.1 + height) / 0.6)

    assert score(maps_with(0.0)) == expected(0.0)
    assert score(maps_with(0.25)) == expected(0.25)
    assert score(maps_with(0.9)) == 0
    worst = maps_with(0.0)
    worst["cross.2"][1] = maps_with(0.4)["cross.2"][1]
    assert score(worst) == expected(0.4), "of several words the one that is least gone"


def test_a_detector_s_best_box_tells_how_much_is_left():
    halves = Halves(GREY, DARKER, {}, {})
    sure = ByDetector(Boxes(box(0, 0.6, 0, 0, 8, 8), box(1, 0.1, 0, 0, 8, 8)), WORDS, 0.25)
    assert sure.score(PAIR.description, halves) == pytest.approx(0.4)
    assert ByDetector(Boxes(), WORDS, 0.25).score(PAIR.description, halves) == 1


def test_a_clip_model_s_margin_falls_with_the_word():
    class Clip:
        def probability(self, image, text, other):
            assert other == "a photo"
            if image is GREY:
                return 0.8
            return {"a photo of cat": 0.4, "a photo of dog": 0.2}[text]

    halves = Halves(GREY, DARKER, {}, {})
    assert ByClip(Clip(), WORDS).score(PAIR.description, halves) == pytest.approx(0.5)
