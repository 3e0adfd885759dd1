"""A light feature pyramid (arXiv 1612.03144, 1901.02446) over a backbone: quick on a CPU.

A saved model carries a copy of this file, so that `trust_remote_code=True` loads it where
scribblegen is not installed.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSemanticSegmentation, PretrainedConfig

from .efficientnet_lite import EfficientNetLiteConfig
from .over_backbone import SegmentorOverBackbone, as_backbone_config

_GROUPS = 8


class FPNConfig(PretrainedConfig):
    """Sizes of the model.

    Args:
        backbone_config: config of an EfficientNet-Lite or a ResNet, or its dict; of
            EfficientNet-Lite0 if None.
        channels: of the pyramid, a multiple of 8.
        semantic_loss_ignore_index: label of pixels that do not count.
    """

    model_type = "fpn"
    sub_configs = {"backbone_config": AutoConfig}

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        channels: int = 96,
        semantic_loss_ignore_index: int = 255,
        **options: Any,
    ) -> None:
        self.backbone_config = as_backbone_config(backbone_config or EfficientNetLiteConfig())
        self.channels = channels
        self.semantic_loss_ignore_index = semantic_loss_ignore_index
        super().__init__(**options)


class FPNForSemanticSegmentation(SegmentorOverBackbone):
    """Logits at a quarter of the image's size, as transformers' segmentors give them."""

    config_class = FPNConfig

    def __init__(self, config: FPNConfig) -> None:
        super().__init__(config)
        self.decode_head = _Pyramid(config)
        self.post_init()


class _Pyramid(nn.Module):
    """From the coarsest map to the finest: enlarge, add the next one, look around."""

    def __init__(self, config: FPNConfig) -> None:
        super().__init__()
        # Normalised over an image alone, and without dropout: a batch is the same training in any
        # number of processes.
        self.laterals = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, config.channels, 1, bias=False),
                nn.GroupNorm(_GROUPS, config.channels),
            )
            for channels in config.backbone_config.hidden_sizes
        )
        self.merged = nn.ModuleList(_separable(config.channels) for _ in self.laterals[1:])
        self.classifier = nn.Conv2d(config.channels, config.num_labels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        *finer, features = [
            lateral(map_) for lateral, map_ in zip(self.laterals, maps, strict=True)
        ]
        for lateral, block in zip(reversed(finer), self.merged, strict=True):
            features = F.interpolate(
                features, lateral.shape[-2:], mode="bilinear", align_corners=False
            )
            features = block(features + lateral)
        return self.classifier(features)


def _separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.GroupNorm(_GROUPS, channels),
        nn.ReLU(),
    )


AutoConfig.register(FPNConfig.model_type, FPNConfig, exist_ok=True)
AutoModelForSemanticSegmentation.register(FPNConfig, FPNForSemanticSegmentation, exist_ok=True)
FPNConfig.register_for_auto_class()
FPNForSemanticSegmentation.register_for_auto_class("AutoModelForSemanticSegmentation")
