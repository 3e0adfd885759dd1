"""ControlNet and UNet as one call, in the few forms that the denoiser pool needs."""

from collections.abc import Callable
from functools import cached_property, partial

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor

from scribblegen.families.compiled import compiled
from scribblegen.families.stable_diffusion.deep_cache import DeepCache
from scribblegen.families.stable_diffusion.shared_prefix import share_prefix


class Denoiser:
    """Predicts the noise of B rows at once.

    Args:
        unet, controlnet: frozen; the ControlNet takes embedded conditionings.
        compile_calls: through torch.compile; where that fails, with one warning, as they are.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        controlnet: ControlNetModel,
        *,
        compile_calls: bool = False,
    ) -> None:
        # By whether the second half of the rows repeats the first.
        self._unets = {same: share_prefix(unet, halves_are_equal=same) for same in (False, True)}
        self._controlnets = {
            same: share_prefix(controlnet, halves_are_equal=same) for same in (False, True)
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
        prompts: Tensor,
        conditionings: Tensor,
        conditioning_scale: float | Tensor = 1.0,
        *,
        paired: bool = False,
        same_conditioning: bool = False,
        controlled: bool = True,
    ) -> Tensor:
        """One call; every row has its own everything.

        Args:
            latents: (B, C, h, w), noisy.
            timesteps: (B,) int64.
            prompts: (B, T, D) from `Diffusion.embed_prompt`.
            conditionings: (B, D, h, w) from `Diffusion.embed_conditioning`.
            conditioning_scale: factor on the ControlNet's residuals.
            paired: the second half of `latents` and `timesteps` repeats the first.
            same_conditioning: of paired rows, `conditionings` too.
            controlled: with the ControlNet; without, `conditionings` are not looked at.

        Returns:
            (B, C, h, w) float32: epsilon or v, as `Diffusion.prediction.kind` says.
        """
        latents = latents.to(self._dtype)
        # A lone pair is called as the stock pipeline calls it, and so gives the same bits.
        has_halves = len(latents) % 2 == 0 and len(latents) > 2
        paired &= has_halves
        kind = (has_halves, paired, paired and same_conditioning and controlled, controlled)
        if kind not in self._calls:
            call = partial(_denoise, *self._networks(*kind))
            self._calls[kind] = compiled(call, cuda_graphs=True) if self._compile else call
        return self._calls[kind](latents, timesteps, prompts, conditionings, conditioning_scale)

    @torch.inference_mode()
    def keeping(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: Tensor,
        conditionings: Tensor,
        conditioning_scale: float | Tensor = 1.0,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A call that also gives the features that `shallow` goes on from, (B, ...) each."""
        latents = latents.to(self._dtype)
        controlnet, cache = self._plain[1], self._deep_cache
        down, mid = _residuals(
            controlnet, latents, timesteps, prompts, conditionings, conditioning_scale
        )
        output = _predicted(cache.keeping, latents, timesteps, prompts, down, mid)
        return output, (cache.take_features(), *down[: cache.num_residuals])

    @torch.inference_mode()
    def shallow(
        self, latents: Tensor, timesteps: Tensor, prompts: Tensor, features: tuple[Tensor, ...]
    ) -> Tensor:
        """A call of the outermost layers alone, over what a `keeping` call kept."""
        latents = latents.to(self._dtype)
        return self._deep_cache.shallow(latents, timesteps, prompts, features).float()

    @cached_property
    def _deep_cache(self) -> DeepCache:
        return DeepCache(self._plain[0])

    def _networks(
        self, has_halves: bool, paired: bool, same_conditioning: bool, controlled: bool
    ) -> tuple[torch.nn.Module, torch.nn.Module | None]:
        if not has_halves:
            unet, controlnet = self._plain
        else:
            unet = self._unets[paired]
            controlnet = self._controlnets[same_conditioning]
        return unet, controlnet if controlled else None


def _denoise(
    unet: torch.nn.Module,
    controlnet: torch.nn.Module | None,
    latents: Tensor,
    timesteps: Tensor,
    prompts: Tensor,
    conditionings: Tensor,
    conditioning_scale: float | Tensor,
) -> Tensor:
    down = mid = None
    if controlnet is not None:
        down, mid = _residuals(
            controlnet, latents, timesteps, prompts, conditionings, conditioning_scale
        )
    return _predicted(unet, latents, timesteps, prompts, down, mid)


def _predicted(
    unet: torch.nn.Module,
    latents: Tensor,
    timesteps: Tensor,
    prompts: Tensor,
    down: list[Tensor] | None,
    mid: Tensor | None,
) -> Tensor:
    """The UNet's output, with a ControlNet's residuals where there are any."""
    output: Tensor = unet(
        latents,
        timesteps,
        encoder_hidden_states=prompts,
        down_block_additional_residuals=down,
        mid_block_additional_residual=mid,
        return_dict=False,
    )[0]
    return output.float()


def _residuals(
    controlnet: torch.nn.Module,
    latents: Tensor,
    timesteps: Tensor,
    prompts: Tensor,
    conditionings: Tensor,
    conditioning_scale: float | Tensor,
) -> tuple[list[Tensor], Tensor]:
    """What the ControlNet adds to the UNet's skip connections and to its middle."""
    down, mid = controlnet(
        latents,
        timesteps,
        encoder_hidden_states=prompts,
        controlnet_cond=conditionings,
        conditioning_scale=conditioning_scale,
        return_dict=False,
    )
    return down, mid
