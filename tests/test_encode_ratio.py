"""Encode ratio -> timesteps: the reference's table, diffusers' own, and no lost step."""

import numpy as np
import pytest
from diffusers import DDIMScheduler

from scribblegen.engine.encode_ratio import (
    FINAL,
    Timesteps,
    TimestepSpacing,
    all_timesteps,
    num_steps_run,
    timesteps_of,
)

# encode_ratio, t_start, sqrt(abar) kept, sigma, first DDIM t, stride: the reference at 50 steps.
TABLE = [
    (0.1, 99, 0.946, 0.323, 99, 2),
    (0.2, 199, 0.869, 0.495, 197, 4),
    (0.3, 299, 0.770, 0.639, 295, 6),
    (0.4, 399, 0.653, 0.758, 393, 8),
    (0.5, 499, 0.527, 0.850, 491, 10),
    (0.6, 599, 0.402, 0.916, 589, 12),
    (0.7, 699, 0.288, 0.958, 687, 14),
    (0.8, 799, 0.193, 0.981, 785, 16),
    (0.9, 899, 0.120, 0.993, 883, 18),
    (1.0, 999, 0.068, 0.998, 981, 20),
]
SPACINGS = [("leading", 0), ("leading", 1), ("trailing", 0), ("linspace", 0), ("linspace", 1)]


def parity(encode_ratio: float, num_inference_steps: int = 50) -> Timesteps:
    return timesteps_of(
        encode_ratio,
        num_inference_steps,
        mode="fixed",
        aligned_start=False,
        pure_noise_at_one=False,
    )


