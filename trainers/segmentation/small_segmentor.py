"""A small U-Net for segmentation, trained from nothing in a minute on a laptop.

It shows whether data are good for training; it does not compete with pretrained segmentors. This
file stands alone: a saved model carries a copy of it.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSemanticSegmentation,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SemanticSegmenterOutput

_GROUPS = 8
_STRIDE = 8


class SmallSegmentorConfig(PretrainedConfig):
    """Sizes of the model.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the image's size, multiples of 8.
        semantic_loss_ignore_index: label of pixels that do not count.
    """

    model_type = "small-segmentor"

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 96),
        semantic_loss_ignore_index: int = 255,
        **options: Any,
    ) -> None:
        self.widths = list(widths)
        self.semantic_loss_ignore_index = semantic_loss_ignore_index
        super().__init__(**options)


class SmallSegmentorForSemanticSegmentation(PreTrainedModel):
    """Logits at the size of the image."""

    config_class = SmallSegmentorConfig
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: SmallSegmentorConfig) -> None:
        super().__init__(config)
        fine, middle, coarse = config.widths
        self.stem = nn.Conv2d(3, fine, 4, stride=2, padding=1)
        self.fine = _Block(fine, fine)
        self.middle = _Block(fine, middle)
        self.coarse = nn.Sequential(_Block(middle, coarse), _Block(coarse, coarse))
        self.to_middle = _Block(coarse + middle, middle)
        self.to_fine = _Block(middle + fine, fine)
        self.head = nn.Conv2d(fine, 4 * config.num_labels, 1)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SemanticSegmenterOutput | tuple[Tensor, ...]:
        """Args:
        pixel_values: (B, 3, H, W).
        labels: (B, H, W) int64; then there is a loss.
        output_hidden_states: give the encoder's features too, finest first; not in a tuple.
        """
        height, width = pixel_values.shape[-2:]
        states = self._encode(F.pad(pixel_values, (0, -width % _STRIDE, 0, -height % _STRIDE)))
        fine, middle, coarse = states
        middle = self.to_middle(torch.cat([_twice(coarse), middle], dim=1))
        fine = self.to_fine(torch.cat([_twice(middle), fine], dim=1))
        logits = F.pixel_shuffle(self.head(fine), 2)[..., :height, :width]
        loss = None
        if labels is not None:
            ignored = self.config.semantic_loss_ignore_index
            summed = F.cross_entropy(logits, labels, ignore_index=ignored, reduction="sum")
            loss = summed / (labels != ignored).sum().clamp(min=1)
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return SemanticSegmenterOutput(
            loss=loss, logits=logits, hidden_states=states if output_hidden_states else None
        )

    def features(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C): the features at 1/4 and 1/8, averaged over space."""
        _, middle, coarse = self._encode(pixel_values)
        return torch.cat([middle.mean(dim=(2, 3)), coarse.mean(dim=(2, 3))], dim=1)

    def _encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.fine(self.stem(images))
        middle = self.middle(F.avg_pool2d(fine, 2))
        return fine, middle, self.coarse(F.avg_pool2d(middle, 2))

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.GroupNorm):
            module.reset_parameters()


class _Block(nn.Module):
    """Two normalised convolutions with a shortcut."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(_GROUPS, out_channels) for _ in range(2))
        same = channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.silu(self.norms[0](self.first(x)))
        return F.silu(self.norms[1](self.second(hidden)) + self.shortcut(x))


def _twice(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


AutoConfig.register(SmallSegmentorConfig.model_type, SmallSegmentorConfig, exist_ok=True)
AutoModelForSemanticSegmentation.register(
    SmallSegmentorConfig, SmallSegmentorForSemanticSegmentation, exist_ok=True
)
SmallSegmentorConfig.register_for_auto_class()
SmallSegmentorForSemanticSegmentation.register_for_auto_class("AutoModelForSemanticSegmentation")
