"""Segmentors by name: of transformers, and ours."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSemanticSegmentation,
    PretrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    ResNetModel,
)

from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import NOTHING, Allowed, load_weights
from scribblegen.trainers.segmentation.deeplab import (
    DeepLabV3PlusConfig,
    DeepLabV3PlusForSemanticSegmentation,
    dilate,
)
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorConfig,
    SmallSegmentorForSemanticSegmentation,
)

# A network for classification brings a backbone, and a classifier that is dropped.
_BACKBONE = Allowed(unexpected=(r"classifier\.",))
# The last layer of MobileViT's base, which its segmentor is built without.
_CLASSIFICATION_ONLY = r"mobilevit\.conv_1x1_exp\."
# DPT has it, puts nothing through it, and most of its files do not hold it.
_NEVER_USED = r"neck\.fusion_stage\.layers\.0\.residual_layer1\."

SMALL, DEEPLAB = "small", "deeplabv3plus"


def open_model(
    class_names: tuple[str, ...],
    *,
    model_name_or_path: str | None = None,
    architecture: str | None = None,
    output_stride: int = 16,
    seed: int = 0,
) -> PreTrainedModel:
    """A segmentor with one output for every class.

    Args:
        class_names: the names of the classes, in id order.
        model_name_or_path: pretrained segmentor; for `deeplabv3plus` a ResNet of transformers
            serves too. A head of another number of classes is made anew.
        architecture: `small`, `deeplabv3plus` or a model type such as `segformer`.
        output_stride: pixels per feature of `deeplabv3plus`, 8 or 16.
        seed: what weights that are not pretrained are drawn from.

    Raises:
        ValueError: the architecture is unknown or needs pretrained weights to say its size.
        OSError: the pretrained weights cannot be loaded.
    """
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: number for number, name in enumerate(class_names)},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model_name_or_path is None:
            return _untrained(architecture or SMALL, labels, output_stride)
        with loading("model_name_or_path", model_name_or_path):
            config = AutoConfig.from_pretrained(model_name_or_path)
        if architecture == DEEPLAB and isinstance(config, ResNetConfig):
            return _over_backbone(model_name_or_path, config, labels, output_stride)
        if architecture not in (None, config.model_type):
            raise ValueError(
                f"`architecture` must be {config.model_type}, that of {model_name_or_path}. "
                f"Got {architecture!r}."
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
    try:
        model: PreTrainedModel = AutoModelForSemanticSegmentation.from_config(
            AutoConfig.for_model(architecture, **labels)
        )
    except ValueError as error:
        raise ValueError(
            f"`architecture` must be {SMALL}, {DEEPLAB} or a model type with a segmentor in "
            f"transformers, such as segformer. Got {architecture!r}."
        ) from error
    return model


def _over_backbone(
    path: str, backbone: ResNetConfig, labels: dict[str, Any], output_stride: int
) -> PreTrainedModel:
    config = DeepLabV3PlusConfig(backbone, output_stride=output_stride, **labels)
    model = DeepLabV3PlusForSemanticSegmentation(config)
    model.backbone = load_weights(ResNetModel, "model_name_or_path", path, allowed=_BACKBONE)
    dilate(model.backbone, output_stride, config.multi_grid)
    return model


def head_parameters(model: PreTrainedModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(backbone, head): what a pretrained backbone brought, and what is trained from nothing."""
    backbone = getattr(model, model.base_model_prefix, None) or getattr(model, "backbone", None)
    theirs = set() if backbone is None else {id(p) for p in backbone.parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    return (
        [p for p in parameters if id(p) in theirs],
        [p for p in parameters if id(p) not in theirs],
    )
