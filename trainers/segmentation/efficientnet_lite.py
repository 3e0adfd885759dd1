"""EfficientNet-Lite 0 to 2 as a transformers backbone, and as the classifier that it comes from.

EfficientNet (arXiv 1905.11946) as published for small devices: no squeeze-and-excitation, ReLU6,
and a stem and a head that no variant scales. It is padded as in TensorFlow, where it was trained.

A saved model carries a copy of this file, so that `trust_remote_code=True` loads it where
scribblegen is not installed.
"""

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoModelForImageClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput, ImageClassifierOutput

_STEM_CHANNELS, _HEAD_CHANNELS = 32, 1280
# Kernel, stride, expansion, channels and blocks of every stage.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class EfficientNetLiteConfig(BackboneConfigMixin, PretrainedConfig):
    """Sizes of the model.

    Args:
        width: factor on the channels of the stages.
        depth: factor on the blocks of all stages but the first and the last.
        output_stride: pixels per feature of the last map, 8, 16 or 32; below 32 the last strides
            are dilations instead, over the same weights.
        dropout: before the classifier.
        batch_norm_eps, batch_norm_momentum: of the normalisations.
        out_features, out_indices: which maps the backbone gives, of `stem`, `stage1`, ..., `stage4`
            at strides 2, 4, 8, 16 and 32; the last one if both are None.
    """

    model_type = "efficientnet-lite"

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        output_stride: int = 32,
        dropout: float = 0.2,
        batch_norm_eps: float = 1e-3,
        batch_norm_momentum: float = 0.01,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
        **options: Any,
    ) -> None:
        if output_stride not in (8, 16, 32):
            raise ValueError(f"`output_stride` must be 8, 16 or 32. Got {output_stride}.")
        self.width, self.depth, self.output_stride = width, depth, output_stride
        self.dropout = dropout
        self.batch_norm_eps, self.batch_norm_momentum = batch_norm_eps, batch_norm_momentum
        self.stage_names = ["stem", "stage1", "stage2", "stage3", "stage4"]
        options.pop("stage_names", None)
        super().__init__(**options)
        self.set_output_features_output_indices(out_features, out_indices)

    @property
    def hidden_sizes(self) -> list[int]:
        """Channels of `stage1` to `stage4`."""
        return [blocks[-1]["out_channels"] for blocks in _plan(self)[1:]]


class EfficientNetLitePreTrainedModel(PreTrainedModel):
    """What backbone and classifier share."""

    config_class = EfficientNetLiteConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


class EfficientNetLiteBackbone(BackboneMixin, EfficientNetLitePreTrainedModel):
    """Feature maps of an image, from fine to coarse."""

    has_attentions = False

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        plan = _plan(config)
        self.num_features = [blocks[-1]["out_channels"] for blocks in plan]
        self.stem = _Unit(config, 3, _STEM_CHANNELS, kernel=3, stride=2)
        self.blocks = nn.ModuleList(_Block(config, **block) for blocks in plan for block in blocks)
        self._last = [sum(map(len, plan[: i + 1])) - 1 for i in range(len(plan))]
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> BackboneOutput | tuple[Any, ...]:
        """Args:
        pixel_values: (B, 3, H, W), normalised. A map of stride s has ceil(H / s) rows.
        output_hidden_states: give all five maps too, whatever `out_features` says.
        """
        features, maps = self.stem(pixel_values), []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in self._last:
                maps.append(features)
        chosen = tuple(maps[i] for i in self.config.out_indices)
        states = tuple(maps) if output_hidden_states else None
        if return_dict is False:
            return (chosen,) if states is None else (chosen, states)
        return BackboneOutput(feature_maps=chosen, hidden_states=states)


