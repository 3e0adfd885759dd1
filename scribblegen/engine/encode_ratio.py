"""Encode ratio -> where denoising starts and which timesteps it visits. Pure functions.

`encode_ratio` r in (0, 1] is the share of the noise schedule that is added to a source's latents
before they are denoised again (ScribbleGen, arXiv 2311.17121). Two modes:

- `proportional`: the last round(N r) of N steps, so that the cost falls with r. It is what
  `strength` does in diffusers, rounded where diffusers truncates.
- `fixed`: always N steps, re-spaced over [1, T r]: the reference implementation.

Each sampler visits its own timesteps.
"""

from dataclasses import dataclass

import numpy as np

ENCODE_RATIO_MODES = ("proportional", "fixed")
SAMPLERS = ("ddim", "dpmsolver++", "lcm")
FINAL = -1  # the `previous` timestep of a last step: the scheduler's final alpha

_LCM_STEPS = 50  # that consistency models are distilled on
_ROUNDING = 1e-9  # lifts products such as 50 * 0.58 = 28.999... back onto their integer


@dataclass(frozen=True)
class TimestepSpacing:
    """Which timesteps a pipeline visits, as its scheduler's config says; Stable Diffusion's own."""

    num_train_timesteps: int = 1000
    timestep_spacing: str = "leading"
    steps_offset: int = 1


@dataclass(frozen=True)
class Timesteps:
    """One denoising run.

    Args:
        start: timestep whose noise is added to the latents; None to start from pure noise.
        timesteps: the K timesteps at which the network is called, descending. Here they are whole
            training timesteps; another family's may be noise levels.
        previous: the K timesteps that each step lands on; `FINAL` is the scheduler's final alpha.
    """

    start: float | None
    timesteps: tuple[float, ...]
    previous: tuple[float, ...]

    @property
    def num_steps(self) -> int:
        return len(self.timesteps)


def timesteps_of(
    encode_ratio: float,
    num_inference_steps: int,
    *,
    mode: str = "proportional",
    aligned_start: bool = True,
    pure_noise_at_one: bool = True,
    spacing: TimestepSpacing | None = None,
    sampler: str = "ddim",
) -> Timesteps:
    """The denoising run of one encode ratio.

    Args:
        encode_ratio: r in (0, 1].
        num_inference_steps: N; the number of steps run (`fixed`), or of those of which
            round(N r) are run (`proportional`).
        mode: `proportional` or `fixed`.
        aligned_start: add the noise of the first timestep that is denoised. False: of timestep
            int((T - 1) r), as the reference does, which is more noise than the first step expects.
        pure_noise_at_one: at r = 1 start from pure noise, as text-to-image does. False: noise the
            latents like at any other r, which lets some of the source through.
        spacing: the spacing of the N steps; Stable Diffusion's where None.
        sampler: one of `SAMPLERS`.

    Raises:
        ValueError: a value out of range, or r too small for the number of steps.
    """
    spacing = spacing or TimestepSpacing()
    total = spacing.num_train_timesteps
    if not 0 < encode_ratio <= 1:
        raise ValueError(f"`encode_ratio` must be in (0, 1]. Got {encode_ratio}.")
    if not 1 <= num_inference_steps <= total:
        raise ValueError(f"`num_inference_steps` must be in 1..{total}. Got {num_inference_steps}.")
    if mode == "proportional":
        timesteps, previous = _proportional(encode_ratio, num_inference_steps, spacing, sampler)
    elif mode == "fixed":
        timesteps, previous = _fixed(encode_ratio, num_inference_steps, total)
    else:
        raise ValueError(f"`mode` must be one of {ENCODE_RATIO_MODES}. Got {mode!r}.")
    if sampler != "ddim":  # which lands between the timesteps that it visits, and not on them
        previous = (*timesteps[1:], FINAL)
    start: float | None = timesteps[0]
    if not aligned_start:
        start = int((total - 1) * encode_ratio + _ROUNDING)
    if pure_noise_at_one and encode_ratio == 1:
        start = None
    return Timesteps(start, timesteps, previous)


