"""Segmentors by name: of transformers, and ours."""

import logging
from dataclasses import replace
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSemanticSegmentation,
    PretrainedConfig,
    PreTrainedModel,
    ResNetModel,
)

from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import NOTHING, Allowed, load_weights
from scribblegen.trainers.segmentation.bare_config import bare_config
from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
    dilate,
)
from scribblegen.trainers.segmentation.efficientnet_lite import EfficientNetLiteBackbone
from scribblegen.trainers.segmentation.fpn import FPNConfig, FPNForSemanticSegmentation
from scribblegen.trainers.segmentation.over_backbone import BACKBONES
from scribblegen.trainers.segmentation.packaged_backbones import (
    OPTION,
    PACKAGED_BACKBONES,
    backbone_folder,
)
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorConfig,
    SmallSegmentorForSemanticSegmentation,
)

# A network for classification brings a backbone, and a classifier that is dropped.
_DROPPED = {
    ResNetModel: Allowed(unexpected=(r"classifier\.",)),
    EfficientNetLiteBackbone: Allowed(unexpected=(r"head\.", r"classifier\.")),
}
# The last layer of MobileViT's base, which its segmentor is built without.
_CLASSIFICATION_ONLY = r"mobilevit\.conv_1x1_exp\."
# DPT has it, puts nothing through it, and most of its files do not hold it.
_NEVER_USED = r"neck\.fusion_stage\.layers\.0\.residual_layer1\."

logger = logging.getLogger(__name__)

SMALL, DEEPLAB, FPN = "small", "deeplabv3plus", "fpn"
_OVER_BACKBONES = (DEEPLAB, FPN)


def open_model(
    class_names: tuple[str, ...],
    *,
    model_name_or_path: str | None = None,
    backbone: str | None = None,
    architecture: str | None = None,
    output_stride: int = 16,
    seed: int = 0,
) -> PreTrainedModel:
    """A segmentor with one output for every class.

    Args:
        class_names: the names of the classes, in id order.
        model_name_or_path: pretrained segmentor; for `deeplabv3plus` and `fpn` a backbone serves
            too. A head of another number of classes is made anew.
        backbone: pretrained backbone under one of these two: a name of `PACKAGED_BACKBONES`, or
            folder or Hub id of a ResNet of transformers.
        architecture: `small`, `deeplabv3plus`, `fpn` or a model type such as `segformer`; `fpn` if
            None over a backbone.
        output_stride: pixels per feature of `deeplabv3plus`, 8 or 16.
        seed: what weights that are not pretrained are drawn from.

    Raises:
        ValueError: the architecture is unknown, needs pretrained weights to say its size, or stands
            over no such backbone.
        OSError: the pretrained weights cannot be loaded.
    """
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: number for number, name in enumerate(class_names)},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if backbone is not None:
            if model_name_or_path is not None:
                raise ValueError(
                    f"`{OPTION}` must not be given with `model_name_or_path`: one of them says "
                    f"what training begins with. Got {backbone} and {model_name_or_path}."
                )
            return _over_named(backbone, architecture or FPN, labels, output_stride)
        if model_name_or_path is None:
            return _untrained(architecture or SMALL, labels, output_stride)
        name = model_name_or_path
        with loading("model_name_or_path", name):
            config = AutoConfig.from_pretrained(name)
        if architecture in _OVER_BACKBONES and config.model_type in BACKBONES:
            option = "model_name_or_path"
            return _over_backbone(architecture, option, name, config, labels, output_stride)
        if architecture not in (None, config.model_type):
            raise ValueError(
                f"`architecture` must be {config.model_type}, that of {model_name_or_path}. "
                f"Got {architecture!r}."
            )
        saved = list(config.id2label.values())
        if saved != list(class_names) and set(saved) == set(class_names):
            logger.warning(
                f"`model_name_or_path` {name} has these classes in another order: its head begins "
                "with what it has learned of others"
            )
        return load_segmentor(
            "model_name_or_path",
            model_name_or_path,
            allowed=_allowed(config, len(class_names)),
            seed=seed,
            **labels,
        )


