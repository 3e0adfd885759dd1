"""A tiny pipeline with random weights, in memory: every part real, nothing learned.

Its pictures mean nothing. It stands in where no trained pipeline is named, and in tests.
"""

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord, write_record
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.stable_diffusion.scheduler import stable_diffusion_scheduler

_TOKENS = 128  # letters, not words: a long prompt fits
_WIDTH = 16


def random_parts(
    conditioning_channels: int,
    *,
    seed: int = 0,
    null_conditions: tuple[str, ...] = ("text", "hint", "both"),
    prediction_type: str = "epsilon",
) -> dict[str, object]:
    """Keyword arguments of `StableDiffusion`, all weights random but the same for the same seed.

    64x64 images, 16x16 latents. The ControlNet's output layers, zero in a fresh ControlNet, are
    random too: its conditioning shows.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            block_out_channels=(8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
        )
        unet = UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(16, 32),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=2,
            cross_attention_dim=_WIDTH,
        )
        controlnet = ControlNetModel.from_unet(
            unet,
            conditioning_channels=conditioning_channels,
            conditioning_embedding_out_channels=(8, 16, 16),
        )
        for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.05)
        torch.nn.init.normal_(controlnet.controlnet_cond_embedding.conv_out.weight, std=0.2)
        write_record(controlnet, ControlNetRecord(null_conditions=null_conditions))
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(_vocabulary()),
                hidden_size=_WIDTH,
                intermediate_size=2 * _WIDTH,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=_TOKENS,
                bos_token_id=0,
                eos_token_id=1,
            )
        )
    return {
        "vae": vae,
        "unet": unet,
        "controlnet": controlnet,
        "text_encoder": text_encoder,
        "tokenizer": CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=_TOKENS),
        "scheduler_config": stable_diffusion_scheduler(prediction_type),
    }


def random_diffusion(
    conditioning_channels: int,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    compile_calls: bool = False,
    **choices: object,
) -> StableDiffusion:
    """`random_parts` as a `StableDiffusion`."""
    parts = random_parts(conditioning_channels, **choices)  # type: ignore[arg-type]
    return StableDiffusion(**parts, device=device, dtype=dtype, compile_calls=compile_calls)  # type: ignore[arg-type]


def _vocabulary() -> dict[str, int]:
    """Single letters, inside a word and at its end: any text has tokens."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-,."
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    return {word: index for index, word in enumerate(words)}
