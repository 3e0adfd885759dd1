"""Steps that reuse the deep features of a step before: DeepCache (arXiv 2312.00858).

From one step to the next the deep features of a UNet change little. A full step keeps what enters
the last up block; a shallow step runs the first down block and the last up block alone, over it.
An approximation: it changes images.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from scribblegen.families.stable_diffusion.shared_prefix import replaced


class _Recorder(nn.Module):
    """An up block that remembers what entered it."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block
        self.resnets = block.resnets
        self.has_cross_attention = getattr(block, "has_cross_attention", False)
        self.entered: Tensor | None = None

    def forward(self, *, hidden_states: Tensor, **options: Any) -> Tensor:
        self.entered = hidden_states
        output: Tensor = self.block(hidden_states=hidden_states, **options)
        return output


class _Kept(nn.Module):
    """Stands for all that lies deeper: gives what was kept."""

    def __init__(self) -> None:
        super().__init__()
        self.features: Tensor | None = None

    def forward(self, sample: Tensor, time_embedding: Tensor) -> Tensor:
        assert self.features is not None
        return self.features


class DeepCache:
    """A UNet that keeps its deep features, and its outermost layers alone.

    Args:
        unet: with residuals of a ControlNet added to its skip connections.
    """

    def __init__(self, unet: Any) -> None:
        last = len(unet.up_blocks) - 1
        self._recorder = _Recorder(unet.up_blocks[last])
        self.keeping = replaced(unet, ["up_blocks", str(last)], self._recorder)
        first = copy.copy(unet.down_blocks[0])
        first._modules = {**first._modules, "downsamplers": None}
        self._kept = _Kept()
        shallow = replaced(unet, ["down_blocks"], nn.ModuleList([first]))
        shallow = replaced(shallow, ["mid_block"], self._kept)
        self._shallow = replaced(
            shallow,
            ["up_blocks"],
            nn.ModuleList([unet.up_blocks[last]]),
        )

    @property
    def num_residuals(self) -> int:
        """How many of the ControlNet's residuals a shallow step adds."""
        return len(self._recorder.resnets)

    def take_features(self) -> Tensor:
        """What entered the last up block in the last call of `keeping`."""
        features, self._recorder.entered = self._recorder.entered, None
        assert features is not None
        return features

    def shallow(
        self, latents: Tensor, timesteps: Tensor, prompts: Tensor, features: tuple[Tensor, ...]
    ) -> Tensor:
        """A shallow step's prediction.

        Args:
            latents: (B, C, h, w).
            timesteps: (B,) int64.
            prompts: (B, T, D).
            features: from `take_features`, and the ControlNet's first `num_residuals` residuals,
                all of the last full step.
        """
        self._kept.features = features[0]
        output: Tensor = self._shallow(
            latents,
            timesteps,
            encoder_hidden_states=prompts,
            down_block_additional_residuals=features[1:],
            mid_block_additional_residual=torch.zeros(
                (), dtype=latents.dtype, device=latents.device
            ),
            return_dict=False,
        )[0]
        self._kept.features = None
        return output
