"""Noise levels of networks that predict epsilon or v, and the one way in which noise is added."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from scribblegen.engine.encode_ratio import Timesteps, TimestepSpacing, timesteps_of
from scribblegen.engine.transfers import to_device
from scribblegen.families.base import Schedule

PREDICTION_TYPES = ("epsilon", "v_prediction")


def levels_for(
    rows: Tensor, schedule: Schedule, timesteps: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Signal and noise of every row, (B, 1, 1, 1) on the device of `rows` (B, C, h, w)."""
    both = to_device(torch.stack(schedule.levels(timesteps)), rows.device)
    return both[0][:, None, None, None], both[1][:, None, None, None]


def add_noise(
    schedule: Schedule, clean: Tensor, noise: Tensor, timesteps: Sequence[float]
) -> Tensor:
    """Rows at their timesteps: signal x0 + noise eps.

    Args:
        schedule: the schedule of the network.
        clean, noise: (B, C, h, w) float32.
        timesteps: B of them; `FINAL` is the schedule's last level.
    """
    signal, level = levels_for(clean, schedule, timesteps)
    return signal * clean + level * noise


@dataclass(frozen=True, eq=False)
class DiffusionSchedule:
    """The schedule of a network that predicts epsilon or v at whole training timesteps.

    Args:
        prediction_type: one of `PREDICTION_TYPES`.
        alphas_cumprod: (T,) float32, on the CPU.
        final_alpha_cumprod: () float32, reached by the last step.
        clip_sample_range: the predicted clean latents are clamped to +- this; None: they are not.
        spacing: the spacing of the timesteps that are visited.
    """

    prediction_type: str
    alphas_cumprod: Tensor
    final_alpha_cumprod: Tensor
    clip_sample_range: float | None
    spacing: TimestepSpacing

    def levels(
        self, timesteps: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """See `Schedule.levels`."""
        alpha = self._alphas(timesteps).to(dtype)
        return alpha**0.5, (1 - alpha) ** 0.5

    def clean_and_noise(
        self, noisy: Tensor, output: Tensor, timesteps: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        """See `Schedule.clean_and_noise`."""
        signal, level = levels_for(noisy, self, timesteps)
        if self.prediction_type == "epsilon":
            clean, noise = (noisy - level * output) / signal, output
        else:
            clean = signal * noisy - level * output
            noise = signal * output + level * noisy
        if self.clip_sample_range is not None:
            clean = clean.clamp(-self.clip_sample_range, self.clip_sample_range)
        return clean, noise

    def timesteps(self, encode_ratio: float, num_inference_steps: int, **choices: Any) -> Timesteps:
        """See `Schedule.timesteps`."""
        return timesteps_of(encode_ratio, num_inference_steps, spacing=self.spacing, **choices)

    def target(self, clean: Tensor, noise: Tensor, timesteps: Sequence[float]) -> Tensor:
        """What the network should say of `add_noise`'s rows, (B, C, h, w) float32."""
        if self.prediction_type == "epsilon":
            return noise
        signal, level = levels_for(clean, self, timesteps)
        return signal * noise - level * clean

    def signal_to_noise(self, timesteps: Sequence[float]) -> Tensor:
        """(B,) float32: the ratio of their variances."""
        alpha = self._alphas(timesteps)
        return alpha / (1 - alpha)

    def _alphas(self, timesteps: Sequence[float]) -> Tensor:
        # FINAL is -1, and so the last of this table.
        table = torch.cat([self.alphas_cumprod, self.final_alpha_cumprod[None]])
        return table[torch.tensor(timesteps, dtype=torch.int64)]


def read_schedule(scheduler_config: dict[str, Any]) -> DiffusionSchedule:
    """What a pipeline's scheduler config says of its network.

    Raises:
        ValueError: it predicts something else, asks for thresholding, or has noise levels that are
            none.
    """
    config = {k: v for k, v in scheduler_config.items() if not k.startswith("_")}
    # Other schedulers' configs carry no `clip_sample`; DDIM's default would clip latents.
    config.setdefault("clip_sample", False)
    scheduler = DDIMScheduler.from_config(config)
    prediction_type = scheduler.config.prediction_type
    if prediction_type not in PREDICTION_TYPES:
        raise ValueError(
            "the scheduler's `prediction_type` must be epsilon or v_prediction. "
            f"Got {prediction_type!r}."
        )
    if scheduler.config.thresholding:
        raise ValueError("the scheduler uses dynamic `thresholding`, which latents do not need.")
    clips = scheduler.config.clip_sample
    alphas = scheduler.alphas_cumprod.float()
    if not ((alphas >= 0) & (alphas <= 1)).all():  # NaN is neither
        raise ValueError(
            "the scheduler's betas must leave a share of the picture between 0 and 1. Got "
            f"{float(alphas.min())} to {float(alphas.max())}."
        )
    return DiffusionSchedule(
        prediction_type=prediction_type,
        alphas_cumprod=alphas,
        final_alpha_cumprod=torch.as_tensor(scheduler.final_alpha_cumprod).float(),
        clip_sample_range=float(scheduler.config.clip_sample_range) if clips else None,
        spacing=TimestepSpacing(
            num_train_timesteps=scheduler.config.num_train_timesteps,
            timestep_spacing=scheduler.config.timestep_spacing,
            steps_offset=scheduler.config.steps_offset,
        ),
    )
