"""The parts of a Stable Diffusion pipeline with a ControlNet, each as one call. No loop over steps.

Stable Diffusion 1.x and 2.x, and whatever has their parts; epsilon and v-prediction.
"""

import copy
import hashlib
import logging
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    UNet2DConditionModel,
)
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from scribblegen.families.compiled import compiled
from scribblegen.families.fingerprint import add_weights
from scribblegen.families.schedule import read_prediction
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord, read_record
from scribblegen.families.stable_diffusion.denoiser import Denoiser

logger = logging.getLogger(__name__)


class Diffusion:
    """Frozen networks on one device. Every method takes and returns batches of a shape it is given.

    Args:
        vae, unet, controlnet, text_encoder, tokenizer: as in `StableDiffusionControlNetPipeline`.
        scheduler_config: the pipeline's scheduler config; its noise levels and spacing are used.
        dtype: of weights and network calls; latents stay float32 between steps.
        tiny_vae: decodes instead of `vae`: faster, less exact.
        compile_calls: networks run through torch.compile; where that fails, as they are.
    """

    def __init__(
        self,
        *,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        controlnet: ControlNetModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler_config: dict[str, Any],
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        tiny_vae: AutoencoderTiny | None = None,
        compile_calls: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.is_compiled = compile_calls
        self.tokenizer = tokenizer
        self.vae, self.unet, self.text_encoder, controlnet = (
            frozen(part, self.device, dtype) for part in (vae, unet, text_encoder, controlnet)
        )
        self.tiny_vae = None if tiny_vae is None else frozen(tiny_vae, self.device, dtype)
        self.prediction = read_prediction(scheduler_config)
        self.record: ControlNetRecord = read_record(controlnet)
        self.conditioning_channels: int = controlnet.config.conditioning_channels
        self._conditioning_is_bgr = controlnet.config.controlnet_conditioning_channel_order == "bgr"
        self._conditioning_embedding, self.controlnet = _split_conditioning_embedding(controlnet)
        self.denoiser = Denoiser(self.unet, self.controlnet, compile_calls=compile_calls)
        self._decode = compiled(self._decode_scaled) if compile_calls else self._decode_scaled
        self._check_parts()

    @property
    def vae_scale(self) -> int:
        """Pixels per latent, along each side."""
        return vae_scale(self.vae)

    @property
    def size_multiple(self) -> int:
        """Image sides must be a multiple of this many pixels."""
        return size_multiple(self.vae, self.unet)

    @property
    def default_resolution(self) -> int:
        """Side, in pixels, of the square images that the UNet was trained on."""
        return default_resolution(self.vae, self.unet)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a (height, width) image."""
        channels = int(self.unet.config.in_channels)
        return channels, height // self.vae_scale, width // self.vae_scale

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
    def embed_prompt(self, prompt: str) -> Tensor:
        """(T, D), see `embed_prompt`."""
        return embed_prompt(prompt, self.tokenizer, self.text_encoder)

    @torch.inference_mode()
    def embed_conditioning(self, conditioning: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] -> (B, D, h, w): what the ControlNet adds to its first features.

        It depends on the scribble alone, so it is computed once per source, not at every step.
        """
        if self._conditioning_is_bgr:
            conditioning = conditioning.flip(1)
        return self._conditioning_embedding(conditioning.to(self.device, self.dtype))

    def fingerprint(self) -> str:
        """Changes with any weight, the noise schedule or the dtype."""
        digest = hashlib.blake2b(repr((self.prediction.kind, self.prediction.schedule)).encode())
        digest.update(self.prediction.alphas_cumprod.numpy().tobytes())
        parts = [
            self.vae,
            self.unet,
            self.text_encoder,
            self._conditioning_embedding,
            self.controlnet,
        ]
        for part in [*parts, self.tiny_vae] if self.tiny_vae is not None else parts:
            add_weights(digest, part)
        return digest.hexdigest()[:16]

    def _check_parts(self) -> None:
        # A folder without tokenizer files loads as a tokenizer that knows no word.
        words, known = len(self.tokenizer), self.text_encoder.config.vocab_size
        if not known // 2 <= words <= known:
            raise OSError(
                f"the tokenizer has {words} tokens but the text encoder {known}: its files are "
                "missing, or of another pipeline."
            )
        cross = self.unet.config.cross_attention_dim
        if self.text_encoder.config.hidden_size != cross:
            raise ValueError(
                f"the text encoder is {self.text_encoder.config.hidden_size} wide but the UNet "
                f"attends to {cross}. Take both from the same pipeline."
            )
        if self.controlnet.config.cross_attention_dim != cross:
            raise ValueError(
                f"`controlnet` attends to {self.controlnet.config.cross_attention_dim} but the "
                f"pipeline's UNet to {cross}. Use a ControlNet trained on this pipeline."
            )


def embed_prompt(prompt: str, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> Tensor:
    """(T, D): the text encoder's last hidden states. Too long a prompt is cut, and warned of.

    Training and generation both embed here: what the ControlNet learned is what it is given.
    """
    length = tokenizer.model_max_length
    tokens = tokenizer(
        prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).to(text_encoder.device)
    if len(tokenizer(prompt).input_ids) > length:
        logger.warning("prompt is longer than %d tokens and is cut: %r", length, prompt)
    uses_mask = getattr(text_encoder.config, "use_attention_mask", False)
    mask = tokens.attention_mask if uses_mask else None
    return text_encoder(tokens.input_ids, attention_mask=mask)[0][0]


def vae_scale(vae: AutoencoderKL) -> int:
    """Pixels per latent, along each side."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def size_multiple(vae: AutoencoderKL, unet: UNet2DConditionModel) -> int:
    """Image sides must be a multiple of this many pixels."""
    return vae_scale(vae) * 2 ** (len(unet.config.block_out_channels) - 1)


def default_resolution(vae: AutoencoderKL, unet: UNet2DConditionModel) -> int:
    """Side, in pixels, of the square images that the UNet was trained on."""
    return int(unet.config.sample_size) * vae_scale(vae)


def frozen(part: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A network for inference. Cast only where needed: diffusers warns of every cast."""
    part = part.eval().requires_grad_(False).to(device)
    if device.type == "cuda" and not isinstance(part, CLIPTextModel):
        part = part.to(memory_format=torch.channels_last)  # what a GPU's convolutions work in
    return part if part.dtype == dtype else part.to(dtype)


def _split_conditioning_embedding(
    controlnet: ControlNetModel,
) -> tuple[torch.nn.Module, ControlNetModel]:
    """The conditioning embedding, and a ControlNet, sharing all weights, that takes embedded
    conditioning."""
    trunk = copy.copy(controlnet)
    trunk._modules = dict(controlnet._modules)
    embedding = controlnet.controlnet_cond_embedding
    trunk.controlnet_cond_embedding = torch.nn.Identity()
    trunk.register_to_config(controlnet_conditioning_channel_order="rgb")
    return embedding, trunk
