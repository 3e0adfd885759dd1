"""Tags from strokes, a classifier of them, and the maps that its logits are the mean of."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerConfig,
    SegformerForImageClassification,
    SegformerImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    pipeline,
)

from scribblegen.builders.config import ScenesConfig
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.segmenting.tags import background_of, tags_of
from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.classifier.measures import tag_scores
from scribblegen.trainers.classifier.models import below_the_mean, open_classifier, outputs_of
from scribblegen.trainers.classifier.run import train_classifier
from scribblegen.trainers.classifier.tags import target
from scribblegen.trainers.classifier.trainer import multi_label_loss

SIZE = 32


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository") / "scenes"
    grid = ScribbleGenConfig(
        guidance_scales=[1.0], encode_ratios=[0.5], num_inference_steps=1, pipeline="random"
    )
    build(ScenesConfig(ids="0:8", test_ids="50:54", scene_size=SIZE), grid, output_dir=folder)
    return str(folder)


def config_of(repository, output_dir, **changes):
    options = {
        "real": repository,
        "eval_split": "test",
        "output_dir": str(output_dir),
        "crop_size": SIZE,
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
    }
    return ClassifierConfig(**{**options, **changes})


def test_tags_are_the_classes_with_a_stroke_and_a_cut_off_stroke_teaches_nothing():
    image = np.full((2, 4), 255, np.uint8)
    image[0] = [0, 1, 1, 3]
    assert tags_of(image, 4, None).tolist() == [True, True, False, True]
    assert tags_of(image, 4, 0).tolist() == [True, False, True]
    assert target(image, image[:, :3], 4, 0).tolist() == [1, 0, 255]
    assert target(image[1:], image[1:], 4, 0).tolist() == [255, 255, 255]
    assert background_of(("sky", "background"), None) == 1
    assert background_of(("sky", "background"), "") is None
    assert background_of(("sky", "tree"), None) is None
    with pytest.raises(ValueError, match="`background` must be one of several"):
        background_of(("sky", "tree"), "sea")


def test_the_loss_is_the_mean_over_known_tags():
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]], requires_grad=True)
    tags = torch.tensor([[1, 255], [0, 255]])
    expected = (np.log(2) + np.log1p(np.exp(1.0))) / 2
    assert multi_label_loss(logits, tags).item() == pytest.approx(expected)
    halved = multi_label_loss(logits, tags, count=torch.tensor(4))
    assert halved.item() == pytest.approx(expected / 2)
    nothing = multi_label_loss(logits, torch.full((2, 2), 255))
    nothing.backward()
    assert nothing == 0 and not logits.grad.any()


def test_average_precision_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.6], [0.6, 0.3]])
    tags = np.array([[1, 0], [0, 0], [1, 0], [255, 0]])
    found = tag_scores(probabilities, tags)
    assert found["per_tag"][0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(found["per_tag"][1])
    assert found["mean_average_precision"] == found["per_tag"][0]
    assert found["f1"] == pytest.approx(2 * 2 / (4 + 2))


def test_the_folder_is_a_model_that_the_pipeline_loads(repository, tmp_path):
    folder = tmp_path / "classifier"
    measured = train_classifier(config_of(repository, folder, max_steps=40))
    assert measured["eval_images"] == 4 and 0 < measured["eval_mean_average_precision"] <= 1
    assert json.loads((folder / "all_results.json").read_text())["eval_f1"] == measured["eval_f1"]
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "image-classification"
    assert "scribblegen train-classifier --" in card.text
    assert str(tmp_path) not in card.content and repository not in card.content
    found = pipeline("image-classification", model=str(folder))(
        Image.new("RGB", (50, 40)), top_k=12
    )
    model = AutoModelForImageClassification.from_pretrained(folder)
    assert {entry["label"] for entry in found} == set(model.config.id2label.values())
    assert sum(entry["score"] for entry in found) != pytest.approx(1, abs=1e-3)
    assert (folder / "small_classifier.py").is_file()


def test_a_killed_run_goes_on_to_the_same_weights(repository, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    train_classifier(config_of(repository, tmp_path / "whole", **saving))
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    for later in (*cut.glob("checkpoint-[46]"), cut / "model.safetensors"):
        shutil.rmtree(later) if later.is_dir() else later.unlink()
    train_classifier(config_of(repository, cut, resume_from_checkpoint="latest", **saving))
    one, other = (load_file(f / "model.safetensors") for f in (cut, tmp_path / "whole"))
    assert all(torch.equal(one[key], other[key]) for key in other)
    with pytest.raises(ValueError, match="holds another training: .*background"):
        other = {"resume_from_checkpoint": "latest", "background": "sky", **saving}
        train_classifier(config_of(repository, cut, **other))


MODELS = {
    "resnet": lambda: ResNetForImageClassification(
        ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5
        )
    ),
    "convnext": lambda: ConvNextForImageClassification(
        ConvNextConfig(hidden_sizes=[8, 16, 16, 16], depths=[1] * 4, num_labels=5)
    ),
    "segformer": lambda: SegformerForImageClassification(
        SegformerConfig(
            depths=[1] * 4, hidden_sizes=[8, 16, 16, 16], num_attention_heads=[1] * 4, num_labels=5
        )
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_classifiers_of_transformers(repository, tmp_path, kind):
    given = tmp_path / "pretrained"
    MODELS[kind]().save_pretrained(given)
    SegformerImageProcessor(image_mean=[0.4] * 3, image_std=[0.3] * 3).save_pretrained(given)
    config = config_of(repository, tmp_path / "trained", model_name_or_path=str(given), max_steps=1)
    train_classifier(config)
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "trained")
    assert model.config.model_type == kind and model.config.num_labels == 12
    features, weight = below_the_mean(model)
    assert weight.shape[0] == 12 and features(torch.rand(1, 3, 64, 96)).shape[1] == weight.shape[1]
    classifier = pipeline("image-classification", model=str(tmp_path / "trained"))
    assert list(classifier.image_processor.image_mean) == [0.4] * 3


def test_the_logits_are_the_mean_of_the_maps():
    model = open_classifier(["a", "b"]).eval()
    features, weight = below_the_mean(model)
    images = torch.rand(2, 3, 40, 56)
    maps = torch.einsum("kc,bchw->bkhw", weight, features(images))
    expected = maps.mean(dim=(2, 3)) + model.classifier.bias
    torch.testing.assert_close(model(images).logits, expected, rtol=1e-4, atol=1e-5)
    vit = ViTForImageClassification(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, image_size=64)
    )
    with pytest.raises(ValueError, match="over the mean of a map.*Got a ViTForImage"):
        below_the_mean(vit)


def test_classes_are_found_by_name_in_whatever_order():
    model = open_classifier(["tree", "sky"])
    assert outputs_of(model, ("background", "sky", "tree"), 0, option="classifier") == [None, 1, 0]
    with pytest.raises(ValueError, match=r"`classifier` must know.*lacks \['sea'\].*'sky', 'tree'"):
        outputs_of(model, ("sky", "sea"), None, option="classifier")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"real": None}, "`real` must be given"),
        ({"eval_split": "validation"}, "no split validation of subset real"),
        ({"background": "poem"}, "`background` must be one of"),
        ({"architecture": "poem"}, "`architecture` must be small or"),
        ({"load_best_model_at_end": True}, "`load_best_model_at_end` must not"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(repository, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train_classifier(config_of(repository, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


def test_a_head_of_the_same_tags_is_kept_by_their_names(tmp_path):
    saved = open_classifier(["tree", "sky", "sea"], seed=1)
    saved.save_pretrained(tmp_path)
    model = open_classifier(["sea", "tree", "sky"], model_name_or_path=str(tmp_path))
    image = torch.rand(1, 3, 40, 40)
    found, expected = (network.eval()(image).logits[0] for network in (model, saved))
    torch.testing.assert_close(found, expected[[2, 0, 1]])  # rows of a product, in another order


def test_the_command_says_what_it_found(repository, tmp_path, capsys):
    flags = ["--real", repository, "--eval_split", "test", "--max_steps", "1"]
    flags += ["--crop_size", str(SIZE), "--report_to", "none"]
    main(["train-classifier", *flags, "--output_dir", str(tmp_path / "c")])
    assert "eval_mean_average_precision" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="`output_dir` must be given"):
        main(["train-classifier", *flags])


def test_two_processes_train_and_count_as_one(repository, tmp_path):
    for number in (1, 2):
        flags = ["--real", repository, "--eval_split", "test", "--crop_size", str(SIZE)]
        flags += ["--optim", "sgd", "--learning_rate", "0.1", "--max_steps", "2"]
        flags += ["--per_device_train_batch_size", str(4 // number), "--report_to", "none"]
        flags += ["--num_processes", str(number), "--output_dir", str(tmp_path / f"by-{number}")]
        command = [sys.executable, "-m", "scribblegen", "train-classifier", *flags]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-2000:]
    one, two = (load_file(tmp_path / f"by-{n}" / "model.safetensors") for n in (1, 2))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
    results = [json.loads((tmp_path / f"by-{n}" / "eval_results.json").read_text()) for n in (1, 2)]
    assert results[0]["eval_images"] == results[1]["eval_images"] == 4
    assert results[0]["eval_f1"] == pytest.approx(results[1]["eval_f1"], abs=1e-3)
