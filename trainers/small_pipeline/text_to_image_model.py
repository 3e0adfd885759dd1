"""An untrained text-to-image pipeline, small enough for a laptop."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from scribblegen.families.stable_diffusion.networks import vae_scale
from scribblegen.families.stable_diffusion.scheduler import stable_diffusion_scheduler
from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig


def scheduler_config(prediction_type: str) -> dict[str, Any]:
    """Stable Diffusion's noise levels. v-prediction reaches pure noise, and sampling starts there
    (arXiv 2305.08891): light and colour are then the prompt's to choose."""
    return stable_diffusion_scheduler(
        prediction_type, timestep_spacing="trailing", zero_snr=prediction_type == "v_prediction"
    )


class TextToImage(nn.Module):
    """An untrained UNet and text encoder, the same for the same seed.

    Args:
        vae: its latents.
        num_tokens: how many tokens the tokenizer knows.
        config: sizes and seed.
    """

    def __init__(self, vae: AutoencoderKL, num_tokens: int, config: TextToImageConfig) -> None:
        super().__init__()
        blind = config.first_attending_level
        attending = len(config.block_out_channels) - blind
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.unet = UNet2DConditionModel(
                sample_size=config.resolution // vae_scale(vae),
                in_channels=vae.config.latent_channels,
                out_channels=vae.config.latent_channels,
                block_out_channels=tuple(config.block_out_channels),
                down_block_types=(
                    *("DownBlock2D",) * blind,
                    *("CrossAttnDownBlock2D",) * attending,
                ),
                up_block_types=(
                    *("CrossAttnUpBlock2D",) * attending,
                    *("UpBlock2D",) * blind,
                ),
                only_cross_attention=tuple(
                    level < config.first_self_attending_level
                    for level in range(len(config.block_out_channels))
                ),
                layers_per_block=config.layers_per_block,
                norm_num_groups=config.norm_num_groups,
                attention_head_dim=config.attention_heads,
                cross_attention_dim=config.text_width,
            )
            self.text_encoder = CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=num_tokens,
                    hidden_size=config.text_width,
                    intermediate_size=4 * config.text_width,
                    num_hidden_layers=config.text_layers,
                    num_attention_heads=config.attention_heads,
                    max_position_embeddings=config.text_length,
                    bos_token_id=0,
                    eos_token_id=1,
                    pad_token_id=1,
                )
            )

    def forward(self, latents: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """(B, C, h, w) noisy, (B,), (B, T) int64 -> the prediction (B, C, h, w)."""
        prompts = self.text_encoder(tokens)[0]
        predicted: Tensor = self.unet(
            latents, timesteps, encoder_hidden_states=prompts, return_dict=False
        )[0]
        return predicted

    def begin_from(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        """Takes over the weights of others. Attention that their UNet lacks adds nothing at first.

        Raises:
            ValueError: a part has another shape.
        """
        given, own = unet.state_dict(), self.unet.state_dict()
        new = {name for name in own if name not in given}
        _refuse_others("UNet", given, own, [name for name in new if ".attentions." not in name])
        self.unet.load_state_dict(given, strict=False)
        for path, module in self.unet.named_modules():
            if f"{path}.proj_out.weight" in new:
                nn.init.zeros_(module.proj_out.weight)
                nn.init.zeros_(module.proj_out.bias)
        given, own = text_encoder.state_dict(), self.text_encoder.state_dict()
        _refuse_others("text encoder", given, own, [name for name in own if name not in given])
        self.text_encoder.load_state_dict(given)


def _refuse_others(
    part: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor], lacking: Sequence[str]
) -> None:
    """Refuses weights that are not those of the network that the options describe."""
    unlike = [n for n, v in given.items() if n not in own or own[n].shape != v.shape]
    if unlike or lacking:
        raise ValueError(
            f"`pretrained_model_name_or_path` must have a {part} of the sizes that the options "
            f"give. Got one that differs in {', '.join([*unlike, *lacking][:3])}."
        )
