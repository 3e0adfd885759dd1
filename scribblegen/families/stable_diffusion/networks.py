"""Single networks of a Stable Diffusion pipeline: frozen, measured, taken apart."""

import copy
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer


def frozen(part: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A network for inference. Cast only where needed: diffusers warns of every cast."""
    part = part.eval().requires_grad_(False).to(device)
    if device.type == "cuda" and not isinstance(part, CLIPTextModel):
        part = part.to(memory_format=torch.channels_last)  # what a GPU's convolutions work in
    return part if part.dtype == dtype else part.to(dtype)


def vae_scale(vae: AutoencoderKL) -> int:
    """Pixels per latent, along each side."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def split_conditioning_embedding(
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


def check_parts(
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    controlnet: ControlNetModel | None,
) -> None:
    """Refuses parts that are not of one pipeline.

    Raises:
        OSError: the tokenizer is not the text encoder's.
        ValueError: two networks do not fit each other.
    """
    # A folder without tokenizer files loads as a tokenizer that knows no word.
    words, known = len(tokenizer), text_encoder.config.vocab_size
    if not known // 2 <= words <= known:
        raise OSError(
            f"the tokenizer has {words} tokens but the text encoder {known}: its files are "
            "missing, or of another pipeline."
        )
    cross = unet.config.cross_attention_dim
    if text_encoder.config.hidden_size != cross:
        raise ValueError(
            f"the text encoder is {text_encoder.config.hidden_size} wide but the UNet "
            f"attends to {cross}. Take both from the same pipeline."
        )
    if controlnet is not None and controlnet.config.cross_attention_dim != cross:
        raise ValueError(
            f"`controlnet` attends to {controlnet.config.cross_attention_dim} but the "
            f"pipeline's UNet to {cross}. Use a ControlNet trained on this pipeline."
        )
