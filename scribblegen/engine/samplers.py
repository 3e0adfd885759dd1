"""One denoising step, for rows of any timestep at once. Pure functions of batches.

`ddim` is the paper's and the default; `dpmsolver++` and `lcm` reach a picture in fewer steps. Each
equals the diffusers scheduler of its name, row by row (the multistep and random ones too, which
there allow one timestep for a whole batch).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from scribblegen.engine.transfers import to_device
from scribblegen.families.base import Schedule
from scribblegen.families.schedule import add_noise

_SIGMA_DATA = 0.5  # of LCM's boundary condition
_TIMESTEP_SCALING = 10.0


@dataclass(frozen=True, eq=False)
class Moves:
    """B rows that take a step.

    Args:
        latents, predictions: (B, C, h, w) float32.
        timesteps, previous: B timesteps, from and to; `FINAL` is the schedule's last level.
        is_last: B flags, whether the run ends with this step.
        history: for each row what its last step left, None at its first.
        noises: for each row the noise of this step, (C, h, w); None where the sampler draws none.
    """

    latents: Tensor
    predictions: Tensor
    timesteps: list[float]
    previous: list[float]
    is_last: list[bool]
    history: list["History | None"]
    noises: list[Tensor | None]


@dataclass(frozen=True, eq=False)
class History:
    """What a multistep sampler remembers: the clean latents predicted, and at which timestep."""

    clean: Tensor  # (C, h, w)
    timestep: float


def ddim_step(
    latents: Tensor,
    predictions: Tensor,
    timesteps: list[float],
    previous: list[float],
    schedule: Schedule,
) -> Tensor:
    """DDIM with eta = 0 (arXiv 2010.02502, equation 12), with its own timesteps for every row.

    Of a flow-matching schedule it is Euler's step.

    Args:
        latents, predictions: (B, C, h, w) float32.
        timesteps, previous: B timesteps, from and to; `FINAL` is the schedule's last level.
        schedule: the schedule of the network that made the predictions.

    Returns:
        (B, C, h, w) float32, the latents at `previous`.
    """
    clean, noise = schedule.clean_and_noise(latents, predictions, timesteps)
    return add_noise(schedule, clean, noise, previous)


def _ddim(moves: Moves, schedule: Schedule) -> tuple[Tensor, list[History | None]]:
    arguments = (moves.latents, moves.predictions, moves.timesteps, moves.previous)
    return ddim_step(*arguments, schedule), [None] * len(moves.timesteps)


def _dpm_solver(moves: Moves, schedule: Schedule) -> tuple[Tensor, list[History | None]]:
    """DPM-Solver++(2M), midpoint (arXiv 2211.01095, algorithm 2), the last step of first order.

    The weights of a row are scalars of its timesteps, so they are computed in float64 here.
    """
    device = moves.latents.device
    clean, _ = schedule.clean_and_noise(moves.latents, moves.predictions, moves.timesteps)
    weights = [
        _dpm_weights(t, to, last, h.timestep if h else None, schedule)
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
    timestep: float, target: float, is_last: bool, before: float | None, schedule: Schedule
) -> tuple[float, float, float]:
    """Weights of the latents, of the clean prediction, and of the one before."""
    if is_last:  # noise falls to zero: nothing but the clean prediction is left
        return 0.0, 1.0, 0.0
    alpha_s, sigma_s, lambda_s = _levels(timestep, schedule)
    alpha_t, sigma_t, lambda_t = _levels(target, schedule)
    h = lambda_t - lambda_s
    gain = float(-alpha_t * torch.expm1(-h))
    stay = float(sigma_t / sigma_s)
    if before is None:
        return stay, gain, 0.0
    ratio = float((lambda_s - _levels(before, schedule)[2]) / h)
    return stay, gain * (1 + 0.5 / ratio), -gain * 0.5 / ratio


def _levels(timestep: float, schedule: Schedule) -> tuple[Tensor, Tensor, Tensor]:
    """Signal, noise and the log of their ratio at a timestep, float64."""
    signal, noise = schedule.levels([timestep], torch.float64)
    return signal[0], noise[0], signal[0].log() - noise[0].log()


def _lcm(moves: Moves, schedule: Schedule) -> tuple[Tensor, list[History | None]]:
    """Multistep consistency sampling (arXiv 2310.04378, algorithm 3)."""
    device = moves.latents.device
    clean, _ = schedule.clean_and_noise(moves.latents, moves.predictions, moves.timesteps)
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
    noised = add_noise(schedule, denoised, noise, moves.previous)
    last = to_device(torch.tensor(moves.is_last), device)[:, None, None, None]
    return torch.where(last, denoised, noised), [None] * len(moves.timesteps)


_STEPS: dict[str, Callable[[Moves, Schedule], tuple[Tensor, list[History | None]]]] = {
    "ddim": _ddim,
    "dpmsolver++": _dpm_solver,
    "lcm": _lcm,
}


def sampler_step(
    sampler: str, moves: Moves, schedule: Schedule
) -> tuple[Tensor, list[History | None]]:
    """Latents (B, C, h, w) float32 after one step, and what each row must remember."""
    return _STEPS[sampler](moves, schedule)