def num_steps_run(encode_ratio: float, num_inference_steps: int) -> int:
    """K = round(N r), halves up, immune to the last bit of r."""
    return int(num_inference_steps * encode_ratio + 0.5 + _ROUNDING)


def all_timesteps(
    num_inference_steps: int, spacing: TimestepSpacing, sampler: str = "ddim"
) -> tuple[int, ...]:
    """The N descending timesteps that diffusers' scheduler visits (arXiv 2305.08891, table 2)."""
    total, count = spacing.num_train_timesteps, num_inference_steps
    if sampler not in SAMPLERS:
        raise ValueError(f"`sampler` must be one of {SAMPLERS}. Got {sampler!r}.")
    if sampler == "lcm":
        visited = _lcm_timesteps(count, total)
    elif spacing.timestep_spacing == "leading":
        # DPM-Solver++ leaves out the step from the first training timestep.
        first = 1 if sampler == "dpmsolver++" else 0
        visited = np.arange(first, count + first)[::-1] * float(total // (count + first))
        visited = visited + spacing.steps_offset
    elif spacing.timestep_spacing == "trailing":
        # Cut, because rounding gives some lengths, such as 61, one more step: timestep -1.
        visited = np.round(np.arange(total, 0, -total / count))[:count] - 1
    elif spacing.timestep_spacing == "linspace":
        points = count + 1 if sampler == "dpmsolver++" else count
        visited = np.linspace(0, total - 1, points).round()[::-1][:count]
    else:
        raise ValueError(
            "`timestep_spacing` must be leading, trailing or linspace. "
            f"Got {spacing.timestep_spacing!r}."
        )
    if visited.max() >= total:
        raise ValueError(
            f"`num_inference_steps` {count} with steps_offset {spacing.steps_offset} leaves the "
            f"{total} training timesteps. Use fewer steps."
        )
    return tuple(int(t) for t in visited)


def _lcm_timesteps(count: int, total: int) -> np.ndarray:
    if count > _LCM_STEPS:
        raise ValueError(
            f"`num_inference_steps` must be at most {_LCM_STEPS} with `sampler` lcm. Got {count}."
        )
    distilled = np.arange(_LCM_STEPS, 0, -1) * (total // _LCM_STEPS) - 1
    picked: np.ndarray = distilled[
        np.floor(np.linspace(0, _LCM_STEPS, count, endpoint=False)).astype(int)
    ]
    return picked


def _proportional(
    encode_ratio: float, num_inference_steps: int, spacing: TimestepSpacing, sampler: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    count = num_steps_run(encode_ratio, num_inference_steps)
    if count == 0:
        raise ValueError(
            f"`encode_ratio` {encode_ratio} runs no step of {num_inference_steps}. Use "
            f"at least {0.5 / num_inference_steps:g}, or more `num_inference_steps`."
        )
    timesteps = all_timesteps(num_inference_steps, spacing, sampler)[-count:]
    stride = spacing.num_train_timesteps // num_inference_steps
    return timesteps, tuple(t - stride if t >= stride else FINAL for t in timesteps)


def _fixed(
    encode_ratio: float, num_inference_steps: int, total: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if total * encode_ratio + _ROUNDING < num_inference_steps:
        raise ValueError(
            f"`encode_ratio` {encode_ratio} spans {total * encode_ratio:g} timesteps, fewer than "
            f"`num_inference_steps` {num_inference_steps}. Use at least "
            f"{num_inference_steps / total:g}, or fewer steps."
        )
    points = np.linspace(0, total * encode_ratio, num_inference_steps + 1)[:-1]
    ascending = [int(p + _ROUNDING) + 1 for p in points]
    if ascending[-1] >= total:
        raise ValueError(
            f"`num_inference_steps` {num_inference_steps} at `encode_ratio` {encode_ratio} leaves "
            f"the {total} training timesteps. Use fewer steps."
        )
    # The last step lands on the first training timestep, not on the clean image.
    return tuple(ascending[::-1]), tuple([*ascending[:-1][::-1], 0])
