"""One denoising step, for rows of any timestep at once. Pure functions of batches.

`ddim` is the paper's and the default; `dpmsolver++` and `lcm` reach a picture in fewer steps. Each
equals the diffusers scheduler of its name, row by row (the multistep and random ones too, which
there allow one timestep for a whole batch).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from scribblegen.engine.encode_ratio import FINAL
from scribblegen.engine.transfers import to_device
from scribblegen.families.schedule import Prediction

_SIGMA_DATA = 0.5  # of LCM's boundary condition
_TIMESTEP_SCALING = 10.0


@dataclass(frozen=True, eq=False)
class Moves:
    """B rows that take a step.

    Args:
        latents, predictions: (B, C, h, w) float32.
        timesteps, previous: B timesteps, from and to; `FINAL` is the final alpha.
        is_last: B flags, whether the run ends with this step.
        history: for each row what its last step left, None at its first.
        noises: for each row the noise of this step, (C, h, w); None where the sampler draws none.
    """

    latents: Tensor
    predictions: Tensor
    timesteps: list[int]
    previous: list[int]
    is_last: list[bool]
    history: list["History | None"]
    noises: list[Tensor | None]


@dataclass(frozen=True, eq=False)
class History:
    """What a multistep sampler remembers: the clean latents predicted, and at which timestep."""

    clean: Tensor  # (C, h, w)
    timestep: int


def ddim_step(
    latents: Tensor,
    predictions: Tensor,
    timesteps: list[int],
    previous: list[int],
    prediction: Prediction,
) -> Tensor:
    """DDIM with eta = 0 (arXiv 2010.02502, equation 12), with its own timesteps for every row.

    Args:
        latents, predictions: (B, C, h, w) float32.
        timesteps, previous: B timesteps, from and to; `FINAL` is the final alpha.

    Returns:
        (B, C, h, w) float32, the latents at `previous`.
    """
    alpha, alpha_previous = _alphas(timesteps, previous, prediction, latents.device)
    clean, noise = _clean_and_noise(latents, predictions, alpha, prediction)
    return alpha_previous**0.5 * clean + (1 - alpha_previous) ** 0.5 * noise


def _ddim(moves: Moves, prediction: Prediction) -> tuple[Tensor, list[History | None]]:
    arguments = (moves.latents, moves.predictions, moves.timesteps, moves.previous)
    return ddim_step(*arguments, prediction), [None] * len(moves.timesteps)


def _dpm_solver(moves: Moves, prediction: Prediction) -> tuple[Tensor, list[History | None]]:
    """DPM-Solver++(2M), midpoint (arXiv 2211.01095, algorithm 2), the last step of first order.

    The weights of a row are scalars of its timesteps, so they are computed in float64 here.
    """
    device = moves.latents.device
    alpha, _ = _alphas(moves.timesteps, moves.previous, prediction, device)
    clean, _ = _clean_and_noise(moves.latents, moves.predictions, alpha, prediction)
    weights = [
        _dpm_weights(t, to, last, h.timestep if h else None, prediction)
        for t, to, last, h in zip(
            moves.timesteps, moves.previous, moves.is_last, moves.history, strict=True
        )
    ]
    stay, new, old = to_device(torch.tensor(weights, dtype=torch.float32), device).T[
        :, :, None, None, None
    ]
    before = torch.stack(
        [h.clean if h else row for h, row in zip(moves.history, clean, strict=True)]
    )
    latents = stay * moves.latents + new * clean + old * before
    history: list[History | None] = [
        History(row, t) for row, t in zip(clean, moves.timesteps, strict=True)
    ]
    return latents, history


def _dpm_weights(
    timestep: int, target: int, is_last: bool, before: int | None, prediction: Prediction
) -> tuple[float, float, float]:
    """Weights of the latents, of the clean prediction, and of the one before."""
    if is_last:  # noise falls to zero: nothing but the clean prediction is left
        return 0.0, 1.0, 0.0
    alpha_s, sigma_s, lambda_s = _levels(timestep, prediction)
    alpha_t, sigma_t, lambda_t = _levels(target, prediction)
    h = lambda_t - lambda_s
    gain = float(-alpha_t * torch.expm1(-h))
    stay = float(sigma_t / sigma_s)
    if before is None:
        return stay, gain, 0.0
    ratio = float((lambda_s - _levels(before, prediction)[2]) / h)
    return stay, gain * (1 + 0.5 / ratio), -gain * 0.5 / ratio


def _levels(timestep: int, prediction: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    """alpha, sigma and half the log of their squared ratio at a timestep, float64."""
    cumulative = prediction.alphas_cumprod[timestep].double()
    alpha, sigma = cumulative.sqrt(), (1 - cumulative).sqrt()
    return alpha, sigma, alpha.log() - sigma.log()


def _lcm(moves: Moves, prediction: Prediction) -> tuple[Tensor, list[History | None]]:
    """Multistep consistency sampling (arXiv 2310.04378, algorithm 3)."""
    device = moves.latents.device
    alpha, alpha_previous = _alphas(moves.timesteps, moves.previous, prediction, device)
    clean, _ = _clean_and_noise(moves.latents, moves.predictions, alpha, prediction)
    scaled = torch.tensor(moves.timesteps, dtype=torch.float32) * _TIMESTEP_SCALING
    skip = _SIGMA_DATA**2 / (scaled**2 + _SIGMA_DATA**2)
    out = scaled / (scaled**2 + _SIGMA_DATA**2) ** 0.5
    skip, out = (to_device(v, device)[:, None, None, None] for v in (skip, out))
    denoised = out * clean + skip * moves.latents
    noise = torch.stack(
        [
            torch.zeros_like(row) if noise is None else noise
            for noise, row in zip(moves.noises, denoised, strict=True)
        ]
    )
    noised = alpha_previous**0.5 * denoised + (1 - alpha_previous) ** 0.5 * noise
    last = to_device(torch.tensor(moves.is_last), device)[:, None, None, None]
    return torch.where(last, denoised, noised), [None] * len(moves.timesteps)


_STEPS: dict[str, Callable[[Moves, Prediction], tuple[Tensor, list[History | None]]]] = {
    "ddim": _ddim,
    "dpmsolver++": _dpm_solver,
    "lcm": _lcm,
}


def sampler_step(
    sampler: str, moves: Moves, prediction: Prediction
) -> tuple[Tensor, list[History | None]]:
    """Latents (B, C, h, w) float32 after one step, and what each row must remember."""
    return _STEPS[sampler](moves, prediction)


def _alphas(
    timesteps: list[int], previous: list[int], prediction: Prediction, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cumulative alphas at both ends of every step, (B, 1, 1, 1) each."""
    alphas = prediction.alphas_cumprod
    landed = [alphas[t] if t != FINAL else prediction.final_alpha_cumprod for t in previous]
    both = to_device(torch.stack([alphas[timesteps], torch.stack(landed)]), device)
    return both[0][:, None, None, None], both[1][:, None, None, None]


def _clean_and_noise(
    latents: Tensor, predictions: Tensor, alpha: Tensor, prediction: Prediction
) -> tuple[Tensor, Tensor]:
    """The clean latents and the noise that a prediction stands for."""
    if prediction.kind == "epsilon":
        clean = (latents - (1 - alpha) ** 0.5 * predictions) / alpha**0.5
        noise = predictions
    else:
        clean = alpha**0.5 * latents - (1 - alpha) ** 0.5 * predictions
        noise = alpha**0.5 * predictions + (1 - alpha) ** 0.5 * latents
    if prediction.clip_sample_range is not None:
        clean = clean.clamp(-prediction.clip_sample_range, prediction.clip_sample_range)
    return clean, noise
