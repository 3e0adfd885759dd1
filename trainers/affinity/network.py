"""The affinity network: features of the places of a grid, alike where the places belong together.

As AffinityNet (arXiv 1803.10464) it reads a network at three depths, brings each to a few channels
and mixes them; in small, and for all classes at once.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from scribblegen.segmenting.affinity import RADIUS
from scribblegen.trainers.segmentation.over_backbone import BACKBONES, as_backbone_config

STRIDES = (4, 8, 16)
MOST_CELLS = 64  # a side of the grid: the walk is over a matrix of all pairs
_GROUPS = 8
_READ = slice(1, 4)  # of a backbone's maps: strides 4, 8 and 16


class AffinityNetworkConfig(PretrainedConfig):
    """Sizes of the network.

    Args:
        backbone_config: config of the frozen network that is read at strides 4, 8 and 16, or its
            dict; None for a small one of its own, read at 2, 4 and 8.
        widths: channels of the small one at these, multiples of 8.
        channels: that each depth is brought to.
        stride: pixels per cell of the grid.
        side: the longer side of pictures as they are shown, at most `MOST_CELLS` cells.
        radius: in cells, of the pairs that it learned of.
    """

    model_type = "affinity-network"
    sub_configs = {"backbone_config": AutoConfig}

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        widths: tuple[int, ...] = (24, 48, 96),
        channels: int = 32,
        stride: int = 8,
        side: int = 320,
        radius: int = RADIUS,
        **options: Any,
    ) -> None:
        self.backbone_config = None if not backbone_config else as_backbone_config(backbone_config)
        self.widths, self.channels = list(widths), channels
        self.stride, self.side, self.radius = stride, side, radius
        super().__init__(**options)


@dataclass
class CellFeatures(ModelOutput):
    """What the network gives: `features` (B, C, h, w)."""

    features: Tensor | None = None


class AffinityNetwork(PreTrainedModel):
    """Features of an image's cells."""

    config_class = AffinityNetworkConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    accepts_loss_kwargs = False

    def __init__(self, config: AffinityNetworkConfig) -> None:
        super().__init__(config)
        if config.backbone_config is None:
            self.body = _SmallBody(config.widths)
            widths = config.widths
        else:
            _, network = BACKBONES[config.backbone_config.model_type]
            self.backbone = network(config.backbone_config).requires_grad_(False)
            widths = config.backbone_config.hidden_sizes[:3]
        self.depths = nn.ModuleList(nn.Conv2d(width, config.channels, 1) for width in widths)
        self.mixed = nn.Conv2d(len(self.depths) * config.channels, 3 * config.channels, 1)
        self.post_init()

    def forward(
        self, pixel_values: Tensor, return_dict: bool | None = None, **kwargs: Any
    ) -> CellFeatures | tuple[Tensor, ...]:
        """Args:
        pixel_values: (B, 3, H, W), normalised; the grid has H / stride rows.
        """
        height, width = (side // self.config.stride for side in pixel_values.shape[-2:])
        read = [
            _brought(F.elu(depth(map_)), (height, width))
            for depth, map_ in zip(self.depths, self._maps(pixel_values), strict=True)
        ]
        features = F.elu(self.mixed(torch.cat(read, dim=1)))
        return (features,) if return_dict is False else CellFeatures(features=features)

    def shown(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) of any size -> as they are shown: the longer side is `side`, the other a
        multiple of `stride` near to what keeps their shape."""
        config = self.config
        longer = max(pixel_values.shape[-2:])
        cells = [
            max(1, round(side / longer * config.side / config.stride))
            for side in pixel_values.shape[-2:]
        ]
        size = [config.stride * number for number in cells]
        if list(pixel_values.shape[-2:]) == size:
            return pixel_values
        return F.interpolate(
            pixel_values, size, mode="bilinear", align_corners=False, antialias=True
        )

    def _maps(self, pixel_values: Tensor) -> list[Tensor]:
        if self.config.backbone_config is None:
            maps: list[Tensor] = self.body(pixel_values)
            return maps
        with torch.no_grad():
            states = self.backbone(pixel_values, output_hidden_states=True).hidden_states
        return list(states[_READ])

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d | nn.GroupNorm | nn.BatchNorm2d):
            module.reset_parameters()


class _SmallBody(nn.Module):
    """Three maps, each of half the size of the one before."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        pairs = zip([3, *widths[:-1]], widths, strict=True)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, width, 4, stride=2, padding=1),
                nn.GroupNorm(_GROUPS, width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.GroupNorm(_GROUPS, width),
                nn.SiLU(),
            )
            for channels, width in pairs
        )

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        maps = [pixel_values]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]


def _brought(map_: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size): the mean of what falls into a cell, or what is between."""
    if map_.shape[-2:] == size:
        return map_
    if map_.shape[-1] > size[-1]:
        return F.adaptive_avg_pool2d(map_, size)
    return F.interpolate(map_, size=size, mode="bilinear", align_corners=False)


AutoConfig.register(AffinityNetworkConfig.model_type, AffinityNetworkConfig, exist_ok=True)
