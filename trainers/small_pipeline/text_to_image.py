"""Trains a small text-to-image pipeline over a trained autoencoder: the base of a ControlNet.

UNet and text encoder are trained together, from nothing or from those of another, on a source's
photographs and captions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
)
from torch import Tensor, nn

from scribblegen.cards.models import TEXT_TO_IMAGE
from scribblegen.families.open import load_base
from scribblegen.families.schedule import read_schedule
from scribblegen.families.stable_diffusion.networks import frozen
from scribblegen.families.weights import load_weights, restore_weights
from scribblegen.seeds import numpy_generator
from scribblegen.segmenting.attention import WORDS, AttentionProbe
from scribblegen.sources import Source
from scribblegen.trainers.base.attention import use_fast_attention
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.base.trainer import DiffusionTrainer
from scribblegen.trainers.noise import Noise, draw_noise, noised_latents
from scribblegen.trainers.small_pipeline.grounding import grounding_loss
from scribblegen.trainers.small_pipeline.latent_cache import LatentCache
from scribblegen.trainers.small_pipeline.small_model import write_figures
from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig
from scribblegen.trainers.small_pipeline.text_to_image_model import TextToImage, scheduler_config


@dataclass(frozen=True, eq=False)
class CaptionedLatents:
    """A batch.

    Args:
        latents: (2, B, C, h, w): mean and std, unscaled.
        tokens: (B, T) int64; those of no text where it is dropped.
        noise: what is random about the draws.
        words: (B, W, T): how much each token counts for each class; zeros where text is dropped.
        labels: (B, h, w) uint8: the class of each cell. Both None where words are not grounded.
    """

    latents: Tensor
    tokens: Tensor
    noise: Noise
    words: Tensor | None = None
    labels: Tensor | None = None


class TextToImageTrainer(DiffusionTrainer):
    """One training run of a text-to-image pipeline, which it leaves in diffusers' layout.

    Args:
        config: what is trained.
        run_config: where to, and how often.
        source: photographs with captions; their scribbles are not looked at.

    Raises:
        ValueError, OSError: the autoencoder or the pipeline is missing or does not fit, or a
            photograph has no caption.
    """

    project = "scribblegen-text-to-image"
    config: TextToImageConfig

    def __init__(
        self, config: TextToImageConfig, run_config: TrainingRunConfig, source: Source
    ) -> None:
        name, pretrained = config.vae_model_name_or_path, config.pretrained_model_name_or_path
        if name is None and pretrained is None:
            raise ValueError(
                "`vae_model_name_or_path` must be given, the autoencoder; or "
                "`pretrained_model_name_or_path`, a pipeline to go on from."
            )
        parts: dict[str, Any] = {}
        if pretrained is not None:
            parts = load_base(pretrained, option="pretrained_model_name_or_path")
            _check_prediction(parts["scheduler_config"], config.prediction_type)
        super().__init__(config, run_config, source)
        vae = parts.get("vae")
        if name is not None:
            vae = load_weights(AutoencoderKL, "vae_model_name_or_path", name)
        self.vae = frozen(vae, self.accelerator.device, torch.float32)
        self.cache = LatentCache(
            source,
            self._encode,
            config,
            tokenizer=parts.get("tokenizer"),
            show=self.accelerator.is_main_process,
        )
        self.module = TextToImage(self.vae, len(self.cache.tokenizer), config)
        if parts:
            self.module.begin_from(parts["unet"], parts["text_encoder"])
        if config.mixed_precision == "bf16":
            use_fast_attention(self.module.unet, self.accelerator.device)
        self.schedule = read_schedule(scheduler_config(config.prediction_type))
        self._begin(self.module, self._load)

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Tensor:
        with self.accelerator.autocast():
            posterior = self.vae.encode(images.to(self.accelerator.device)).latent_dist
        return torch.stack([posterior.mean, posterior.std], dim=1)

    def _load(self, plan: list[list[Draw]]) -> Iterator[CaptionedLatents]:
        device = self.accelerator.device
        for draws in plan:
            indices = [draw.index for draw in draws]
            # Every photograph is seen both ways in turn, half of them mirrored in an epoch.
            flips = [self.config.random_flip and (d.epoch + d.index) % 2 == 1 for d in draws]
            latents = self.cache.latents(indices, flips)
            noise = draw_noise(
                draws,
                (latents.shape[2], latents.shape[3], latents.shape[4]),
                seed=self.config.seed,
                num_timesteps=len(self.schedule.alphas_cumprod),
                dropouts=(0.0, self.config.text_dropout, 0.0),
            )
            by_classes = [self._is_class_prompt(d) for d in draws]
            tokens = self.cache.tokens(indices, by_classes)
            tokens = torch.where(noise.drop_text[:, None], self.cache.no_text, tokens)
            batch = CaptionedLatents(latents.to(device), tokens.to(device), noise)
            if self.config.grounding_weight:
                words = self.cache.words(indices, by_classes) * ~noise.drop_text[:, None, None]
                labels = self.cache.labels(indices, flips)
                batch = replace(batch, words=words.to(device), labels=labels.to(device))
            yield batch

    def _is_class_prompt(self, draw: Draw) -> bool:
        generator = numpy_generator(self.config.seed, "prompt", draw.epoch, draw.position)
        return bool(generator.random() < self.config.class_prompts)

    def _loss(self, module: nn.Module, batch: CaptionedLatents) -> Tensor:
        noised = noised_latents(
            batch.latents,
            batch.noise,
            self.schedule,
            scaling_factor=self.vae.config.scaling_factor,
            snr_gamma=self.config.snr_gamma,
        )
        if batch.words is None or batch.labels is None:
            return noised.loss(module(noised.noisy, noised.timesteps, batch.tokens))
        finest = self.config.first_attending_level
        probe = AttentionProbe(factors=(2**finest, 2 ** (finest + 1)))
        with probe.attach({"unet": self.module.unet}, {WORDS: batch.words}):
            loss = noised.loss(module(noised.noisy, noised.timesteps, batch.tokens))
        grounding = grounding_loss(probe.collect(), batch.labels)
        return loss + self.config.grounding_weight * grounding

    def _save_weights(self, folder: Path) -> None:
        self.module.unet.save_pretrained(folder / "unet")
        self.module.text_encoder.save_pretrained(folder / "text_encoder")

    def _load_weights(self, folder: Path) -> None:
        for name in ("unet", "text_encoder"):
            restore_weights(getattr(self.module, name), "resume_from_checkpoint", folder / name)

    def _save_result(self) -> None:
        pipeline = StableDiffusionPipeline(
            vae=self.vae,
            unet=self.module.unet,
            text_encoder=self.module.text_encoder,
            tokenizer=self.cache.tokenizer,
            scheduler=DDIMScheduler.from_config(scheduler_config(self.config.prediction_type)),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(self.output_dir)
        write_figures(TEXT_TO_IMAGE, self.output_dir, self.config, self.training.figures())


def _check_prediction(scheduler: dict[str, Any], wanted: str) -> None:
    found = scheduler.get("prediction_type", "epsilon")
    if found != wanted:
        raise ValueError(
            f"`prediction_type` must be that of `pretrained_model_name_or_path`, {found}. "
            f"Got {wanted}."
        )
