"""The pool against the stock pipeline, its counters, and the independence of a sample."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers import StableDiffusionControlNetPipeline as TextToImage

from scribblegen.engine.encode_ratio import FINAL, timesteps_of
from scribblegen.engine.jobs import Job
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.samplers import ddim_step
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.tiny.random_weights import random_parts
from tests.pool_jobs import (
    CHANNELS,
    CONDITIONING,
    IMAGE,
    PROMPT,
    SCALES,
    UNIT_IMAGE,
    as_unit,
    conditions_of,
    full_grid_jobs,
    job,
    stock,
    trajectories,
    with_runs,
)


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def parts(request):
    return random_parts(CHANNELS, prediction_type=request.param)


@pytest.fixture(scope="module")
def networks(parts):
    return StableDiffusion(**parts)


@pytest.fixture(scope="module")
def epsilon_networks():
    return StableDiffusion(**random_parts(CHANNELS))


@pytest.mark.parametrize("guidance_scale", SCALES)
@pytest.mark.parametrize("encode_ratio", [0.2, 0.5, 1.0])
def test_a_sample_alone_equals_the_stock_pipeline(parts, networks, guidance_scale, encode_ratio):
    expected = stock(parts)(
        prompt=PROMPT,
        image=UNIT_IMAGE,
        control_image=CONDITIONING,
        strength=encode_ratio,
        num_inference_steps=10,
        guidance_scale=guidance_scale,
        controlnet_conditioning_scale=1.0,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images[0]
    runs = [(timesteps_of(encode_ratio, 10, pure_noise_at_one=False), (guidance_scale,))]

    # In calls of the stock pipeline's own shape (a pair of rows where it guides): bit for bit.
    rows = 1 if guidance_scale == 1 else 2
    same_shape = job(networks, IMAGE, CONDITIONING, runs, conditioning_rows=rows)
    (twin,) = DenoiserPool(networks, rows=rows, decode_rows=1).run([same_shape])
    assert torch.equal(as_unit(twin.image), expected)

    # In calls of any other shape: to rounding, which guidance multiplies.
    for rows in (1, 16):
        (twin,) = DenoiserPool(networks, rows=rows).run([job(networks, IMAGE, CONDITIONING, runs)])
        assert (as_unit(twin.image) - expected).abs().max() < 5e-6 * guidance_scale


def test_encode_ratio_one_starts_as_text_to_image_does(parts, networks):
    runs = [(timesteps_of(1.0, 10), (2.0,))]
    task = job(networks, IMAGE, CONDITIONING, runs, conditioning_rows=2)
    (twin,) = DenoiserPool(networks, rows=2, decode_rows=1).run([task])
    expected = stock(parts, TextToImage)(
        prompt=PROMPT,
        image=CONDITIONING,
        num_inference_steps=10,
        guidance_scale=2.0,
        controlnet_conditioning_scale=1.0,
        latents=task.noise[None],
        output_type="pt",
    ).images[0]
    assert torch.equal(as_unit(twin.image), expected)


def test_without_a_controlnet_and_latents_it_is_text_to_image(parts, networks):
    plain = {name: part for name, part in parts.items() if name != "controlnet"}
    family = StableDiffusion(**plain)
    noise = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(3))
    runs = [(timesteps_of(1.0, 10), (2.0,))]
    made = trajectories(0, runs, family.prompt(PROMPT), family.prompt(""))
    (image,) = DenoiserPool(family, rows=2, decode_rows=1).run([Job(0, noise, None, made)])
    expected = stock(plain, StableDiffusionPipeline)(
        prompt=PROMPT,
        height=64,
        width=64,
        num_inference_steps=10,
        guidance_scale=2.0,
        latents=noise[None],
        output_type="pt",
    ).images[0]
    assert torch.equal(as_unit(image.image), expected)
    assert family.fingerprint() != networks.fingerprint() and family.networks.keys() == {"unet"}
    with pytest.raises(ValueError, match="`controlnet` must be given .*Got None"):
        family.conditioning(CONDITIONING[0])


def test_fixed_mode_follows_the_formulas_of_the_paper(parts, networks):
    ratio, steps, scale = 0.5, 5, 3.0
    run = timesteps_of(ratio, steps, mode="fixed", aligned_start=False, pure_noise_at_one=False)
    task = job(networks, IMAGE, CONDITIONING, [(run, (scale,))])
    (twin,) = DenoiserPool(networks, rows=1, decode_rows=1).run([task])

    abar = networks.schedule.alphas_cumprod.double()
    x = abar[499].sqrt() * task.latents.double() + (1 - abar[499]).sqrt() * task.noise.double()
    assert run.timesteps == (401, 301, 201, 101, 1)
    for t, before in zip((401, 301, 201, 101, 1), (301, 201, 101, 1, 0), strict=True):
        conditional, null = (
            networks.denoiser(
                x[None].float(),
                torch.tensor([t]),
                {name: tensor[None] for name, tensor in condition.items()},
            )[0].double()
            for condition in conditions_of(task)
        )
        out = null + scale * (conditional - null)
        if networks.schedule.prediction_type == "epsilon":
            clean, noise = (x - (1 - abar[t]).sqrt() * out) / abar[t].sqrt(), out
        else:
            clean = abar[t].sqrt() * x - (1 - abar[t]).sqrt() * out
            noise = abar[t].sqrt() * out + (1 - abar[t]).sqrt() * x
        x = abar[before].sqrt() * clean + (1 - abar[before]).sqrt() * noise
    expected = networks.decode(x[None].float())[0]
    assert (twin.image - expected).abs().max() < 2e-5


def test_guidance_scale_one_is_the_conditional_model_and_costs_one_row(networks):
    runs = [(timesteps_of(0.5, 10), (1.0,))]
    pool = DenoiserPool(networks, rows=4)
    (twin,) = pool.run([job(networks, IMAGE, CONDITIONING, runs)])
    other = job(networks, IMAGE, CONDITIONING, runs)
    conditional, null = conditions_of(other)
    unused = {name: torch.full_like(tensor, torch.nan) for name, tensor in null.items()}
    for without in (unused, None):
        changed = replace(other, trajectories=trajectories(0, runs, conditional, without))
        (again,) = DenoiserPool(networks, rows=4).run([changed])
        assert torch.equal(twin.image, again.image)
    assert pool.counts["rows"] == 5


def test_step_equals_the_stock_scheduler_row_by_row(networks, parts):
    generator = torch.Generator().manual_seed(0)
    latents, predictions = torch.randn(2, 6, 4, 8, 8, generator=generator)
    scheduler = DDIMScheduler.from_config(parts["scheduler_config"])
    scheduler.set_timesteps(10)
    timesteps = [901, 701, 501, 301, 101, 1]
    previous = [t - 100 if t >= 100 else FINAL for t in timesteps]
    ours = ddim_step(latents, predictions, timesteps, previous, networks.schedule)
    for row, t in enumerate(timesteps):
        theirs = scheduler.step(predictions[row : row + 1], t, latents[row : row + 1]).prev_sample
        assert torch.equal(ours[row : row + 1], theirs)


def test_the_first_step_is_shared_by_all_guidance_scales(epsilon_networks):
    pool = DenoiserPool(epsilon_networks, rows=16)
    twins = list(pool.run(full_grid_jobs(epsilon_networks, 8)))
    assert len(twins) == 8 * 40
    # Per source: stock evaluates 7 rows (1 + 3 pairs) at each of 1 + ... + 10 steps; of every
    # first step 2 rows are left (P1).
    stock_rows, ours = 8 * 7 * 55, 8 * (10 * 2 + 7 * 45)
    assert pool.counts["rows"] == ours
    assert ours / stock_rows == pytest.approx(0.870, abs=1e-3)
    # Calls are full but for the last few (P3).
    assert pool.counts["rows"] / (pool.counts["calls"] * 16) >= 0.97
    assert pool.counts["decodes"] == 8 * 40 / 4


def test_random_configs_and_fixed_mode_fill_the_calls_too(epsilon_networks):
    generator = torch.Generator().manual_seed(3)
    randoms = []
    for number, base in enumerate(full_grid_jobs(epsilon_networks, 48, ratios=1)):
        ratio = torch.randint(1, 11, (1,), generator=generator).item() / 10
        scale = SCALES[int(torch.randint(0, 4, (1,), generator=generator))]
        runs = [(timesteps_of(ratio, 10), (scale,))]
        randoms.append(with_runs(base, runs, group=number // 8))
    runs = [(timesteps_of(r, 5, mode="fixed"), (2.0,)) for r in (0.2, 0.5, 1.0)]
    fixed = [with_runs(base, runs) for base in full_grid_jobs(epsilon_networks, 12, ratios=1)]
    for jobs in (randoms, fixed):
        pool = DenoiserPool(epsilon_networks, rows=8)
        list(pool.run(jobs))
        assert pool.counts["rows"] / (pool.counts["calls"] * 8) >= 0.97


def test_a_sample_does_not_depend_on_its_batch_mates(epsilon_networks):
    jobs = full_grid_jobs(epsilon_networks, 4, ratios=3, scales=(1.0, 3.0))

    def images(some):
        pool = DenoiserPool(epsilon_networks, rows=8)
        return {t.key: t.image for t in pool.run(some)}

    together = images(jobs)
    reversed_order = images(jobs[::-1])
    alone = {k: v for some in jobs for k, v in images([some]).items()}
    unshared = {}
    for some in jobs:
        for trajectory in some.trajectories:
            unshared |= images([replace(some, trajectories=(trajectory,))])
    for other in (reversed_order, alone, unshared):
        assert other.keys() == together.keys()
        assert all(torch.equal(other[key], together[key]) for key in together)


def test_half_precision_does_not_depend_on_batch_mates_either():
    networks = StableDiffusion(**random_parts(CHANNELS), dtype=torch.bfloat16)
    jobs = full_grid_jobs(networks, 3, ratios=1, scales=(1.0, 3.0), steps=3)
    together = {t.key: t.image for t in DenoiserPool(networks, rows=8).run(jobs)}
    for some in jobs:
        for twin in DenoiserPool(networks, rows=8).run([some]):
            assert torch.equal(twin.image, together[twin.key])
            assert twin.image.dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sample_on_a_gpu_does_not_depend_on_its_batch_mates(dtype, compiled):
    parts = random_parts(CHANNELS)
    networks = StableDiffusion(**parts, device="cuda", dtype=dtype, compile_calls=compiled)
    jobs = full_grid_jobs(networks, 4, ratios=3, scales=(1.0, 3.0))
    together = {t.key: t.image for t in DenoiserPool(networks, rows=8).run(jobs)}
    for some in jobs:
        for twin in DenoiserPool(networks, rows=8).run([some]):
            assert torch.equal(twin.image, together[twin.key])


def test_lower_groups_finish_first(epsilon_networks):
    jobs = [
        replace(task, group=group)
        for group, task in enumerate(
            full_grid_jobs(epsilon_networks, 4, ratios=3, scales=(1.0, 3.0))
        )
    ]
    pool = DenoiserPool(epsilon_networks, rows=4, decode_rows=1)
    order = [twin.key.job for twin in pool.run(jobs)]
    last = {key: len(order) - 1 - order[::-1].index(key) for key in range(4)}
    assert sorted(last, key=lambda key: last[key]) == [0, 1, 2, 3]


def test_nan_stays_with_its_own_sample(epsilon_networks):
    runs = [(timesteps_of(0.5, 4), (2.0,))]
    good = job(epsilon_networks, IMAGE, CONDITIONING, runs, key="good")
    spoiled = trajectories("bad", runs, *conditions_of(good))
    bad = replace(good, latents=torch.full_like(good.latents, torch.nan), trajectories=spoiled)
    twins = {t.key.job: t for t in DenoiserPool(epsilon_networks, rows=4).run([bad, good])}
    (alone,) = DenoiserPool(epsilon_networks, rows=4).run([good])
    assert torch.isnan(twins["bad"].image).any()
    assert torch.equal(twins["good"].image, alone.image)


@pytest.mark.parametrize("option", ["rows", "decode_rows"])
def test_a_pool_without_rows_is_refused(epsilon_networks, option):
    with pytest.raises(ValueError, match=f"`{option}` must be at least 1"):
        DenoiserPool(epsilon_networks, **{"rows": 1, option: 0})
