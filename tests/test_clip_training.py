"""The small pair of encoders: what it is shown, its loss, its training, and what it leaves."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.classes import IGNORE_INDEX
from scribblegen.cli import main
from scribblegen.images import image_to_tensor
from scribblegen.prompts import class_prompt
from scribblegen.records import Sample
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.clip.config import ClipConfig
from scribblegen.trainers.clip.examples import Examples, region, shown_classes
from scribblegen.trainers.clip.model import (
    ImageTextPair,
    contrastive_loss,
    image_and_patch_features,
    text_features,
)
from scribblegen.trainers.clip.trainer import ClipTrainer
from scribblegen.trainers.clip.zero_shot import objects_in, zero_shot_figures

SOURCE = ScenesConfig(ids="0:12", scene_size=48, scribbles="mask")
TINY = ClipConfig(
    train_batch_size=6,
    resolution=32,
    vision_width=16,
    vision_layers=1,
    text_width=16,
    text_layers=1,
    attention_heads=2,
    projection_dim=16,
    max_train_steps=4,
    learning_rate=2e-3,
)


def train(folder, run=None, **changes):
    trainer = ClipTrainer(
        replace(TINY, **changes),
        TrainingRunConfig(output_dir=str(folder), **(run or {})),
        open_source(SOURCE),
        open_source(replace(SOURCE, ids="20:24")),
    )
    return trainer.train()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def examples():
    return Examples(open_source(SOURCE), TINY, show=False)


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, trained):
    every = {"checkpointing_steps": 2}
    train(tmp_path, run=every)
    again = train(tmp_path, run={**every, "resume_from_checkpoint": "checkpoint-2"})
    one, other = weights(again), weights(trained)
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
    with pytest.raises(ValueError, match="another run: samples told apart"):
        train(
            tmp_path,
            run={"resume_from_checkpoint": "latest"},
            train_batch_size=3,
            gradient_accumulation_steps=2,
        )


def test_the_folder_is_one_of_transformers(trained):
    model = CLIPModel.from_pretrained(trained).eval()
    tokenizer, processor = (
        kind.from_pretrained(trained) for kind in (AutoTokenizer, AutoImageProcessor)
    )
    texts = ["a photo of sky", "a photo of a red ball on grass", "a photo of xylophone"]
    told = tokenizer(texts, padding=True, return_tensors="pt")
    image = open_source(SOURCE).read(0).image
    shown = processor(images=[image, image[::-1]], return_tensors="pt")
    with torch.no_grad():
        logits = model(**told, **shown).logits_per_image
        ours, patches = image_and_patch_features(model, shown["pixel_values"])
        similar = ours @ text_features(model, told["input_ids"]).T
    assert logits.shape == (2, 3) and torch.isfinite(logits).all()
    assert torch.allclose(logits, similar * model.logit_scale.exp(), atol=1e-4)
    assert patches.shape == (2, 16, 16)
    assert len(tokenizer("a photo of sky").input_ids) == 6, "a token for each word"


def test_the_processor_shows_images_as_in_training(trained, examples):
    processor = AutoImageProcessor.from_pretrained(trained)
    image = open_source(replace(SOURCE, scene_size=32)).read(0).image
    shown = processor(images=image, return_tensors="pt")["pixel_values"][0]
    assert torch.allclose(shown, image_to_tensor(image), atol=1e-5)


def test_figures_and_card_say_what_was_trained(trained):
    metrics = json.loads((trained / "metrics.json").read_text("utf-8"))
    assert metrics["steps"] == 4 and metrics["samples"] == 24
    assert 0 <= metrics["zero_shot_accuracy"] <= 1 and 0 <= metrics["patch_accuracy"] <= 1
    assert metrics["zero_shot_boxes"] > 0
    card = ModelCard.load(trained / "README.md")
    assert card.data.library_name == "transformers" and "clip" in card.data.tags
    assert "CLIPModel.from_pretrained" in card.content and "zero_shot_accuracy" in card.content
    assert str(trained.parent) not in card.content


def test_it_learns_which_text_is_of_which_image(tmp_path, trained):
    """The scenes that it was trained on: chance is one of twelve classes."""
    folder = train(tmp_path, max_train_steps=60, learning_rate=5e-3)
    source = open_source(SOURCE)
    found = [
        zero_shot_figures(
            CLIPModel.from_pretrained(where).eval(),
            AutoTokenizer.from_pretrained(where),
            source,
            TINY.prompt_stem,
        )["zero_shot_accuracy"]
        for where in (trained, folder)
    ]
    assert found[1] > max(found[0], 2 / 12)


def test_the_loss_by_hand():
    """Alike everywhere: the logarithm of the number of pairs; apart: nothing."""
    tokens = torch.arange(4)[:, None]
    alike, apart = torch.ones(4, 1), torch.eye(4)
    scale = torch.tensor(100.0)
    assert contrastive_loss(alike, alike, scale, tokens).item() / 4 == pytest.approx(math.log(4))
    assert contrastive_loss(apart, apart, scale, tokens).item() == pytest.approx(0, abs=1e-6)


def test_pairs_of_one_text_are_no_negatives_of_each_other():
    images = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    scale, tokens = torch.tensor(50.0), torch.tensor([[7, 1], [7, 1], [7, 2]])
    loss = contrastive_loss(images, images, scale, tokens)
    assert loss.item() == pytest.approx(2 * math.log(2), abs=1e-4), "only which of both is open"
    told_apart = contrastive_loss(images, images, scale, torch.tensor([[7, 1], [7, 3], [7, 2]]))
    assert told_apart.item() == pytest.approx(2 * math.log(2), abs=1e-4)
    drawn = images.clone().requires_grad_()
    contrastive_loss(drawn, images, scale, tokens).backward()
    assert drawn.grad.abs().max() < 1e-3, "nothing pushes them apart"


def test_equal_seeds_give_equal_untrained_encoders():
    one, same, other = (ImageTextPair(90, replace(TINY, seed=s)).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)


def test_patches_are_trained_only_where_they_have_weight():
    images, tokens = torch.randn(3, 3, 32, 32), torch.tensor([[0, 5, 1], [0, 6, 1], [0, 7, 1]])
    with torch.no_grad():
        losses = [
            ImageTextPair(90, replace(TINY, patch_weight=weight))(images, tokens).item()
            for weight in (0, 1, 2)
        ]
    assert losses[0] < losses[1]
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], abs=1e-4)


def test_examples_are_those_of_their_draws_alone(examples):
    again = Examples(open_source(SOURCE), TINY, show=False)
    draws = [Draw(epoch, position, position) for epoch in range(2) for position in range(12)]
    shown = [examples.example(draw) for draw in draws]
    for (image, text), draw in zip(shown[::-1], draws[::-1], strict=True):
        other, same_text = again.example(draw)
        assert image.shape == (32, 32, 3) and np.array_equal(image, other) and text == same_text
    assert len({text for _, text in shown}) > 12, "captions, class names, regions"


def test_whole_photographs_have_their_captions(examples):
    whole = Examples(
        open_source(SOURCE),
        replace(TINY, regions=0, class_prompts=0, random_flip=False),
        show=False,
    )
    sample = open_source(SOURCE).read(3)
    image, text = whole.example(Draw(0, 0, 3))
    assert text == sample.prompt
    assert {*sample.prompt.split()} <= {word for t in examples.texts() for word in t.split()}


def test_a_photograph_without_a_caption_needs_class_prompts():
    class Uncaptioned(type(open_source(SOURCE))):
        def load(self, index):
            return replace(super().load(index), prompt=None)

    source = open_source(SOURCE)
    source.__class__ = Uncaptioned
    with pytest.raises(ValueError, match="must have a caption. scene-000000 has none"):
        Examples(source, TINY, show=False)
    by_classes = Examples(source, replace(TINY, class_prompts=1), show=False)
    assert by_classes.example(Draw(0, 0, 0))[1].startswith("a photo of ")


def test_a_region_is_around_a_class_and_named_after_what_it_shows():
    label = np.full((40, 60), IGNORE_INDEX, np.uint8)
    label[:, :50], label[10:14, 20:24] = 3, 7
    rng = np.random.default_rng(0)
    around = 0
    for _ in range(200):
        rows, columns = region(label, rng, 0.2)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        assert 0 <= rows.start < rows.stop <= 40 and 0 <= columns.start < columns.stop <= 60
        assert height / 40 == pytest.approx(width / 60, abs=0.03) and height >= 8
        assert (label[rows, columns] != IGNORE_INDEX).any()
        around += (label[rows, columns] == 7).any()
    assert around > 90, "small classes are shown as often as large ones"
    assert shown_classes(label[8:16, 18:26]) == [3, 7]
    assert shown_classes(label) == [3], "a trace is not named"
    assert class_prompt(["a", "b"], "a photo") == "a photo of a, b"


def test_objects_are_the_boxes_that_a_class_fills():
    label = np.zeros((30, 30), np.uint8)
    label[5:15, 5:15], label[20, 20:28] = 4, 5  # a line is too thin
    label[np.arange(30), np.arange(30)] = 6  # its box is the whole picture, and mostly of others
    sample = Sample("s", np.zeros((30, 30, 3), np.uint8), label)
    found = {class_id: crop.shape[:2] for crop, class_id in objects_in(sample)}
    assert found == {0: (30, 30), 4: (10, 10)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_batch_size": 1}, "`train_batch_size` must be at least 2"),
        ({"resolution": 30}, r"`resolution` must be a multiple of `patch_size` \(8\). Got 30"),
        ({"resolution": 0}, "`resolution` must be a multiple"),
        ({"vision_width": 15}, "`vision_width` must be a multiple of `attention_heads`"),
        ({"text_width": 0}, "`text_width` must be a multiple of `attention_heads`"),
        ({"regions": 1.5}, r"`regions` must be in \[0, 1\]"),
        ({"class_prompts": -0.1}, r"`class_prompts` must be in \[0, 1\]"),
        ({"region_scale": 0.0}, r"`region_scale` must be in \(0, 1\]"),
        ({"patch_weight": -1.0}, "`patch_weight` must be at least 0"),
        ({"patch_weight": math.nan}, "`patch_weight` must be at least 0"),
        ({"text_layers": 0}, "`text_layers` must be at least 1"),
    ],
)
def test_bad_options_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def test_texts_that_are_too_long_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="`text_length` must be at least"):
        train(tmp_path / "clip", text_length=5)
    assert not (tmp_path / "clip").exists()


def test_the_command_trains_and_prints_the_folder(tmp_path, capsys):
    sizes = ["resolution", "vision_width", "vision_layers", "text_width", "text_layers"]
    options = [f"--{key}={getattr(TINY, key)}" for key in (*sizes, "attention_heads")]
    known = ["--ids", "0:4", "--scene_size", "48", "--max_train_steps", "1"]
    main(["train-clip", *known, *options, "--output_dir", str(tmp_path / "clip")])
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "clip")
    assert CLIPModel.from_pretrained(tmp_path / "clip").config.vision_config.hidden_size == 16
    with pytest.raises(SystemExit, match="scribblegen train-clip: `output_dir` must be given"):
        main(["train-clip", *known])
