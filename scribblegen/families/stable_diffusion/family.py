"""Stable Diffusion 1.x and 2.x, and whatever has their parts: the family, with its ControlNet.

Each part is one call; there is no loop over steps here.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from scribblegen.families.base import Condition
from scribblegen.families.compiled import compiled
from scribblegen.families.fingerprint import add_weights
from scribblegen.families.schedule import read_schedule
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord, read_record
from scribblegen.families.stable_diffusion.denoiser import (
    CONDITIONING,
    CONDITIONING_SCALE,
    PROMPT,
    StableDiffusionDenoiser,
)
from scribblegen.families.stable_diffusion.networks import (
    check_parts,
    frozen,
    split_conditioning_embedding,
    vae_scale,
)


class StableDiffusion:
    """Frozen networks on one device. Every method takes and returns batches of a shape it is given.

    Args:
        vae, unet, text_encoder, tokenizer: as in `StableDiffusionPipeline`.
        controlnet: as in `StableDiffusionControlNetPipeline`; None where no row follows a picture.
        scheduler_config: the pipeline's scheduler config; its noise levels and spacing are used.
        dtype: of weights and network calls; latents stay float32 between steps.
        tiny_vae: decodes instead of `vae`: faster, less exact.
        compile_calls: networks run through torch.compile; where that fails, as they are.

    Raises:
        ValueError, OSError: the parts do not fit each other.
    """

    guidance: Literal["classifier_free", "embedded"] = "classifier_free"

    def __init__(
        self,
        *,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler_config: dict[str, Any],
        controlnet: ControlNetModel | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        tiny_vae: AutoencoderTiny | None = None,
        compile_calls: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.is_compiled = compile_calls
        self.tokenizer = tokenizer
        self.vae, self.unet, self.text_encoder = (
            frozen(part, self.device, dtype) for part in (vae, unet, text_encoder)
        )
        self.tiny_vae = None if tiny_vae is None else frozen(tiny_vae, self.device, dtype)
        self.schedule = read_schedule(scheduler_config)
        self.record = ControlNetRecord()
        self.conditioning_channels = 0
        self.controlnet: ControlNetModel | None = None
        self._conditioning_embedding: nn.Module | None = None
        if controlnet is not None:
            self._take(frozen(controlnet, self.device, dtype))
        self.denoiser = StableDiffusionDenoiser(
            self.unet, self.controlnet, compile_calls=compile_calls
        )
        self._decode = compiled(self._decode_scaled) if compile_calls else self._decode_scaled
        check_parts(self.tokenizer, self.text_encoder, self.unet, self.controlnet)

    def _take(self, controlnet: ControlNetModel) -> None:
        self.record = read_record(controlnet)
        self.conditioning_channels = int(controlnet.config.conditioning_channels)
        self._conditioning_is_bgr = controlnet.config.controlnet_conditioning_channel_order == "bgr"
        self._conditioning_embedding, self.controlnet = split_conditioning_embedding(controlnet)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The UNet, and the ControlNet if there is one: what takes part in every step."""
        both = {"unet": self.unet, "controlnet": self.controlnet}
        return {name: network for name, network in both.items() if network is not None}

    @property
    def size_multiple(self) -> int:
        """Image sides must be a multiple of this many pixels."""
        return vae_scale(self.vae) * 2 ** (len(self.unet.config.block_out_channels) - 1)

    @property
    def default_resolution(self) -> int:
        """Side, in pixels, of the square images that the UNet was trained on."""
        return int(self.unet.config.sample_size) * vae_scale(self.vae)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a (height, width) image."""
        scale = vae_scale(self.vae)
        return int(self.unet.config.in_channels), height // scale, width // scale

    @torch.inference_mode()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [-1, 1] -> mean and std of the unscaled latents, (B, C, h, w) float32."""
        posterior = self.vae.encode(images.to(self.device, self.dtype)).latent_dist
        return posterior.mean.float(), posterior.std.float()

    def sample_latents(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        """Scaled latents from the posterior: `mean` and `std` of `encode`, `noise` from N(0, 1)."""
        return self.vae.config.scaling_factor * (mean + std * noise)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) float32 -> images (B, 3, H, W) float32, nominally in [-1, 1]."""
        return self._decode(latents)

    def _decode_scaled(self, latents: Tensor) -> Tensor:
        decoder = self.tiny_vae or self.vae
        scaled = (latents / decoder.config.scaling_factor).to(self.dtype)
        image: Tensor = decoder.decode(scaled, return_dict=False)[0]
        return image.float()

    @torch.inference_mode()
    def prompt(self, text: str) -> Condition:
        """The text encoder's last hidden states, (T, D). Too long a text is cut: see `is_cut`.

        Training and generation both embed here: what a ControlNet learned is what it is given.
        """
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(
            text, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).to(self.text_encoder.device)
        uses_mask = getattr(self.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if uses_mask else None
        return {PROMPT: self.text_encoder(tokens.input_ids, attention_mask=mask)[0][0]}

    def is_cut(self, text: str) -> bool:
        """Whether a text is longer than the text encoder reads."""
        return len(self.tokenizer(text).input_ids) > self.tokenizer.model_max_length

    def conditioning(self, image: Tensor, *, scale: float = 1.0) -> Condition:
        """See `Family.conditioning`; `scale` is the factor on the ControlNet's residuals.

        It depends on the picture alone, so it is computed once per source, not at every step.
        """
        return {
            CONDITIONING: self.embed_conditioning(image[None])[0],
            CONDITIONING_SCALE: torch.tensor(scale, device=self.device),
        }

    @torch.inference_mode()
    def embed_conditioning(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] -> (B, D, h, w): what the ControlNet adds to its first features.

        Raises:
            ValueError: there is no ControlNet.
        """
        if self._conditioning_embedding is None:
            raise ValueError("`controlnet` must be given for rows to follow a picture. Got None.")
        if self._conditioning_is_bgr:
            images = images.flip(1)
        embedded: Tensor = self._conditioning_embedding(images.to(self.device, self.dtype))
        return embedded

    def empty_condition(self, height: int, width: int) -> Condition:
        """No words and, if there is a ControlNet, an empty picture: what calls are timed with."""
        if self.controlnet is None:
            return self.prompt("")
        empty = torch.zeros(self.conditioning_channels, height, width)
        return {**self.prompt(""), **self.conditioning(empty)}

    def fingerprint(self) -> str:
        """Changes with any weight, the noise schedule or the dtype."""
        schedule = self.schedule
        digest = hashlib.blake2b(repr((schedule.prediction_type, schedule.spacing)).encode())
        digest.update(schedule.alphas_cumprod.numpy().tobytes())
        for part in (
            self.vae,
            self.unet,
            self.text_encoder,
            self._conditioning_embedding,
            self.controlnet,
            self.tiny_vae,
        ):
            if part is not None:
                add_weights(digest, part)
        return digest.hexdigest()[:16]
