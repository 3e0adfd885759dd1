"""Segmenters of random weights, loaded as real ones are: masks of boxes."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import SamImageProcessorPil, SamProcessor

from scribblegen.segmenting.segmenters import MASK_CHOICES, chosen_masks, open_segmenter
from tests.tiny_detectors import save_owlv2, save_sam, save_sam2

CPU = torch.device("cpu")
SAVE = {"sam": save_sam, "sam2": save_sam2}
BOXES = np.array([[3, 4, 60, 70], [20, 30, 100.5, 90], [0, 0, 130, 96]])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: save(tmp_path_factory.mktemp(kind)) for kind, save in SAVE.items()}


@pytest.fixture(scope="module")
def segmenters(folders):
    return {kind: open_segmenter(folder, CPU) for kind, folder in folders.items()}


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (96, 130, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", SAVE)
def test_every_box_has_a_mask_of_the_image_s_size(segmenters, image, kind):
    boxes = BOXES.copy()
    masks = segmenters[kind].segment(image, boxes)
    assert masks.shape == (3, 96, 130) and masks.dtype == bool
    assert 0 < masks.mean() < 1 and not np.array_equal(masks[0], masks[1])
    assert np.array_equal(segmenters[kind].segment(image, boxes), masks)
    assert np.array_equal(boxes, BOXES)


@pytest.mark.parametrize("kind", SAVE)
def test_no_boxes_no_masks(segmenters, image, kind):
    for boxes in (np.zeros((0, 4)), []):
        assert segmenters[kind].segment(image, boxes).shape == (0, 96, 130)


@pytest.mark.parametrize("kind", SAVE)
def test_a_mask_is_of_its_box_however_many_there_are(segmenters, image, kind):
    many = np.tile(BOXES, (14, 1))  # more than are segmented at once
    masks = segmenters[kind].segment(image, many)
    alone = segmenters[kind].segment(image, BOXES)
    assert len(masks) == 42
    assert (masks == np.tile(alone, (14, 1, 1))).mean() > 0.9999  # up to rounding


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("boxes", [np.zeros(4), np.zeros((2, 3)), np.full((1, 4), np.nan)])
def test_what_is_no_boxes_is_refused(segmenters, image, kind, boxes):
    with pytest.raises(ValueError, match=r"`boxes` must be \(N, 4\) finite numbers"):
        segmenters[kind].segment(image, boxes)


def test_masks_are_those_of_the_library(segmenters, folders, image):
    """Its processor resizes, pads, maps boxes, and brings masks back."""
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(folders["sam"]))
    inputs = processor(images=image, input_boxes=[BOXES.tolist()], return_tensors="pt")
    with torch.no_grad():
        outputs = segmenters["sam"].model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"].float(),
            multimask_output=False,
        )
    (expected,) = processor.image_processor.post_process_masks(
        outputs.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    single = open_segmenter(folders["sam"], CPU, mask_choice="single")
    assert np.array_equal(single.segment(image, BOXES), expected[:, 0].numpy())


def test_sam2_sees_the_whole_square(segmenters, image):
    given = []
    vision = segmenters["sam2"].model.vision_encoder
    hook = vision.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    segmenters["sam2"].segment(image, BOXES)
    hook.remove()
    assert given[0].shape == (1, 3, 64, 64) and not (given[0][..., -1, :] == 0).any()


def test_the_folder_of_the_published_tracker_gives_the_same_segmenter(segmenters, image, tmp_path):
    published = open_segmenter(save_sam2(tmp_path, as_published=True), CPU)
    assert published.fingerprint() == segmenters["sam2"].fingerprint()
    assert np.array_equal(published.segment(image, BOXES), segmenters["sam2"].segment(image, BOXES))


def test_masks_are_chosen_by_what_is_asked_for():
    logits = torch.full((1, 3, 4, 4), -5.0)
    logits[0, 0, :2] = 5.0  # sharp: stability 1
    logits[0, 1, :2], logits[0, 1, 2:] = 5.0, -0.5  # half of it hardly decided: stability 1/2
    logits[0, 2] = -5.0  # empty
    predicted = torch.tensor([[0.6, 0.9, 0.95]])
    chosen = {
        choice: next(
            i
            for i in range(3)
            if torch.equal(chosen_masks(logits, predicted, choice)[0], logits[0, i])
        )
        for choice in MASK_CHOICES
    }
    assert chosen == {"stability": 0, "predicted_iou": 2, "single": 0}
    tied = torch.tensor([[0.5, 0.5, 0.5]])
    assert torch.equal(chosen_masks(logits[:, [1, 1, 1]], tied, "stability")[0], logits[0, 1])
    with pytest.raises(ValueError, match="`mask_choice` must be one of"):
        chosen_masks(logits, predicted, "best")


def test_the_fingerprint_tells_weights_and_the_choice(folders, segmenters):
    for kind, folder in folders.items():
        same = open_segmenter(folder, CPU)
        assert same.fingerprint() == segmenters[kind].fingerprint()
        other = open_segmenter(folder, CPU, mask_choice="single")
        assert other.fingerprint() != same.fingerprint()
        with torch.no_grad():
            next(iter(same.model.parameters())).add_(1)
        assert same.fingerprint() != segmenters[kind].fingerprint()


def test_another_kind_of_model_or_choice_is_refused(folders, tmp_path):
    with pytest.raises(ValueError, match=r"`segmenter` must be a model of one of .*, a owlv2"):
        open_segmenter(save_owlv2(tmp_path), CPU)
    with pytest.raises(ValueError, match="`mask_choice` must be one of"):
        open_segmenter(folders["sam"], CPU, mask_choice="best")


@pytest.mark.parametrize("kind", SAVE)
def test_missing_weights_are_told(kind, tmp_path):
    SAVE[kind](tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    lost = next(key for key in weights if key.startswith("mask_decoder."))
    save_file({k: v for k, v in weights.items() if k != lost}, file, metadata={"format": "pt"})
    with pytest.raises(OSError, match=r"`segmenter` .* 1 missing \(mask_decoder"):
        open_segmenter(str(tmp_path), CPU)
    (tmp_path / "preprocessor_config.json").unlink()
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(OSError, match="`segmenter` .* has no image processor"):
        open_segmenter(str(tmp_path), CPU)