def scheduler_of(spacing: str = "leading", offset: int = 1) -> DDIMScheduler:
    """Stable Diffusion's DDIM."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        timestep_spacing=spacing,
        steps_offset=offset,
    )


@pytest.mark.parametrize(("ratio", "start", "kept", "sigma", "first", "stride"), TABLE)
def test_the_reference_s_table_is_reproduced(
    ratio: float, start: int, kept: float, sigma: float, first: int, stride: int
) -> None:
    run = parity(ratio)
    assert (run.start, run.timesteps[0], run.num_steps) == (start, first, 50)
    assert set(np.diff(run.timesteps)) == {-stride} and run.timesteps[-1] == 1
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    assert round(float(np.sqrt(alphas[start])), 3) == kept
    assert round(float(np.sqrt(1 - alphas[start])), 3) == sigma


def test_the_last_step_of_the_reference_lands_on_the_first_training_timestep() -> None:
    for ratio, *_ in TABLE:
        run = parity(ratio)
        assert run.previous == (*run.timesteps[1:], 0)


def test_the_reference_s_corner_cases() -> None:
    assert parity(0.1).start == 99 and parity(0.7).start == 699  # from 99.9 and 699.3
    assert parity(0.5).timesteps == tuple(range(491, 0, -10))
    assert parity(0.05).timesteps == tuple(range(50, 0, -1))
    with pytest.raises(ValueError, match=r"`encode_ratio` 0\.04 .* Use at least 0\.05"):
        parity(0.04)


@pytest.mark.parametrize("mode", ["proportional", "fixed"])
def test_at_one_denoising_starts_from_pure_noise_over_all_timesteps(mode: str) -> None:
    run = timesteps_of(1.0, 50, mode=mode)
    assert run.start is None
    assert run.timesteps == all_timesteps(50, TimestepSpacing()) == tuple(range(981, 0, -20))
    leaking = timesteps_of(1.0, 50, mode=mode, pure_noise_at_one=False)
    assert leaking.start == 981 and leaking.timesteps == run.timesteps


@pytest.mark.parametrize("mode", ["proportional", "fixed"])
@pytest.mark.parametrize("ratio", [0.05, 0.1005, 0.35, 0.5, 0.77, 0.9995])
def test_by_default_the_noise_is_that_of_the_first_step(mode: str, ratio: float) -> None:
    run = timesteps_of(ratio, 50, mode=mode)
    assert run.start == run.timesteps[0]
    unaligned = timesteps_of(ratio, 50, mode=mode, aligned_start=False)
    assert unaligned.start == int(999 * ratio) and unaligned.timesteps == run.timesteps


def test_every_mode_starts_from_pure_noise_only_at_one() -> None:
    for aligned in (True, False):
        for mode in ("proportional", "fixed"):
            runs = [timesteps_of(r, 20, mode=mode, aligned_start=aligned) for r in (0.99, 1.0)]
            assert [run.start is None for run in runs] == [False, True]


@pytest.mark.parametrize(
    ("steps", "ratio", "expected"),
    [
        (50, 0.58, 29),
        (50, 0.57, 29),
        (100, 0.29, 29),
        (100, 0.57, 57),
        (100, 0.58, 58),
        (50, 0.29, 15),
        (20, 0.05, 1),
        (50, 0.01, 1),
        (10, 0.25, 3),
        (10, 0.24, 2),
        (50, 1.0, 50),
        (1, 0.5, 1),
        (50, 0.1 + 0.2, 15),
        (50, 0.7 - 0.12, 29),
    ],
)
def test_the_number_of_steps_is_rounded_halves_up(steps: int, ratio: float, expected: int) -> None:
    assert num_steps_run(ratio, steps) == expected
    assert timesteps_of(ratio, steps).num_steps == expected


def test_no_ratio_k_of_n_loses_or_gains_a_step() -> None:
    for steps in (1, 2, 3, 7, 10, 20, 30, 49, 50, 64, 75, 100, 250, 333, 999):
        for k in range(1, steps + 1):
            for ratio in (
                k / steps,
                min(1, np.nextafter(k / steps, 2)),
                np.nextafter(k / steps, 0),
            ):
                assert num_steps_run(float(ratio), steps) == k, (steps, k)


def test_fewer_or_equal_steps_for_a_smaller_ratio() -> None:
    counts = [num_steps_run(r, 50) for r in np.linspace(0.01, 1, 1234)]
    assert counts == sorted(counts) and set(counts) == set(range(1, 51))


# diffusers' own rounding gives these one timestep more, which is -1 and no timestep.
OVERFULL = (61, 103, 121)


@pytest.mark.parametrize(("spacing", "offset"), SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 20, 30, 49, 50, 51, 77, 100, 250, 333, 500, 999])
def test_the_timesteps_are_diffusers_own(spacing: str, offset: int, steps: int) -> None:
    scheduler = scheduler_of(spacing, offset)
    scheduler.set_timesteps(steps)
    assert all_timesteps(steps, TimestepSpacing(1000, spacing, offset)) == tuple(
        scheduler.timesteps.tolist()
    )


@pytest.mark.parametrize(("spacing", "offset"), SPACINGS)
def test_every_spacing_holds_n_different_training_timesteps(spacing: str, offset: int) -> None:
    for steps in range(1, 1000):
        run = all_timesteps(steps, TimestepSpacing(1000, spacing, offset))
        assert len(run) == len(set(run)) == steps and 0 <= min(run) and max(run) < 1000, steps
        assert list(run) == sorted(run, reverse=True)


@pytest.mark.parametrize("steps", OVERFULL)
def test_a_step_that_diffusers_has_too_much_is_left_out(steps: int) -> None:
    scheduler = scheduler_of("trailing", 0)
    scheduler.set_timesteps(steps)
    run = all_timesteps(steps, TimestepSpacing(1000, "trailing", 0))
    assert tuple(scheduler.timesteps.tolist()) in (run, (*run, -1))


@pytest.mark.parametrize(("spacing", "offset"), SPACINGS)
@pytest.mark.parametrize("steps", [10, 20, 50, 77])
@pytest.mark.parametrize("ratio", [0.1, 0.35, 0.58, 0.8, 1.0])
def test_proportional_runs_the_tail_of_diffusers_timesteps(
    spacing: str, offset: int, steps: int, ratio: float
) -> None:
    scheduler = scheduler_of(spacing, offset)
    scheduler.set_timesteps(steps)
    run = timesteps_of(ratio, steps, spacing=TimestepSpacing(1000, spacing, offset))
    assert run.timesteps == tuple(scheduler.timesteps[-num_steps_run(ratio, steps) :].tolist())
    landed = [t - 1000 // steps for t in run.timesteps]  # DDIMScheduler.step's own rule
    assert run.previous == tuple(t if t >= 0 else FINAL for t in landed)
    assert all(p < t for p, t in zip(run.previous, run.timesteps, strict=True))


def test_leading_steps_follow_each_other_and_the_last_one_is_final() -> None:
    for ratio in (0.1, 0.5, 1.0):
        run = timesteps_of(ratio, 50)
        assert run.previous == (*run.timesteps[1:], FINAL)


@pytest.mark.parametrize("percent", range(5, 101, 5))
def test_fixed_equals_longer_diffusers_timesteps_at_50_steps(percent: int) -> None:
    ratio = percent / 100
    scheduler = scheduler_of()
    scheduler.set_timesteps(int(50 / ratio))
    run = timesteps_of(ratio, 50, mode="fixed")
    assert run.timesteps == tuple(scheduler.timesteps[-50:].tolist())


@pytest.mark.parametrize("steps", [10, 25, 30, 50])
def test_fixed_points_do_not_hang_on_the_last_bit(steps: int) -> None:
    for percent in range(5, 101):
        ascending = [10 * percent * i // steps + 1 for i in range(steps)]  # in whole numbers
        run = timesteps_of(percent / 100, steps, mode="fixed")
        assert run.timesteps == tuple(ascending[::-1]), percent


@pytest.mark.parametrize("steps", [1, 7, 10, 50, 333])
@pytest.mark.parametrize("ratio", [0.35, 0.5, 0.58, 0.9, 1.0])
def test_fixed_always_runs_n_different_timesteps_inside_the_ratio(steps: int, ratio: float) -> None:
    run = timesteps_of(ratio, steps, mode="fixed")
    assert len(set(run.timesteps)) == run.num_steps == len(run.previous) == steps
    assert list(run.timesteps) == sorted(run.timesteps, reverse=True)
    assert run.timesteps[-1] == 1 and run.timesteps[0] <= 1000 * ratio
    assert all(p < t for p, t in zip(run.previous, run.timesteps, strict=True))


@pytest.mark.parametrize(
    ("ratio", "steps", "options", "reason"),
    [
        (0.0, 50, {}, r"`encode_ratio` must be in \(0, 1\]. Got 0.0"),
        (-0.1, 50, {}, "`encode_ratio` must be"),
        (1.0001, 50, {}, "`encode_ratio` must be"),
        (float("nan"), 50, {}, "`encode_ratio` must be"),
        (0.5, 0, {}, r"`num_inference_steps` must be in 1\.\.1000. Got 0"),
        (0.5, 1001, {}, "`num_inference_steps` must be"),
        (0.5, 50, {"mode": "strength"}, "`mode` must be one of .*Got 'strength'"),
        (0.009, 50, {}, r"`encode_ratio` 0\.009 runs no step .*at least 0\.01"),
        (0.0499, 50, {"mode": "fixed"}, r"`encode_ratio` 0\.0499 spans 49\.9 timesteps"),
        (1.0, 1000, {}, "`num_inference_steps` 1000 .* leaves the 1000 training timesteps"),
        (1.0, 1000, {"mode": "fixed"}, "`num_inference_steps` 1000 .* leaves the 1000 training"),
        (
            0.5,
            50,
            {"spacing": TimestepSpacing(timestep_spacing="karras")},
            "`timestep_spacing` must be .*Got 'karras'",
        ),
    ],
)
def test_what_cannot_run_is_refused(
    ratio: float, steps: int, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        timesteps_of(ratio, steps, **options)  # type: ignore[arg-type]


def test_the_refused_bounds_are_tight() -> None:
    assert timesteps_of(0.01, 50).num_steps == 1
    assert timesteps_of(0.05, 50, mode="fixed").num_steps == 50
    assert timesteps_of(1.0, 999, mode="fixed").timesteps[0] == 999
    assert timesteps_of(0.999, 999, mode="fixed").timesteps == tuple(range(999, 0, -1))
    unshifted = TimestepSpacing(steps_offset=0)
    assert timesteps_of(1.0, 1000, spacing=unshifted).timesteps == tuple(range(999, -1, -1))


def test_another_training_length_is_honoured() -> None:
    spacing = TimestepSpacing(num_train_timesteps=100)
    assert timesteps_of(0.5, 10, spacing=spacing).timesteps == (41, 31, 21, 11, 1)
    fixed = timesteps_of(0.5, 10, mode="fixed", spacing=spacing, aligned_start=False)
    assert fixed.timesteps == tuple(range(46, 0, -5)) and fixed.start == 49
