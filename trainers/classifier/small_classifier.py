"""A small convolutional classifier of several classes an image, trained from nothing on a laptop.

Its logits are a linear function of the mean of a map, so each class can be looked for place by
place. This file stands alone: a saved model carries a copy of it.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import ImageClassifierOutput

_GROUPS = 8


class SmallClassifierConfig(PretrainedConfig):
    """Sizes of the model.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the image's size, multiples of 8.
    """

    model_type = "small-classifier"

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96), **options: Any) -> None:
        self.widths = list(widths)
        super().__init__(**options)


class SmallClassifierForImageClassification(PreTrainedModel):
    """Logits of an image, of which any number may be above 0."""

    config_class = SmallClassifierConfig
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: SmallClassifierConfig) -> None:
        super().__init__(config)
        fine, middle, coarse = config.widths
        self.stem = nn.Conv2d(3, fine, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList([_Block(fine, fine), _Block(fine, middle)])
        self.last = nn.Sequential(_Block(middle, coarse), _Block(coarse, coarse))
        self.classifier = nn.Linear(coarse, config.num_labels)
        self.post_init()

    def features(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H / 8, W / 8): what the classifier sees the mean of."""
        found = self.stem(pixel_values)
        for block in self.blocks:
            found = F.avg_pool2d(block(found), 2, ceil_mode=True)
        return F.relu(self.last(found))

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> ImageClassifierOutput | tuple[Tensor, ...]:
        """Args:
        pixel_values: (B, 3, H, W), normalised, at least two pixels a side.
        labels: (B, K), 1 for the classes of an image and 0 for the others; then there is a loss.
        """
        logits = self.classifier(self.features(pixel_values).mean(dim=(2, 3)))
        loss = None
        if labels is not None:
            loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return ImageClassifierOutput(loss=loss, logits=logits)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.GroupNorm | nn.Linear):
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


AutoConfig.register(SmallClassifierConfig.model_type, SmallClassifierConfig, exist_ok=True)
AutoModelForImageClassification.register(
    SmallClassifierConfig, SmallClassifierForImageClassification, exist_ok=True
)
SmallClassifierConfig.register_for_auto_class()
SmallClassifierForImageClassification.register_for_auto_class("AutoModelForImageClassification")
