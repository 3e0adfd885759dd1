"""How a backbone is trained: slower than its head, by its own statistics, laid out for speed."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from scribblegen.trainers.segmentation.efficientnet_lite import (
    EfficientNetLiteConfig,
    EfficientNetLiteForImageClassification,
)


def head_parameters(model: PreTrainedModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(backbone, head): what a pretrained backbone brought, and what is trained from nothing."""
    theirs = {id(p) for part in _brought(model) for p in part.parameters()}
    parameters = [p for p in model.parameters() if p.requires_grad]
    return (
        [p for p in parameters if id(p) in theirs],
        [p for p in parameters if id(p) not in theirs],
    )


def freeze_batch_statistics(model: PreTrainedModel) -> None:
    """Keeps the means and variances that the backbone normalises by, in training too.

    Those of a few pictures are worse than those that it brought; its factors and offsets are
    still trained. The head's own are left as they are.

    Args:
        model: changed in place; one without a backbone is left as it is.
    """
    model.register_forward_pre_hook(_keep_statistics)


def lay_out_for_speed(model: PreTrainedModel) -> None:
    """Weights of an EfficientNet-Lite with channels last: on a CPU a step takes 0.7 of the time.

    Its depthwise convolutions are slow otherwise. Others gain nothing, or lose.

    Args:
        model: changed in place: values stay what they are.
    """
    parts = [model.config, getattr(model.config, "backbone_config", None)]
    if any(isinstance(part, EfficientNetLiteConfig) for part in parts):
        model.to(memory_format=torch.channels_last)


def _keep_statistics(model: PreTrainedModel, inputs: Any) -> None:
    """Before every call: the Trainer sets the whole model to training before every step."""
    for part in _brought(model):
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                module.eval()


def _brought(model: PreTrainedModel) -> list[nn.Module]:
    """What a pretrained backbone brought; nothing where there is none."""
    found = getattr(model, model.base_model_prefix, None) or getattr(model, "backbone", None)
    parts = [found] if isinstance(found, nn.Module) else []
    if isinstance(model, EfficientNetLiteForImageClassification):
        parts.append(model.head)  # its last convolution, which segmentors go without
    return parts
