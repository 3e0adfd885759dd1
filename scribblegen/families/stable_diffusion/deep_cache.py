"""Steps that reuse the deep features of a step before: DeepCache (arXiv 2312.00858).

From one step to the next the deep features of a UNet change little. A whole step keeps what enters
the last up block; a shallow step runs the first down block and the last up block alone, over it.
An approximation: it changes images.
"""

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from scribblegen.engine.probes import Kept, Probe, Use
from scribblegen.families.base import Condition
from scribblegen.families.stable_diffusion.denoiser import PROMPT
from scribblegen.families.stable_diffusion.shared_prefix import replaced

_DEEP = "deep"  # what entered the last up block
_RESIDUAL = "residual"  # and the ControlNet's first residuals, numbered


class DeepCache(Probe):
    """Of every few steps one is whole and watched; the others go on from what it left.

    Args:
        interval: steps from one whole step to the next, at least 2.
    """

    def __init__(self, interval: int) -> None:
        if interval < 2:
            raise ValueError(f"`interval` must be at least 2. Got {interval}.")
        self.interval = interval
        self._left: dict[str, Tensor] = {}

    def use(self, step: int, num_steps: int, branch: int) -> Use:
        """Both branches of a step alike."""
        return Use.REPLACED if step % self.interval else Use.PROBED

    @contextlib.contextmanager
    def attach(self, networks: Mapping[str, nn.Module], condition: Condition) -> Iterator[None]:
        """Watches what the UNet is given and what enters its last up block."""
        unet: Any = networks["unet"]
        last = unet.up_blocks[-1]
        residuals: list[Tensor] = []
        self._left = {}

        def unet_called(_: nn.Module, __: Any, options: dict[str, Any]) -> None:
            residuals.extend(options["down_block_additional_residuals"] or ())

        def last_entered(_: nn.Module, __: Any, options: dict[str, Any]) -> None:
            skips = options["res_hidden_states_tuple"][: len(last.resnets)]
            # Of uncontrolled rows too, so that rows of both kinds can share a shallow step.
            added = residuals or [torch.zeros_like(skip) for skip in skips]
            self._left[_DEEP] = options["hidden_states"]
            for number in range(len(last.resnets)):
                self._left[f"{_RESIDUAL} {number}"] = added[number]

        hooks = [
            unet.register_forward_pre_hook(unet_called, with_kwargs=True),
            last.register_forward_pre_hook(last_entered, with_kwargs=True),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def collect(self) -> Mapping[str, Tensor]:
        """(B, ...) each."""
        left, self._left = self._left, {}
        return left

    def finish(self, kept: Kept) -> Kept:
        """Nothing: deep features are of use to later steps alone."""
        return {}

    @torch.inference_mode()
    def predict(
        self,
        networks: Mapping[str, nn.Module],
        latents: Tensor,
        timesteps: Tensor,
        condition: Condition,
        kept: Mapping[str, Tensor],
    ) -> Tensor:
        """A shallow step's prediction, (B, C, h, w) float32."""
        unet: Any = networks["unet"]
        latents = latents.to(unet.dtype)
        output: Tensor = _outermost_layers(unet, kept[_DEEP])(
            latents,
            timesteps,
            encoder_hidden_states=condition[PROMPT],
            down_block_additional_residuals=[
                kept[f"{_RESIDUAL} {number}"] for number in range(len(kept) - 1)
            ],
            mid_block_additional_residual=torch.zeros(
                (), dtype=latents.dtype, device=latents.device
            ),
            return_dict=False,
        )[0]
        return output.float()


class _Deeper(nn.Module):
    """Stands for all that lies deeper: gives what was kept."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, sample: Tensor, time_embedding: Tensor) -> Tensor:
        return self.features


def _outermost_layers(unet: Any, features: Tensor) -> nn.Module:
    """A UNet of the first down block and the last up block, sharing their weights."""
    first = copy.copy(unet.down_blocks[0])
    first._modules = {**first._modules, "downsamplers": None}
    shallow = replaced(unet, ["down_blocks"], nn.ModuleList([first]))
    shallow = replaced(shallow, ["mid_block"], _Deeper(features))
    return replaced(shallow, ["up_blocks"], nn.ModuleList([unet.up_blocks[-1]]))
