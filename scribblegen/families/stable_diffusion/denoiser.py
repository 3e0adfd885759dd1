"""ControlNet and UNet as one call, in the few forms that the denoiser pool needs."""

from collections.abc import Callable
from functools import partial

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor

from scribblegen.families.base import Condition
from scribblegen.families.compiled import compiled
from scribblegen.families.stable_diffusion.shared_prefix import share_prefix

# A row's tensors: (T, D) of its text, (D, h, w) of the picture that it follows, and how strongly.
PROMPT, CONDITIONING, CONDITIONING_SCALE = "prompt", "conditioning", "conditioning_scale"


class StableDiffusionDenoiser:
    """Predicts the noise of B rows at once: the `Denoiser` of Stable Diffusion.

    Rows without "conditioning" go through the UNet alone; zeros of "conditioning_scale" give the
    same bits.

    Args:
        unet, controlnet: frozen; the ControlNet takes embedded conditionings. None: no row has one.
        compile_calls: through torch.compile; where that fails, with one warning, as they are.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        controlnet: ControlNetModel | None,
        *,
        compile_calls: bool = False,
    ) -> None:
        # By whether the second half of the rows repeats the first.
        self._unets = {same: share_prefix(unet, halves_are_equal=same) for same in (False, True)}
        self._controlnets = {
            same: controlnet and share_prefix(controlnet, halves_are_equal=same)
            for same in (False, True)
        }
        self._plain = (unet, controlnet)
        self._dtype = unet.dtype
        self._compile = compile_calls
        self._calls: dict[tuple[bool, bool, bool, bool], Callable[..., Tensor]] = {}

    @torch.inference_mode()
    def __call__(
        self,
        latents: Tensor,
        timesteps: Tensor,
        condition: Condition,
        *,
        shared: frozenset[str] | None = None,
    ) -> Tensor:
        """See `Denoiser.__call__`; the output is epsilon or v, as the schedule says.

        The names of `condition` are "prompt" (B, T, D) and, where the ControlNet is used,
        "conditioning" (B, D, h, w) and "conditioning_scale" (B,), the factor on its residuals.
        """
        # A lone pair is called as the stock pipeline calls it, and so gives the same bits.
        has_halves = len(latents) % 2 == 0 and len(latents) > 2
        is_controlled = CONDITIONING in condition
        is_paired = has_halves and shared is not None
        same = is_paired and is_controlled and CONDITIONING in (shared or ())
        kind = (has_halves, is_paired, same, is_controlled)
        if kind not in self._calls:
            call = partial(_denoise, *self._networks(*kind))
            self._calls[kind] = compiled(call, cuda_graphs=True) if self._compile else call
        return self._calls[kind](*self._arguments(latents, timesteps, condition))

    @torch.inference_mode()
    def observed(self, latents: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """See `Denoiser.observed`."""
        unet, controlnet = self._plain
        used = controlnet if CONDITIONING in condition else None
        return _denoise(unet, used, *self._arguments(latents, timesteps, condition))

    def _arguments(
        self, latents: Tensor, timesteps: Tensor, condition: Condition
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        conditioning = condition.get(CONDITIONING)
        scale = None
        if conditioning is not None:
            scale = condition[CONDITIONING_SCALE].to(self._dtype)[:, None, None, None]
        return latents.to(self._dtype), timesteps, condition[PROMPT], conditioning, scale

    def _networks(
        self, has_halves: bool, is_paired: bool, same_conditioning: bool, is_controlled: bool
    ) -> tuple[torch.nn.Module, torch.nn.Module | None]:
        unet, controlnet = self._plain
        if has_halves:
            unet, controlnet = self._unets[is_paired], self._controlnets[same_conditioning]
        return unet, controlnet if is_controlled else None


def _denoise(
    unet: torch.nn.Module,
    controlnet: torch.nn.Module | None,
    latents: Tensor,
    timesteps: Tensor,
    prompts: Tensor,
    conditionings: Tensor | None,
    conditioning_scale: Tensor | None,
) -> Tensor:
    down = mid = None
    if controlnet is not None:
        # What it adds to the UNet's skip connections and to its middle.
        down, mid = controlnet(
            latents,
            timesteps,
            encoder_hidden_states=prompts,
            controlnet_cond=conditionings,
            conditioning_scale=conditioning_scale,
            return_dict=False,
        )
    output: Tensor = unet(
        latents,
        timesteps,
        encoder_hidden_states=prompts,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
        return_dict=False,
    )[0]
    return output.float()