def load_segmentor(
    option: str, name: str, *, allowed: Allowed = NOTHING, seed: int = 0, **settings: Any
) -> PreTrainedModel:
    """A saved segmentor, of transformers or ours, from a folder or the Hub.

    Args:
        option: the option that names it, for errors.
        name: folder or Hub id.
        allowed: in what its file and the segmentor may differ.
        seed: what allowed weights that are missing are drawn from.
        settings: entries of its config, and arguments of how it is loaded.

    Raises:
        OSError: it cannot be loaded, its weights are pickled, or not all there.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = load_weights(
            AutoModelForSemanticSegmentation,
            option,
            name,
            allowed=replace(allowed, missing=(*allowed.missing, _NEVER_USED)),
            **settings,
        )
    return model


def open_backbone_config(name: str) -> tuple[str, PretrainedConfig]:
    """Where the weights of a backbone are, and the config of its network alone.

    Args:
        name: a name of `PACKAGED_BACKBONES`, or folder or Hub id.

    Raises:
        ValueError: it is no network of `BACKBONES`.
        OSError: it cannot be loaded.
    """
    folder = backbone_folder(name)
    with loading(OPTION, folder):
        config = AutoConfig.from_pretrained(folder)
    if config.model_type not in BACKBONES:
        raise ValueError(
            f"`{OPTION}` must be one of {tuple(PACKAGED_BACKBONES)}, or a model of one of "
            f"{tuple(BACKBONES)}. Got {name}, a {config.model_type}."
        )
    return folder, bare_config(config)


def load_backbone(network: PreTrainedModel, path: str, *, option: str = OPTION) -> PreTrainedModel:
    """A backbone like `network`, with pretrained weights.

    Args:
        network: of one of `BACKBONES`; not changed.
        path: folder or Hub id of it, or of a classifier over it.
        option: the option that names it, for errors.

    Raises:
        OSError: it cannot be loaded, its weights are pickled, or not all there.
    """
    kind = type(network)
    loaded: PreTrainedModel = load_weights(
        kind, option, path, allowed=_DROPPED[kind], config=network.config
    )
    return loaded


def _allowed(saved: PretrainedConfig, num_classes: int) -> Allowed:
    """A segmentor may have been one of other classes; else it is a base, and the head is new."""
    names = saved.architectures or []
    new_head = bool(names) and not any(name.endswith("ForSemanticSegmentation") for name in names)
    return Allowed(
        new_head=new_head,
        unexpected=(_CLASSIFICATION_ONLY,) if new_head else (),
        num_classes=(saved.num_labels, num_classes),
    )


def _untrained(architecture: str, labels: dict[str, Any], output_stride: int) -> PreTrainedModel:
    if architecture == SMALL:
        return SmallSegmentorForSemanticSegmentation(SmallSegmentorConfig(**labels))
    if architecture == DEEPLAB:
        config = DeepLabV3PlusConfig(output_stride=output_stride, **labels)
        return DeepLabV3PlusForSemanticSegmentation(config)
    if architecture == FPN:
        return FPNForSemanticSegmentation(FPNConfig(**labels))
    try:
        model: PreTrainedModel = AutoModelForSemanticSegmentation.from_config(
            AutoConfig.for_model(architecture, **labels)
        )
    except ValueError as error:
        raise ValueError(
            f"`architecture` must be {SMALL}, {DEEPLAB}, {FPN} or a model type with a segmentor in "
            f"transformers, such as segformer. Got {architecture!r}."
        ) from error
    return model


def _over_named(
    backbone: str, architecture: str, labels: dict[str, Any], output_stride: int
) -> PreTrainedModel:
    if architecture not in _OVER_BACKBONES:
        raise ValueError(
            f"`architecture` must be one of {_OVER_BACKBONES} over a `{OPTION}`. "
            f"Got {architecture!r}."
        )
    folder, config = open_backbone_config(backbone)
    return _over_backbone(architecture, OPTION, folder, config, labels, output_stride)


def _over_backbone(
    architecture: str,
    option: str,
    path: str,
    backbone: PretrainedConfig,
    labels: dict[str, Any],
    output_stride: int,
) -> PreTrainedModel:
    backbone = bare_config(backbone)
    model: Any
    if architecture == FPN:
        model = FPNForSemanticSegmentation(FPNConfig(backbone, **labels))
    else:
        deeplab = DeepLabV3PlusConfig(backbone, output_stride=output_stride, **labels)
        model = DeepLabV3PlusForSemanticSegmentation(deeplab)
    model.backbone = load_backbone(model.backbone, path, option=option)
    if architecture == DEEPLAB and isinstance(model.backbone, ResNetModel):
        dilate(model.backbone, output_stride, model.config.multi_grid)
    return model
