"""Every sampler against the diffusers scheduler of its name, rows of all timesteps in one batch."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, LCMScheduler

from scribblegen.engine.encode_ratio import FINAL, TimestepSpacing, all_timesteps, timesteps_of
from scribblegen.engine.samplers import Moves, sampler_step
from scribblegen.families.schedule import read_schedule
from scribblegen.families.stable_diffusion.scheduler import stable_diffusion_scheduler

SCHEDULERS = {"dpmsolver++": DPMSolverMultistepScheduler, "lcm": LCMScheduler}
SPACINGS = ("leading", "trailing", "linspace")


def stock(sampler, **changes):
    return SCHEDULERS[sampler].from_config({**stable_diffusion_scheduler(), **changes})


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("count", [1, 2, 4, 7, 20, 50])
def test_the_timesteps_are_the_scheduler_s(sampler, spacing, count):
    scheduler = stock(sampler, timestep_spacing=spacing)
    scheduler.set_timesteps(count)
    visited = all_timesteps(count, TimestepSpacing(timestep_spacing=spacing), sampler)
    assert visited == tuple(scheduler.timesteps.tolist())


def test_more_steps_than_a_consistency_model_knows_are_refused():
    with pytest.raises(ValueError, match="`num_inference_steps` must be at most 50"):
        all_timesteps(51, TimestepSpacing(), "lcm")
    with pytest.raises(ValueError, match="`sampler` must be one of"):
        all_timesteps(10, TimestepSpacing(), "euler")


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_whole_runs_equal_the_scheduler_s(sampler, ratio, kind):
    steps = 10
    run = timesteps_of(ratio, steps, sampler=sampler)
    assert run.previous == (*run.timesteps[1:], FINAL)
    schedule = read_schedule(stable_diffusion_scheduler(kind))
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(1, 4, 8, 8, generator=generator)
    outputs = torch.randn(run.num_steps, 1, 4, 8, 8, generator=generator)

    scheduler = stock(sampler, prediction_type=kind)
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(steps - run.num_steps)
    theirs, draws = start, torch.Generator().manual_seed(5)
    for t, output in zip(run.timesteps, outputs, strict=True):
        theirs = scheduler.step(output, t, theirs, generator=draws, return_dict=False)[0]

    again = torch.Generator().manual_seed(5)
    noises = [torch.randn(1, 4, 8, 8, generator=again)[0] for _ in run.timesteps]
    ours, history = start, None
    for step, (t, to) in enumerate(zip(run.timesteps, run.previous, strict=True)):
        # Beside a row of another timestep, another step and no history.
        moves = Moves(
            latents=torch.cat([ours, start]),
            predictions=torch.cat([outputs[step], outputs[0]]),
            timesteps=[t, run.timesteps[0]],
            previous=[to, run.previous[0]],
            is_last=[step + 1 == run.num_steps, run.num_steps == 1],
            history=[history, None],
            noises=[noises[step] if sampler == "lcm" else None, None],
        )
        moved, left = sampler_step(sampler, moves, schedule)
        ours, history = moved[:1], left[0]
    assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().max()