class EfficientNetLiteForImageClassification(EfficientNetLitePreTrainedModel):
    """The classifier: logits of an image, and the features that they are the mean of."""

    accepts_loss_kwargs = False

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.backbone = EfficientNetLiteBackbone(config)
        self.head = _Unit(config, self.backbone.num_features[-1], _HEAD_CHANNELS, kernel=1)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(_HEAD_CHANNELS, config.num_labels)
        self.post_init()

    def features(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1280, H / output_stride, W / output_stride).

        The classifier's weights over them, place by place, are its class activation maps.
        """
        states = self.backbone(pixel_values, output_hidden_states=True).hidden_states
        return self.head(states[-1])

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> ImageClassifierOutput | tuple[Tensor, ...]:
        """Args:
        pixel_values: (B, 3, H, W), normalised.
        labels: for a loss; (B,) int64, or (B, K) in [0, 1] where an image may be of many classes.
        """
        logits = self.classifier(self.dropout(self.features(pixel_values).mean(dim=(2, 3))))
        loss = None
        if labels is not None and labels.ndim == 1:
            loss = F.cross_entropy(logits, labels)
        elif labels is not None:
            loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return ImageClassifierOutput(loss=loss, logits=logits)


class _Unit(nn.Module):
    """Convolution, normalisation, ReLU6."""

    def __init__(
        self,
        config: EfficientNetLiteConfig,
        channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        is_linear: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = _SameConvolution(
            channels, out_channels, kernel, stride, dilation=dilation, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(
            out_channels, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum
        )
        self.is_linear = is_linear

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.convolution(x))
        return x if self.is_linear else F.relu6(x)


class _SameConvolution(nn.Conv2d):
    """Pads as TensorFlow: to ceil(side / stride) outputs, an odd pixel below or to the right."""

    def forward(self, x: Tensor) -> Tensor:
        padding: list[int] = []
        for axis in (1, 0):  # `pad` begins with the last axis
            side, stride = x.shape[2 + axis], self.stride[axis]
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            total = max((math.ceil(side / stride) - 1) * stride + reach - side, 0)
            padding += [total // 2, total - total // 2]
        left, right, top, bottom = padding
        if left == right and top == bottom:  # without a copy
            return F.conv2d(
                x, self.weight, None, self.stride, (top, left), self.dilation, self.groups
            )
        return super().forward(F.pad(x, padding))


class _Block(nn.Module):
    """Expands, looks around in every channel by itself, and projects; with a shortcut."""

    def __init__(
        self,
        config: EfficientNetLiteConfig,
        *,
        channels: int,
        out_channels: int,
        expansion: int,
        is_residual: bool,
        **around: Any,
    ) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = nn.Identity() if wide == channels else _Unit(config, channels, wide, kernel=1)
        self.depthwise = _Unit(config, wide, wide, groups=wide, **around)
        self.project = _Unit(config, wide, out_channels, kernel=1, is_linear=True)
        self.is_residual = is_residual

    def forward(self, x: Tensor) -> Tensor:
        found = self.project(self.depthwise(self.expand(x)))
        return x + found if self.is_residual else found


def _plan(config: EfficientNetLiteConfig) -> list[list[dict[str, Any]]]:
    """The arguments of all blocks: a list for each of the five maps."""
    maps: list[list[dict[str, Any]]] = [[]]
    channels, reached, dilation = _STEM_CHANNELS, 2, 1
    for number, (kernel, stride, expansion, wide, count) in enumerate(_STAGES):
        out_channels = _scaled(wide, config.width)
        is_end = number in (0, len(_STAGES) - 1)
        before, halves = dilation, stride == 2
        if halves:
            maps.append([])
            if reached == config.output_stride:
                stride, dilation = 1, 2 * dilation
            else:
                reached *= 2
        for place in range(count if is_end else math.ceil(config.depth * count)):
            maps[-1].append(
                {
                    "channels": channels,
                    "out_channels": out_channels,
                    "expansion": expansion,
                    "kernel": kernel,
                    "is_residual": channels == out_channels and (place > 0 or not halves),
                    "stride": stride if place == 0 else 1,
                    # The first looks at what it looked at with its stride.
                    "dilation": dilation if place else before,
                }
            )
            channels = out_channels
    return maps


def _scaled(channels: int, width: float) -> int:
    """A multiple of 8 near `width` times as many, and not below nine tenths of that."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
AutoBackbone.register(EfficientNetLiteConfig, EfficientNetLiteBackbone, exist_ok=True)
AutoModelForImageClassification.register(
    EfficientNetLiteConfig, EfficientNetLiteForImageClassification, exist_ok=True
)
EfficientNetLiteConfig.register_for_auto_class()
EfficientNetLiteBackbone.register_for_auto_class("AutoBackbone")
EfficientNetLiteForImageClassification.register_for_auto_class("AutoModelForImageClassification")
