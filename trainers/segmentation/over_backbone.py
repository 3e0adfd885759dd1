"""What segmentors over a backbone share: the backbones that there are, and the loss.

A saved model carries a copy of this file, so that `trust_remote_code=True` loads it where
scribblegen is not installed.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, ResNetConfig, ResNetModel
from transformers.modeling_outputs import SemanticSegmenterOutput

from .efficientnet_lite import EfficientNetLiteBackbone, EfficientNetLiteConfig

# Each gives `hidden_states`: the stem's and, of `hidden_sizes` channels, maps at strides 4 to 32.
BACKBONES: dict[str, tuple[Any, Any]] = {
    config.model_type: (config, network)
    for config, network in (
        (ResNetConfig, ResNetModel),
        (EfficientNetLiteConfig, EfficientNetLiteBackbone),
    )
}


def as_backbone_config(given: PretrainedConfig | dict[str, Any] | None) -> Any:
    """The config of a backbone; of a ResNet-50 if None.

    Args:
        given: a config, or its dict with its `model_type`; a ResNet's if it has none.

    Raises:
        ValueError: there is no such backbone.
    """
    if isinstance(given, PretrainedConfig):
        return given
    if given is None:
        return ResNetConfig(depths=[3, 4, 6, 3])
    options = dict(given)
    kind = options.pop("model_type", ResNetConfig.model_type)
    if kind not in BACKBONES:
        raise ValueError(f"`backbone_config` must be of one of {tuple(BACKBONES)}. Got {kind!r}.")
    return BACKBONES[kind][0](**options)


class SegmentorOverBackbone(PreTrainedModel):
    """A backbone, and a head that makes logits of its maps; a subclass sets `decode_head`."""

    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False
    decode_head: nn.Module

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        _, network = BACKBONES[config.backbone_config.model_type]
        self.backbone = network(config.backbone_config)

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SemanticSegmenterOutput | tuple[Tensor, ...]:
        """Args:
        pixel_values: (B, 3, H, W), normalised.
        labels: (B, H, W) int64; then there is a loss, cross-entropy at full size.
        output_hidden_states: give the backbone's features too, finest first; not in a tuple.
        """
        states = self.backbone(pixel_values, output_hidden_states=True).hidden_states
        logits = self.decode_head(states[1:])
        loss = None
        if labels is not None:
            full = F.interpolate(
                logits, size=labels.shape[-2:], mode="bilinear", align_corners=False
            )
            ignored = self.config.semantic_loss_ignore_index
            summed = F.cross_entropy(full, labels, ignore_index=ignored, reduction="sum")
            loss = summed / (labels != ignored).sum().clamp(min=1)
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return SemanticSegmenterOutput(
            loss=loss, logits=logits, hidden_states=states if output_hidden_states else None
        )

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
