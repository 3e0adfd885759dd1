"""Stable Diffusion's scheduler, as its pipelines keep it."""

from typing import Any


def stable_diffusion_scheduler(
    prediction_type: str = "epsilon", *, timestep_spacing: str = "leading", zero_snr: bool = False
) -> dict[str, Any]:
    """Stable Diffusion's noise levels, for `DDIMScheduler.from_config`.

    Args:
        prediction_type: epsilon, or v_prediction.
        timestep_spacing: leading (Stable Diffusion's own), trailing or linspace.
        zero_snr: whether the last level is pure noise (arXiv 2305.08891). With trailing timesteps
            sampling starts there, and light and colour are the prompt's to choose.
    """
    return {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": timestep_spacing,
        "rescale_betas_zero_snr": zero_snr,
        "prediction_type": prediction_type,
    }
