"""The ControlNet being trained, and the loss of one batch over a frozen base."""

import logging
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import Tensor, nn

from scribblegen.classes import Classes
from scribblegen.families.stable_diffusion.conditioning import (
    conditioning_image,
    num_conditioning_channels,
)
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord
from scribblegen.families.stable_diffusion.denoiser import PROMPT
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.stable_diffusion.geometry import network_size
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.controlnet.config import ControlNetConfig
from scribblegen.trainers.controlnet.examples import Example
from scribblegen.trainers.noise import draw_noise, noised_latents

logger = logging.getLogger(__name__)

_EMBEDDING_CHANNELS = (16, 32, 96, 256)  # the ControlNet's own, for a VAE of factor 8


class TrainableControlNet(nn.Module):
    """A ControlNet and the conditioning that stands for no scribble.

    Args:
        controlnet: trained.
        learned_null: whether the null conditioning is trained too, from zeros.
    """

    def __init__(self, controlnet: ControlNetModel, *, learned_null: bool) -> None:
        super().__init__()
        self.controlnet = controlnet
        zeros = torch.zeros(controlnet.config.conditioning_channels)
        self.null_conditioning = nn.Parameter(zeros, requires_grad=learned_null)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: Tensor,
        conditionings: Tensor,
        drop_conditioning: Tensor,
    ) -> Any:
        """Residuals for the UNet.

        Args:
            latents: (B, C, h, w), noisy.
            timesteps: (B,).
            prompts: (B, T, D).
            conditionings: (B, K, H, W) in [0, 1].
            drop_conditioning: (B,) bool.
        """
        null = self.null_conditioning[None, :, None, None].to(conditionings.dtype)
        seen = torch.where(drop_conditioning[:, None, None, None], null, conditionings)
        return self.controlnet(
            latents,
            timesteps,
            encoder_hidden_states=prompts,
            controlnet_cond=seen,
            return_dict=False,
        )


class FrozenBase:
    """The family that is not trained, and what it makes of a batch.

    Args:
        parts: from `load_base`; without a ControlNet.
        device, dtype: of the frozen parts.

    Raises:
        ValueError, OSError: the parts do not fit each other.
    """

    def __init__(self, parts: dict[str, Any], device: torch.device, dtype: torch.dtype) -> None:
        self.family = StableDiffusion(**parts, device=device, dtype=dtype)
        self._prompts: dict[str, Tensor] = {}
        self._has_told = False

    def resolution(self, asked: int | None) -> int:
        """Side of the training square in pixels: as asked, or the UNet's own.

        Raises:
            ValueError: it does not fit the networks.
        """
        side = asked or self.family.default_resolution
        multiple = self.family.size_multiple
        return network_size(1, 1, resolution=side, geometry="square", multiple=multiple)[0]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (2, B, C, h, w) float32: mean and std, one image at a time.

        One at a time, so that a sample's latents are the same in any batch.
        """
        posteriors = [self.family.encode(image[None]) for image in images]
        return torch.stack([torch.cat([mean, std]) for mean, std in posteriors], dim=1)

    def embed(self, prompt: str) -> Tensor:
        """(T, D), kept for the next time. Too long a prompt is cut; the first is told."""
        if prompt not in self._prompts:
            self._prompts[prompt] = self.family.prompt(prompt)[PROMPT]
            if not self._has_told and self.family.is_cut(prompt):
                self._has_told = True
                logger.warning("prompts too long for the text encoder are cut, such as %r", prompt)
        return self._prompts[prompt]


def new_controlnet(base: FrozenBase, classes: Classes, config: ControlNetConfig) -> ControlNetModel:
    """A copy of the UNet's encoder, which adds nothing before it is trained."""
    halvings = len(base.family.vae.config.block_out_channels) - 1
    if halvings >= len(_EMBEDDING_CHANNELS):
        raise ValueError(
            f"the VAE must reduce by 8 at most. {2**halvings} is more than the ControlNet's "
            "conditioning embedding can follow."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ControlNetModel.from_unet(
            base.family.unet,
            conditioning_channels=num_conditioning_channels(classes, config.conditioning_encoding),
            conditioning_embedding_out_channels=_EMBEDDING_CHANNELS[: halvings + 1],
        ).float()


def batch_loss(
    trainable: nn.Module,
    base: FrozenBase,
    batch: list[tuple[Draw, Example]],
    classes: Classes,
    config: ControlNetConfig,
    latents: Tensor | None = None,
) -> Tensor:
    """Squared error of the prediction, summed over the samples of a batch.

    Args:
        trainable: a `TrainableControlNet`, wrapped or not.
        base: the frozen family.
        batch: draws and their examples.
        classes: the classes of the scribbles.
        config: dropout, conditioning encoding and seed.
        latents: (2, B, C, h, w) mean and std, where they are known already.

    Returns:
        Scalar float32.
    """
    family = base.family
    draws = [draw for draw, _ in batch]
    if latents is None:
        latents = base.encode(torch.stack([example.image for _, example in batch]))
    latents = latents.to(family.device)
    noise = draw_noise(
        draws,
        (latents.shape[2], latents.shape[3], latents.shape[4]),
        seed=config.seed,
        num_timesteps=len(family.schedule.alphas_cumprod),
        dropouts=(config.conditioning_dropout, config.text_dropout, config.both_dropout),
    )
    noised = noised_latents(
        latents,
        noise,
        family.schedule,
        scaling_factor=family.vae.config.scaling_factor,
        snr_gamma=config.snr_gamma,
    )
    noisy, timesteps = noised.noisy.to(family.dtype), noised.timesteps
    prompts = torch.stack(
        [
            base.embed("" if dropped else example.prompt)
            for (_, example), dropped in zip(batch, noise.drop_text.tolist(), strict=True)
        ]
    )
    conditionings = np.stack(
        [conditioning_image(e.scribble, classes, config.conditioning_encoding) for _, e in batch]
    )
    down, mid = trainable(
        noisy,
        timesteps,
        prompts,
        torch.from_numpy(conditionings).to(family.device, family.dtype),
        noise.drop_conditioning.to(family.device),
    )
    predicted = family.unet(
        noisy,
        timesteps,
        encoder_hidden_states=prompts,
        down_block_additional_residuals=[residual.to(family.dtype) for residual in down],
        mid_block_additional_residual=mid.to(family.dtype),
        return_dict=False,
    )[0]
    return noised.loss(predicted)


def training_record(
    trainable: TrainableControlNet, classes: Classes, config: ControlNetConfig
) -> ControlNetRecord:
    """What generation must know of this training."""
    null_conditioning = None
    if config.null_conditioning == "learned":
        null_conditioning = tuple(
            float(value) for value in trainable.null_conditioning.detach().cpu()
        )
    return ControlNetRecord(
        null_conditions=config.null_conditions,
        null_conditioning=null_conditioning,
        conditioning_encoding=config.conditioning_encoding,
        class_names=classes.names,
        prompt_mode=config.prompt_mode,
        prompt_stem=config.prompt_stem,
    )
