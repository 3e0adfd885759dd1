"""What a pipeline's network predicts, and on which noise levels."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from scribblegen.engine.encode_ratio import NoiseSchedule


@dataclass(frozen=True)
class Prediction:
    """What the network predicts, and the noise levels it knows."""

    kind: str  # "epsilon" or "v_prediction"
    alphas_cumprod: Tensor  # (T,) float32
    final_alpha_cumprod: Tensor  # () float32, reached by the last step
    clip_sample_range: float | None  # the predicted clean latents are clamped to +- this
    schedule: NoiseSchedule


def read_prediction(scheduler_config: dict[str, Any]) -> Prediction:
    """What a pipeline's scheduler config says of its network."""
    config = {k: v for k, v in scheduler_config.items() if not k.startswith("_")}
    # Other schedulers' configs carry no `clip_sample`; DDIM's default would clip latents.
    config.setdefault("clip_sample", False)
    scheduler = DDIMScheduler.from_config(config)
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"the scheduler's `prediction_type` must be epsilon or v_prediction. "
                         f"Got {kind!r}.")  # fmt: skip
    if scheduler.config.thresholding:
        raise ValueError("the scheduler uses dynamic `thresholding`, which latents do not need.")
    clips = scheduler.config.clip_sample
    return Prediction(
        kind=kind,
        alphas_cumprod=scheduler.alphas_cumprod.float(),
        final_alpha_cumprod=torch.as_tensor(scheduler.final_alpha_cumprod).float(),
        clip_sample_range=float(scheduler.config.clip_sample_range) if clips else None,
        schedule=NoiseSchedule(
            num_train_timesteps=scheduler.config.num_train_timesteps,
            timestep_spacing=scheduler.config.timestep_spacing,
            steps_offset=scheduler.config.steps_offset,
        ),
    )
