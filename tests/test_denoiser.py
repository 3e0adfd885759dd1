"""What makes calls cheaper: shared prefixes exactly, the opt-in approximations as they promise."""

import copy
import logging
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderTiny

from scribblegen.engine.denoising import Denoising
from scribblegen.engine.encode_ratio import SAMPLERS, timesteps_of
from scribblegen.engine.pool import DenoiserPool
from scribblegen.families.compiled import compiled
from scribblegen.families.stable_diffusion.deep_cache import DeepCache
from scribblegen.families.stable_diffusion.denoiser import StableDiffusionDenoiser
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.stable_diffusion.shared_prefix import prefix_modules, share_prefix
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
from tests.test_samplers import stock as stock_scheduler


@pytest.fixture(scope="module")
def parts():
    return random_parts(CHANNELS)


@pytest.fixture(scope="module")
def networks(parts):
    return StableDiffusion(**parts)


def pair_arguments(networks, rows, *, same_conditioning=True):
    generator = torch.Generator().manual_seed(rows)
    half = rows // 2
    conditionings = networks.embed_conditioning(
        torch.rand(rows, CHANNELS, 64, 64, generator=generator)
    )
    latents = torch.randn(half, 4, 16, 16, generator=generator).repeat(2, 1, 1, 1)
    timesteps = torch.randint(0, 1000, (half,), generator=generator).repeat(2)
    same = conditionings[:half].repeat(2, 1, 1, 1)
    condition = {
        "prompt": torch.randn(rows, *networks.prompt("")["prompt"].shape, generator=generator),
        "conditioning": same if same_conditioning else conditionings,
        "conditioning_scale": torch.ones(rows),
    }
    return latents, timesteps, condition


@pytest.mark.parametrize("rows", [2, 4, 8, 16])
def test_a_shared_prefix_changes_no_bit(networks, rows):
    arguments = pair_arguments(networks, rows)
    alone = networks.denoiser(*arguments)
    shared = frozenset({"conditioning", "conditioning_scale"})
    assert torch.equal(networks.denoiser(*arguments, shared=shared), alone)
    assert torch.equal(networks.denoiser(*arguments, shared=frozenset()), alone)
    other_conditioning = pair_arguments(networks, rows, same_conditioning=False)
    alone = networks.denoiser(*other_conditioning)
    assert torch.equal(networks.denoiser(*other_conditioning, shared=frozenset()), alone)


def test_a_shared_prefix_is_evaluated_once_per_pair(networks):
    rows = []

    def count(module, inputs, output):
        rows.append(len(inputs[0]))

    watched = [
        network.get_submodule(name)
        for network in (networks.unet, networks.controlnet)
        for name in prefix_modules(network)
        if not name.endswith("attn1")  # called without positional arguments
    ]
    handles = [module.register_forward_hook(count) for module in watched]
    networks.denoiser(*pair_arguments(networks, 8), shared=frozenset({"conditioning"}))
    assert rows == [4] * len(watched)
    rows.clear()
    networks.denoiser(*pair_arguments(networks, 8))
    assert rows == [4, 4] * len(watched)
    for handle in handles:
        handle.remove()


def test_the_prefix_ends_where_the_prompt_is_first_looked_at(networks):
    names = prefix_modules(networks.unet)
    assert names[0] == "conv_in" and names[-1].endswith("transformer_blocks.0.attn1")
    seen = []
    first = networks.unet.get_submodule(names[-1].replace("attn1", "attn2"))
    others = [m for n, m in networks.unet.named_modules() if n.endswith("attn2")]
    handles = [m.register_forward_hook(lambda m, i, o: seen.append(m)) for m in others]
    networks.denoiser(*pair_arguments(networks, 4))
    assert seen[0] is first
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize(
    "change",
    [{"class_embed_type": "timestep"}, {"addition_embed_type": "text"}, {"down_block": "Other"}],
)
def test_an_unknown_network_is_called_as_it_is(networks, change):
    unet = copy.deepcopy(networks.unet)
    if "down_block" in change:
        unet.down_blocks[0].__class__ = type("Other", (type(unet.down_blocks[0]),), {})
    else:
        unet.register_to_config(**change)
    assert prefix_modules(unet) == []
    assert share_prefix(unet, halves_are_equal=True) is unet


def test_guided_rows_go_together_as_pairs(networks):
    pool = DenoiserPool(networks, rows=8)
    list(pool.run(full_grid_jobs(networks, 4, ratios=3, scales=(2.0, 4.0))))
    assert pool.counts["paired_calls"] == pool.counts["calls"]
    # With unguided rows among them, nine of ten still do.
    pool = DenoiserPool(networks, rows=8)
    list(pool.run(full_grid_jobs(networks, 8, ratios=5, scales=SCALES)))
    assert pool.counts["paired_calls"] / pool.counts["calls"] > 0.6


