"""Detectors of random weights, loaded as real ones are: what they are told, and what is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GroundingDinoImageProcessorPil,
    GroundingDinoProcessor,
    Owlv2ImageProcessorPil,
)

from scribblegen.segmenting.asked_phrases import asked_for
from scribblegen.segmenting.detectors import open_detector
from scribblegen.segmenting.grounding_dino import caption_of, phrase_of_boxes
from tests.tiny_detectors import save_grounding_dino, save_owlv2, save_sam

CPU = torch.device("cpu")
PHRASES = [["balloon", "ball"], ["grass"], ["Polar Bear"]]
LOW = {"box_threshold": 0.05, "text_threshold": 0.05}
SAVE = {"grounding-dino": save_grounding_dino, "owlv2": save_owlv2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: save(tmp_path_factory.mktemp(kind)) for kind, save in SAVE.items()}


@pytest.fixture(scope="module")
def detectors(folders):
    return {kind: open_detector(folder, CPU) for kind, folder in folders.items()}


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 130, 3), dtype=np.uint8)


def pixels_shown(detector, image) -> torch.Tensor:
    """What its network is given."""
    given = []
    hook = detector.model.register_forward_pre_hook(
        lambda _, args, kwargs: given.append(kwargs["pixel_values"]), with_kwargs=True
    )
    detector.detect(image, PHRASES)
    hook.remove()
    return given[0]


@pytest.mark.parametrize("kind", SAVE)
def test_what_is_found_is_of_the_phrases_and_within_the_image(detectors, image, kind):
    before = image.copy()
    found = detectors[kind].detect(image, PHRASES, **LOW)
    assert found
    for one in found:
        left, top, right, bottom = one.box
        assert 0 <= left < right <= 130 and 0 <= top < bottom <= 96
        assert one.phrase in PHRASES[one.row] and LOW["box_threshold"] < one.score <= 1
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    assert detectors[kind].detect(image, PHRASES, **LOW) == found
    assert np.array_equal(image, before)


@pytest.mark.parametrize("kind", SAVE)
def test_where_nothing_is_found_the_list_is_empty(detectors, image, kind):
    assert detectors[kind].detect(image, PHRASES, box_threshold=1.0) == []
    assert detectors[kind].detect(image, [], **LOW) == []


@pytest.mark.parametrize("kind", SAVE)
def test_a_higher_threshold_keeps_the_surest(detectors, image, kind):
    found = detectors[kind].detect(image, PHRASES, **LOW)
    scores = sorted({one.score for one in found})
    threshold = scores[len(scores) // 2 - 1]
    fewer = detectors[kind].detect(image, PHRASES, **LOW | {"box_threshold": threshold})
    assert 0 < len(fewer) < len(found)
    assert {one.box for one in fewer} <= {one.box for one in found}


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize(
    ("phrases", "options", "message"),
    [
        ([["ball"], []], {}, "`phrases` must be one or more"),
        ([["..."]], {}, "`phrases` must each hold a word"),
        ([["ball"]], {"box_threshold": 1.5}, "`box_threshold` must be in"),
        ([["ball"]], {"text_threshold": -1.0}, "`text_threshold` must be in"),
    ],
)
def test_bad_questions_are_refused(detectors, image, kind, phrases, options, message):
    with pytest.raises(ValueError, match=message):
        detectors[kind].detect(image, phrases, **options)


def test_images_are_shown_as_the_processor_of_grounding_dino_shows_them(detectors, image):
    """96 x 130 is 128 x 173, at most 192; 60 x 200 is limited by the longer side: 58 x 192."""
    processor = GroundingDinoImageProcessorPil(size={"shortest_edge": 128, "longest_edge": 192})
    long = np.random.default_rng(1).integers(0, 256, (60, 200, 3), dtype=np.uint8)
    for shown in (image, long):
        expected = processor(images=shown, return_tensors="pt").pixel_values
        pixels = pixels_shown(detectors["grounding-dino"], shown)
        assert pixels.shape == expected.shape
        assert torch.allclose(pixels, expected, atol=1e-5)


def test_images_are_shown_as_the_processor_of_owlv2_shows_them(detectors, image):
    processor = Owlv2ImageProcessorPil(size={"height": 64, "width": 64})
    small = image[:40, :64]  # only padded: the library reduces images by a blur of its own
    expected = processor(images=small, return_tensors="pt").pixel_values
    assert torch.allclose(pixels_shown(detectors["owlv2"], small), expected, atol=1e-5)


def test_the_caption_is_that_of_the_library_and_each_phrase_has_its_tokens(detectors):
    tokenizer = detectors["grounding-dino"].tokenizer
    asked = asked_for([["Beach Ball", "balloon"], ["st. car?"]])
    told, tokens = caption_of(tokenizer, asked)
    processor = GroundingDinoProcessor(GroundingDinoImageProcessorPil(), tokenizer)
    by_library = processor(text=[["Beach Ball", "balloon", "st car"]], return_tensors="pt")
    assert torch.equal(told["input_ids"], by_library["input_ids"])
    words = [
        [tokenizer.convert_ids_to_tokens(int(i)) for i in told["input_ids"][0][row]]
        for row in tokens
    ]
    assert words == [["beach", "ball"], ["balloon"], ["s", "##t", "car"]]
    assert tokens.shape[1] == told["input_ids"].shape[1] and tokens.sum(dim=0).max() == 1


def test_a_box_is_of_the_phrase_whose_tokens_agree():
    """Tokens: [CLS] polar bear . bear . grass . [SEP]"""
    tokens = torch.zeros(3, 9, dtype=torch.bool)
    tokens[0, 1:3], tokens[1, 4], tokens[2, 6] = True, True, True
    scores = torch.zeros(5, 9)
    scores[0, [2, 4]] = torch.tensor([0.5, 0.45])  # "bear" of both: the whole phrase wins
    scores[1, [1, 2, 4]] = torch.tensor([0.6, 0.5, 0.45])  # polar too
    scores[2, 6] = 0.28  # not above the threshold of boxes
    scores[3, [0, 3, 8]] = 0.9  # marks are no words
    scores[4, 6] = 0.31
    best, phrase = phrase_of_boxes(scores, tokens, 0.30, 0.25)
    assert best.tolist() == pytest.approx([0.45, 0.6, 0, 0, 0.31])
    assert phrase[best > 0].tolist() == [1, 0, 2]


def test_phrases_that_one_caption_does_not_hold_are_asked_in_several(detectors, image):
    """60 phrases of 7 tokens each, one a letter, in captions of 256."""
    detector = detectors["grounding-dino"]
    letters = "bcdefghijk"
    phrases = [[f"zz{a}{b}xyq"] for a in letters[:6] for b in letters]
    lengths = []
    hook = detector.model.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    found = detector.detect(image, phrases, **LOW)
    hook.remove()
    assert len(lengths) == 2 and max(lengths) <= 256
    assert {one.row < 31 for one in found} == {True, False}
    with pytest.raises(ValueError, match="`phrases` must have at most 253 tokens each. Got 297"):
        detector.detect(image, [["q" * 99 + " " + "z" * 99 + " " + "x" * 99]], **LOW)


@pytest.mark.parametrize("kind", SAVE)
def test_the_fingerprint_tells_weights_and_how_images_are_shown(folders, detectors, kind, tmp_path):
    same = open_detector(folders[kind], CPU)
    assert same.fingerprint() == detectors[kind].fingerprint()
    with torch.no_grad():
        next(iter(same.model.parameters())).add_(1)
    assert same.fingerprint() != detectors[kind].fingerprint()
    SAVE[kind](tmp_path)
    file = tmp_path / "preprocessor_config.json"
    saved = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(saved | {"image_mean": [0.5, 0.5, 0.5]}), "utf-8")
    assert open_detector(str(tmp_path), CPU).fingerprint() != detectors[kind].fingerprint()


def test_another_kind_of_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`detector` must be a model of one of .*Got .*, a sam"):
        open_detector(save_sam(tmp_path), CPU)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(OSError, match="`detector` .*nowhere"):
        open_detector(str(tmp_path / "nowhere"), CPU)


@pytest.mark.parametrize("kind", SAVE)
def test_missing_weights_are_told(kind, tmp_path):
    SAVE[kind](tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    lost = next(key for key in weights if key.endswith("0.mlp.fc1.weight") or ".0.fc1." in key)
    save_file({k: v for k, v in weights.items() if k != lost}, file, metadata={"format": "pt"})
    with pytest.raises(OSError, match=r"`detector` .* 1 missing .*fc1"):
        open_detector(str(tmp_path), CPU)


@pytest.mark.parametrize(
    ("file", "message"),
    [("preprocessor_config.json", "no image processor"), ("tokenizer.json", "tokenizer")],
)
@pytest.mark.parametrize("kind", SAVE)
def test_a_folder_that_lacks_a_part_is_told(kind, tmp_path, file, message):
    SAVE[kind](tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises((OSError, ValueError), match=f"`detector` .*{message}"):
        open_detector(str(tmp_path), CPU)


@pytest.mark.parametrize("size", [{"shortest_edge": 0}, {"shortest_edge": 90000}, "large"])
def test_sides_that_no_image_has_are_refused(tmp_path, size):
    save_grounding_dino(Path(tmp_path))
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"size": size}), "utf-8")
    with pytest.raises(ValueError, match="`size` of the image processor of `detector`"):
        open_detector(str(tmp_path), CPU)
