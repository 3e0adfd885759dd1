"""Pipelines with random weights in the sizes that the engine is measured at."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    StableDiffusionControlNetImg2ImgPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel

from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord, write_record
from scribblegen.tiny.random_weights import random_parts
from tests.pool_jobs import CHANNELS, stock


@dataclass(frozen=True)
class Size:
    """Widths of a pipeline.

    Args:
        widths: the widths of the UNet's levels.
        vae_widths: the widths of the VAE's levels.
        layers: how many layers a level has.
        heads: `attention_head_dim` of the UNet.
        text_width: the width of the prompt's embedding.
        side: the side of the pictures, in pixels.
    """

    widths: tuple[int, ...]
    vae_widths: tuple[int, ...]
    layers: int
    heads: int
    text_width: int
    side: int


SIZES = {
    # Bound by what a call costs besides arithmetic, as a GPU is with one sample at a time.
    "tiny": Size((32, 64), (8, 16, 16), 1, 4, 32, 64),
    # Bound by arithmetic.
    "small": Size((64, 128, 256), (16, 32, 32), 1, 8, 64, 128),
    # Stable Diffusion 1.5's own shapes.
    "sd15": Size((320, 640, 1280, 1280), (128, 256, 512, 512), 2, 8, 768, 512),
}


def parts_of(
    name: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Keyword arguments of `StableDiffusion`, of one of `SIZES`."""
    size = SIZES[name]
    levels = len(size.widths)
    groups = 32 if name == "sd15" else 8
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=size.side // 2 ** (len(size.vae_widths) - 1),
            block_out_channels=size.widths,
            down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
            layers_per_block=size.layers,
            norm_num_groups=groups,
            attention_head_dim=size.heads,
            cross_attention_dim=size.text_width,
        )
        vae = AutoencoderKL(
            block_out_channels=size.vae_widths,
            down_block_types=("DownEncoderBlock2D",) * len(size.vae_widths),
            up_block_types=("UpDecoderBlock2D",) * len(size.vae_widths),
            layers_per_block=size.layers,
            norm_num_groups=groups if name == "sd15" else 4,
            sample_size=size.side,
        )
        embedding = (16, 32, 96, 256) if name == "sd15" else (8, 16, 16)
        controlnet = ControlNetModel.from_unet(
            unet, conditioning_channels=CHANNELS, conditioning_embedding_out_channels=embedding
        )
    for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.02)
    write_record(controlnet, ControlNetRecord(null_conditions=("text",)))
    base = random_parts(CHANNELS)
    vocabulary = len(base["tokenizer"])  # type: ignore[arg-type]
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=size.text_width,
            intermediate_size=4 * size.text_width,
            num_hidden_layers=12 if name == "sd15" else 1,
            num_attention_heads=12 if name == "sd15" else 2,
            max_position_embeddings=128,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    networks = {"unet": unet, "vae": vae, "controlnet": controlnet, "text_encoder": text_encoder}
    return {
        **{k: part.to(device, dtype).eval() for k, part in networks.items()},
        "tokenizer": base["tokenizer"],
        "scheduler_config": base["scheduler_config"],
    }


def compiled_pipeline(parts: dict[str, Any]) -> StableDiffusionControlNetImg2ImgPipeline:
    """The stock pipeline as its documentation makes it fast: compiled, channels last."""
    pipeline = stock(parts)
    for name in ("unet", "controlnet", "vae"):
        setattr(pipeline, name, getattr(pipeline, name).to(memory_format=torch.channels_last))
    pipeline.unet = torch.compile(pipeline.unet, mode="reduce-overhead")
    pipeline.controlnet = torch.compile(pipeline.controlnet, mode="reduce-overhead")
    pipeline.vae.decode = torch.compile(pipeline.vae.decode)
    return pipeline