def controlled_in(start, end, probe=None):
    windows = {name: (start, end) for name in ("conditioning", "conditioning_scale")}
    return Denoising(windows=windows, probe=probe)


@pytest.mark.parametrize("start, end", [(0.0, 0.5), (0.3, 1.0), (0.2, 0.8)])
def test_control_in_a_part_of_the_steps_is_the_stock_pipeline_s(parts, networks, start, end):
    expected = stock(parts)(
        prompt=PROMPT,
        image=UNIT_IMAGE,
        control_image=CONDITIONING,
        strength=0.8,
        num_inference_steps=10,
        guidance_scale=3.0,
        controlnet_conditioning_scale=1.0,
        control_guidance_start=start,
        control_guidance_end=end,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images[0]
    runs = [(timesteps_of(0.8, 10), (3.0,))]
    for rows in (2, 8):
        pool = DenoiserPool(networks, rows=rows, denoising=controlled_in(start, end))
        (twin,) = pool.run([job(networks, IMAGE, CONDITIONING, runs, conditioning_rows=2)])
        assert (as_unit(twin.image) - expected).abs().max() < 2e-5


@pytest.mark.parametrize("sampler", ["dpmsolver++", "lcm"])
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_few_step_samplers_equal_the_stock_pipeline(parts, networks, sampler, ratio):
    pipeline = stock(parts)
    pipeline.scheduler = stock_scheduler(sampler)
    expected = pipeline(
        prompt=PROMPT,
        image=UNIT_IMAGE,
        control_image=CONDITIONING,
        strength=ratio,
        num_inference_steps=8,
        guidance_scale=2.0,
        controlnet_conditioning_scale=1.0,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images[0]
    run = timesteps_of(ratio, 8, sampler=sampler, pure_noise_at_one=False)
    base = job(networks, IMAGE, CONDITIONING, [(run, (2.0,))], conditioning_rows=2)
    generator = torch.Generator().manual_seed(5)
    draws = torch.randn(2 + run.num_steps, 1, 4, 16, 16, generator=generator)
    task = replace(base, step_noises=tuple(draw[0] for draw in draws[2:]))
    (twin,) = DenoiserPool(networks, rows=2, denoising=Denoising(sampler=sampler)).run([task])
    assert (as_unit(twin.image) - expected).abs().max() < 5e-5


@pytest.mark.parametrize(
    "denoising",
    [
        controlled_in(0, 0.5),
        Denoising(probe=DeepCache(2)),
        controlled_in(0, 0.6, DeepCache(3)),
        *(Denoising(sampler=sampler) for sampler in SAMPLERS),
    ],
    ids=lambda d: f"{d.sampler} {len(d.windows)} {d.probe and d.probe.interval}",
)
def test_an_approximated_sample_does_not_depend_on_its_batch_mates_either(networks, denoising):
    jobs = []
    runs = [(timesteps_of(r, 9, sampler=denoising.sampler), (1.0, 3.0)) for r in (0.4, 1.0)]
    for number, base in enumerate(full_grid_jobs(networks, 4, ratios=3, scales=(1.0, 3.0))):
        generator = torch.Generator().manual_seed(number)
        noises = tuple(torch.randn(9, 4, 16, 16, generator=generator))
        jobs.append(with_runs(base, runs, step_noises=noises))
    images = [
        {
            twin.key: twin.image
            for some in batch
            for twin in DenoiserPool(networks, rows=8, denoising=denoising).run(some)
        }
        for batch in ([jobs], [jobs[::-1]], [[one] for one in jobs])
    ]
    assert all(other.keys() == images[0].keys() for other in images)
    assert all(torch.equal(other[k], images[0][k]) for other in images for k in images[0])


def test_a_shallow_step_over_its_own_features_is_the_whole_step(networks):
    arguments = pair_arguments(networks, 4)
    whole = networks.denoiser(*arguments)
    latents, timesteps, condition = arguments
    cache = DeepCache(2)

    def watched(condition):
        with cache.attach(networks.networks, condition):
            output = networks.denoiser.observed(latents, timesteps, condition)
        kept = cache.collect()
        return output, cache.predict(networks.networks, latents, timesteps, condition, kept)

    for output in watched(condition):
        assert (output - whole).abs().max() < 1e-5
    uncontrolled = {"prompt": condition["prompt"]}
    scaled_to_nothing = {**condition, "conditioning_scale": torch.zeros(4)}
    without = networks.denoiser(latents, timesteps, uncontrolled)
    assert torch.equal(networks.denoiser(latents, timesteps, scaled_to_nothing), without)
    assert (without - whole).abs().max() > 1e-2
    for one, other in zip(watched(uncontrolled), watched(scaled_to_nothing), strict=True):
        assert (one - without).abs().max() < 1e-5
        assert torch.equal(one, other)


def test_a_deep_cache_spares_rows_and_stays_near(networks):
    runs = [(timesteps_of(1.0, 12), (2.0,))]
    images, calls = [], []
    handle = networks.unet.mid_block.register_forward_hook(lambda *_: calls.append(1))
    for interval, probe in ((1, None), (3, DeepCache(3))):
        calls.clear()
        pool = DenoiserPool(networks, rows=2, denoising=Denoising(probe=probe))
        (twin,) = pool.run([job(networks, IMAGE, CONDITIONING, runs)])
        assert len(calls) == 12 // interval
        assert twin.left == {}
        images.append(twin.image)
    handle.remove()
    assert 0 < (images[0] - images[1]).abs().max() < 1


def test_a_tiny_vae_decodes_instead(parts):
    torch.manual_seed(0)
    tiny_vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    )
    networks = StableDiffusion(**parts, tiny_vae=tiny_vae)
    latents = torch.randn(2, 4, 16, 16)
    assert torch.equal(networks.decode(latents), tiny_vae.decode(latents).sample)
    assert networks.decode(latents).shape == (2, 3, 64, 64)
    assert networks.fingerprint() != StableDiffusion(**parts).fingerprint()


class RoundsByKind(StableDiffusionDenoiser):
    """As torch.compile does it: each form of a call is a graph that rounds in its own way."""

    def __call__(self, latents, timesteps, condition, *, shared=None):
        output = super().__call__(latents, timesteps, condition, shared=shared)
        paired, same = shared is not None, "conditioning" in (shared or ())
        return output + 1e-3 * paired + 1e-4 * ("conditioning" in condition) + 1e-5 * same


def rounding_by_kind(parts):
    networks = StableDiffusion(**parts)
    networks.is_compiled = True
    networks.denoiser = RoundsByKind(networks.unet, networks.controlnet)
    return networks


@pytest.mark.parametrize("denoising", [Denoising(), controlled_in(0, 0.5)], ids=["all", "half"])
@pytest.mark.parametrize("null", ["alike", "of two kinds", "uncontrolled"])
def test_a_row_always_goes_through_the_same_graph(parts, denoising, null):
    networks = rounding_by_kind(parts)
    jobs = full_grid_jobs(networks, 4, ratios=3, scales=(1.0, 3.0), steps=9)
    for number in () if null == "alike" else (0, 2):
        conditional, unconditional = conditions_of(jobs[number])
        others = {"conditioning": conditional["conditioning"] * 0.5}
        changed = {**unconditional, **others}
        if null == "uncontrolled":
            changed = {"prompt": unconditional["prompt"]}
        runs = [(t.timesteps, (t.guidance_scale,)) for t in jobs[number].trajectories]
        made = trajectories(number, runs, conditional, changed)
        jobs[number] = replace(jobs[number], trajectories=made)

    def images(some):
        pool = DenoiserPool(networks, rows=8, denoising=denoising)
        return {t.key: t.image for t in pool.run(some)}

    together, backwards = images(jobs), images(jobs[::-1])
    alone = {k: v for one in jobs for k, v in images([one]).items()}
    assert all(torch.equal(other[k], together[k]) for other in (backwards, alone) for k in together)


def test_graphs_of_their_own_fill_their_calls_too(parts):
    networks = rounding_by_kind(parts)
    pool = DenoiserPool(networks, rows=16)
    list(pool.run(full_grid_jobs(networks, 8)))
    assert pool.counts["rows"] / (pool.counts["calls"] * 16) >= 0.97
    with pytest.raises(ValueError, match="`rows` must be even"):
        DenoiserPool(networks, rows=7)


def test_what_cannot_be_compiled_runs_as_it_is_with_one_warning(caplog):
    def call(tensor):
        return tensor + 1

    def broken(*_, **__):
        raise RuntimeError("no compiler here\nand more")

    run = compiled(call)
    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", lambda f, **_: broken)
        run = compiled(call)
        for _ in range(3):
            assert torch.equal(run(torch.zeros(2)), torch.ones(2))
    assert [r.getMessage() for r in caplog.records] == [
        "torch.compile failed, going on without it: no compiler here"
    ]


def test_conditions_of_another_source_are_never_taken(networks):
    """Rows of a pair keep their own conditionings and prompts."""
    base, other = full_grid_jobs(networks, 2, ratios=1, scales=(3.0,))
    theirs = {"conditioning": conditions_of(other)[0]["conditioning"]}
    mixed = [{**condition, **theirs} for condition in conditions_of(base)]
    runs = [(base.trajectories[0].timesteps, (3.0,))]
    jobs = [base, replace(base, trajectories=trajectories(1, runs, *mixed))]
    together = {t.key.job: t.image for t in DenoiserPool(networks, rows=8).run(jobs)}
    for number, one in enumerate(jobs):
        (alone,) = DenoiserPool(networks, rows=8).run([one])
        assert torch.equal(alone.image, together[number])
    assert not torch.equal(together[0], together[1])
