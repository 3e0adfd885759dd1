"""DeepLabV3+ (arXiv 1802.02611): the paper's segmentor, over a transformers ResNet or another.

A saved model carries a copy of this file, so that `trust_remote_code=True` loads it where
scribblegen is not installed.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSemanticSegmentation,
    PretrainedConfig,
    ResNetModel,
)

from .efficientnet_lite import EfficientNetLiteConfig
from .over_backbone import SegmentorOverBackbone, as_backbone_config


class DeepLabV3PlusConfig(PretrainedConfig):
    """Sizes of the model.

    Args:
        backbone_config: config of a ResNet or an EfficientNet-Lite, or its dict; ResNet-50 if None.
        output_stride: pixels per feature of the last stage, 8, 16 or 32.
        multi_grid: factors on the dilation of the last stage's three first blocks, of a ResNet.
        aspp_channels: width of the pyramid and of the decoder.
        low_level_channels: that the first stage's features are reduced to.
        aspp_dropout: before the classifier.
        semantic_loss_ignore_index: label of pixels that do not count.
    """

    model_type = "deeplabv3plus"
    sub_configs = {"backbone_config": AutoConfig}

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        output_stride: int = 16,
        multi_grid: tuple[int, ...] = (1, 2, 4),
        aspp_channels: int = 256,
        low_level_channels: int = 48,
        aspp_dropout: float = 0.1,
        semantic_loss_ignore_index: int = 255,
        **options: Any,
    ) -> None:
        self.backbone_config = as_backbone_config(backbone_config)
        if output_stride not in (8, 16, 32):
            raise ValueError(f"`output_stride` must be 8, 16 or 32. Got {output_stride}.")
        if isinstance(self.backbone_config, EfficientNetLiteConfig):  # it dilates itself
            self.backbone_config = copy(self.backbone_config)
            self.backbone_config.output_stride = output_stride
        self.output_stride, self.multi_grid = output_stride, list(multi_grid)
        self.aspp_channels, self.low_level_channels = aspp_channels, low_level_channels
        self.aspp_dropout = aspp_dropout
        self.semantic_loss_ignore_index = semantic_loss_ignore_index
        super().__init__(**options)


class DeepLabV3PlusForSemanticSegmentation(SegmentorOverBackbone):
    """Logits at a quarter of the image's size, as transformers' segmentors give them."""

    config_class = DeepLabV3PlusConfig

    def __init__(self, config: DeepLabV3PlusConfig) -> None:
        super().__init__(config)
        if isinstance(self.backbone, ResNetModel):
            dilate(self.backbone, config.output_stride, config.multi_grid)
        self.decode_head = _Head(config)
        self.post_init()


class _Head(nn.Module):
    """Pyramid of dilated convolutions, then a decoder that sees the first stage's detail."""

    def __init__(self, config: DeepLabV3PlusConfig) -> None:
        super().__init__()
        low, *_, deep = config.backbone_config.hidden_sizes
        width = config.aspp_channels
        rates = [rate * 16 // config.output_stride for rate in (6, 12, 18)]
        self.branches = nn.ModuleList(
            [_unit(deep, width, 1), *(_unit(deep, width, 3, rate) for rate in rates)]
        )
        # No normalisation over a single pixel: a batch of one would have nothing to normalise.
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(deep, width, 1), nn.ReLU())
        self.project = nn.Sequential(_unit(5 * width, width, 1), nn.Dropout2d(config.aspp_dropout))
        self.reduce = _unit(low, config.low_level_channels, 1)
        self.refine = nn.Sequential(
            _unit(width + config.low_level_channels, width, 3),
            _unit(width, width, 3),
            nn.Dropout2d(config.aspp_dropout),
        )
        self.classifier = nn.Conv2d(width, config.num_labels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        low, deep = maps[0], maps[-1]
        pooled = self.pool(deep).expand(-1, -1, *deep.shape[-2:])
        features = self.project(torch.cat([*(b(deep) for b in self.branches), pooled], dim=1))
        features = F.interpolate(features, low.shape[-2:], mode="bilinear", align_corners=False)
        return self.classifier(self.refine(torch.cat([features, self.reduce(low)], dim=1)))


def _unit(channels: int, out_channels: int, kernel: int, rate: int = 1) -> nn.Sequential:
    padding = rate * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, kernel, padding=padding, dilation=rate, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def dilate(backbone: ResNetModel, output_stride: int, multi_grid: list[int]) -> None:
    """Takes the last strides out of a ResNet and dilates what follows, weights unchanged.

    Args:
        backbone: changed in place.
        output_stride: 8, 16 or 32.
        multi_grid: factors on the dilation of the last stage's blocks, in order; 1 beyond.
    """
    stride, dilation = 4, 1
    stages = backbone.encoder.stages
    for number, stage in enumerate(stages):
        before = dilation
        keeps = number == 0 or stride < output_stride
        if number and keeps:
            stride *= 2
        elif not keeps:
            dilation *= 2
        grids = multi_grid if number == len(stages) - 1 else []
        for place, block in enumerate(stage.layers):
            for module in block.modules():
                if not isinstance(module, nn.Conv2d):
                    continue
                rate = dilation * (grids[place] if place < len(grids) else 1)
                if not keeps and module.stride == (2, 2):
                    module.stride = (1, 1)
                    if not grids:
                        rate = before  # it looks at what it looked at with its stride
                if module.kernel_size == (3, 3) and rate > 1:
                    module.dilation = module.padding = (rate, rate)


AutoConfig.register(DeepLabV3PlusConfig.model_type, DeepLabV3PlusConfig, exist_ok=True)
AutoModelForSemanticSegmentation.register(
    DeepLabV3PlusConfig, DeepLabV3PlusForSemanticSegmentation, exist_ok=True
)
DeepLabV3PlusConfig.register_for_auto_class()
DeepLabV3PlusForSemanticSegmentation.register_for_auto_class("AutoModelForSemanticSegmentation")
