"""The diffusion objective: what is random about a draw, and the loss of a prediction."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.families.schedule import DiffusionSchedule, add_noise
from scribblegen.trainers.base.plan import Draw


@dataclass(frozen=True, eq=False)
class Noise:
    """What is random about a batch of draws.

    Args:
        posterior, noise: (B, C, h, w) float32 from N(0, 1).
        timesteps: (B,) int64.
        drop_conditioning, drop_text: (B,) bool.
    """

    posterior: Tensor
    noise: Tensor
    timesteps: Tensor
    drop_conditioning: Tensor
    drop_text: Tensor


def draw_noise(
    draws: list[Draw],
    shape: tuple[int, int, int],
    *,
    seed: int,
    num_timesteps: int,
    dropouts: tuple[float, float, float],
) -> Noise:
    """The randomness of `draws`; `dropouts` are those of conditioning, of text and of both."""
    parts: dict[str, list[Tensor]] = {"posterior": [], "noise": [], "timesteps": [], "uniform": []}
    for draw in draws:
        generator = draw.generator(seed)
        parts["posterior"].append(torch.randn(shape, generator=generator))
        parts["noise"].append(torch.randn(shape, generator=generator))
        parts["timesteps"].append(torch.randint(num_timesteps, (), generator=generator))
        parts["uniform"].append(torch.rand((), generator=generator))
    stacked = {name: torch.stack(values) for name, values in parts.items()}
    conditioning, text, both = dropouts
    uniform = stacked.pop("uniform")
    drops_both = uniform < both
    drops_conditioning_alone = (uniform >= both) & (uniform < both + conditioning)
    drops_text_alone = (uniform >= both + conditioning) & (uniform < both + conditioning + text)
    return Noise(
        **stacked,
        drop_conditioning=drops_both | drops_conditioning_alone,
        drop_text=drops_both | drops_text_alone,
    )


@dataclass(frozen=True, eq=False)
class NoisyLatents:
    """Latents at their timesteps, and what the network should say of them.

    Args:
        noisy, target: (B, C, h, w) float32.
        timesteps: (B,) int64.
        weights: (B,) float32, of each sample's squared error.
    """

    noisy: Tensor
    target: Tensor
    timesteps: Tensor
    weights: Tensor

    def loss(self, predicted: Tensor) -> Tensor:
        """Weighted mean squared error of each sample, summed over the batch: a scalar."""
        errors = F.mse_loss(predicted.float(), self.target, reduction="none").mean(dim=(1, 2, 3))
        return (self.weights * errors).sum()


def noised_latents(
    latents: Tensor,
    noise: Noise,
    schedule: DiffusionSchedule,
    *,
    scaling_factor: float,
    snr_gamma: float | None = None,
) -> NoisyLatents:
    """Latents of a batch, sampled from their posterior and noised.

    Args:
        latents: (2, B, C, h, w): mean and std, unscaled.
        noise: the noise of the batch.
        schedule: the schedule of the network that is trained.
        scaling_factor: the scaling factor of the VAE.
        snr_gamma: clamp of Min-SNR weighting (arXiv 2303.09556); None weighs all steps alike. The
            loss of v weighs the clean latents' error by SNR + 1, so that is what is clamped: the
            paper's own min(SNR, gamma) / (SNR + 1) gives the noisiest steps, where the layout is
            decided, no weight at all.
    """
    mean, std = latents
    device = latents.device
    timesteps, eps = noise.timesteps.tolist(), noise.noise.to(device)
    clean = scaling_factor * (mean + std * noise.posterior.to(device))
    weights = torch.ones(len(timesteps))
    if snr_gamma is not None:
        snr = schedule.signal_to_noise(timesteps)
        natural = snr + 1 if schedule.prediction_type == "v_prediction" else snr
        weights = natural.clamp(max=snr_gamma) / natural
    return NoisyLatents(
        noisy=add_noise(schedule, clean, eps, timesteps),
        target=schedule.target(clean, eps, timesteps),
        timesteps=noise.timesteps.to(device),
        weights=weights.to(device),
    )
