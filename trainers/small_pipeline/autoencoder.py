"""Trains a small autoencoder from nothing: the latents of a pipeline that needs no download.

The loss is the L1 error of the image, that of its horizontal and vertical differences (edges), and
the divergence of the latents from N(0, 1). No perceptual network: none may be shipped.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from scribblegen.cards.models import AUTOENCODER
from scribblegen.families.weights import restore_weights
from scribblegen.sources import Source
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.base.trainer import DiffusionTrainer
from scribblegen.trainers.small_pipeline.autoencoder_config import AutoencoderConfig
from scribblegen.trainers.small_pipeline.photographs import Photographs
from scribblegen.trainers.small_pipeline.small_model import write_figures

_MEASURED = 1024  # photographs that latent statistics and reconstruction are measured on


class AutoencoderTrainer(DiffusionTrainer):
    """One training run of an autoencoder.

    Args:
        config: what is trained.
        run_config: where to, and how often.
        source: photographs; their scribbles are not looked at.
        validation: other photographs, that the reconstruction is measured on.
    """

    project = "scribblegen-autoencoder"
    config: AutoencoderConfig

    def __init__(
        self,
        config: AutoencoderConfig,
        run_config: TrainingRunConfig,
        source: Source,
        validation: Source | None = None,
    ) -> None:
        super().__init__(config, run_config, source)
        self.validation = validation
        self.photographs = Photographs(source, config.resolution)
        self.module = Autoencoding(new_autoencoder(config), config)
        self._begin(self.module, self._load)

    def _load(self, plan: list[list[Draw]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and posterior noise of every list of draws."""
        for draws in plan:
            images = self.photographs.batch([draw.index for draw in draws])
            noise = [draw.generator(self.config.seed) for draw in draws]
            shape = self.module.latent_shape
            posterior = torch.stack([torch.randn(shape, generator=g) for g in noise])
            device = self.accelerator.device
            yield images.to(device), posterior.to(device)

    def _loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        summed: Tensor = module(*batch)
        return summed

    def _save_weights(self, folder: Path) -> None:
        self.module.vae.save_pretrained(folder)

    def _load_weights(self, folder: Path) -> None:
        restore_weights(self.module.vae, "resume_from_checkpoint", folder)

    def _save_result(self) -> None:
        vae = self.module.vae.eval()
        measured = min(_MEASURED, len(self.source))
        whiten_latents(vae, self.photographs.batch(list(range(measured))))
        vae.save_pretrained(self.output_dir)
        metrics = self.training.figures()
        if self.validation is not None:
            metrics["validation_psnr"] = round(self._psnr(self.validation), 2)
        write_figures(AUTOENCODER, self.output_dir, self.config, metrics)

    @torch.no_grad()
    def _psnr(self, source: Source) -> float:
        """Mean over photographs of the reconstruction's peak signal to noise ratio, in dB."""
        photographs = Photographs(source, self.photographs.resolution)
        ratios = []
        for index in range(min(_MEASURED, len(source))):
            image = photographs.batch([index]).to(self.accelerator.device)
            again = self.module.vae(image).sample.clamp(-1, 1)
            ratios.append(-10 * ((again - image) / 2).square().mean().log10())
        return float(torch.stack(ratios).mean())


class Autoencoding(nn.Module):
    """An autoencoder and its loss."""

    def __init__(self, vae: AutoencoderKL, config: AutoencoderConfig) -> None:
        super().__init__()
        self.vae, self.config = vae, config

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) at the training resolution."""
        side = self.config.resolution // 2 ** (len(self.config.block_out_channels) - 1)
        return self.config.latent_channels, side, side

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """The loss summed over (B, 3, H, W) images in [-1, 1]; `noise` (B, C, h, w) is N(0, 1)."""
        posterior = self.vae.encode(images).latent_dist
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        decoded = self.vae.decode(mean + torch.exp(0.5 * logvar) * noise).sample.float()
        error = (decoded - images).abs().mean(dim=(1, 2, 3))
        edges = sum(
            (one - other).abs().mean(dim=(1, 2, 3))
            for one, other in zip(_differences(decoded), _differences(images), strict=True)
        )
        divergence = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean(dim=(1, 2, 3))
        weights = self.config
        return (error + weights.gradient_weight * edges + weights.kl_weight * divergence).sum()


def _differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbouring columns, and of neighbouring rows."""
    return images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]


def new_autoencoder(config: AutoencoderConfig) -> AutoencoderKL:
    """An untrained autoencoder of the config's sizes, the same for the same seed."""
    levels = len(config.block_out_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return AutoencoderKL(
            block_out_channels=tuple(config.block_out_channels),
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=config.layers_per_block,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_num_groups,
            sample_size=config.resolution,
            mid_block_add_attention=False,
            scaling_factor=1.0,
        )


@torch.no_grad()
def whiten_latents(vae: AutoencoderKL, images: Tensor) -> None:
    """Gives every latent channel mean 0 and deviation 1 over `images`; decodes to the same images.

    A diffusion model meets all channels at the noise levels it was made for. `scaling_factor` can
    only scale all alike; the 1x1 convolutions around the latents take the rest.

    Args:
        vae: changed in place.
        images: (N, 3, H, W) in [-1, 1].
    """
    device = next(vae.parameters()).device
    means = torch.cat([vae.encode(i.to(device)).latent_dist.mean for i in images.split(32)])
    mean, std = means.mean(dim=(0, 2, 3)), means.std(dim=(0, 2, 3))
    channels = len(mean)
    into, out = vae.quant_conv, vae.post_quant_conv
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= std[None, :, None, None]
    # quant_conv gives the mean's channels, then those of the logarithm of the variance.
    into.bias[:channels] = (into.bias[:channels] - mean) / std
    into.weight[:channels] /= std[:, None, None, None]
    into.bias[channels:] -= 2 * std.log()
