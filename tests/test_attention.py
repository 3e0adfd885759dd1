"""What the attention probe keeps is what the networks attend to, and it changes nothing of them."""

import math
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention

from scribblegen.engine.denoising import Denoising
from scribblegen.engine.encode_ratio import timesteps_of
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.engine.probes import Use
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.segmenting.attention import LOOKED_FOR, WORDS, AttentionProbe, maps_of_queries
from scribblegen.tiny.random_weights import random_parts
from tests.pool_jobs import CHANNELS

TOKENS = 128  # of a prompt of the random pipeline
TEXTS = ("a red ball", "a house by water", "sky", "a boat and a fish")


@pytest.fixture(scope="module")
def family():
    return StableDiffusion(**random_parts(CHANNELS))


def words_of(seed, count=3, tokens=TOKENS):
    """(count, tokens): shares of some tokens, the last word without any."""
    weights = torch.rand(count, tokens, generator=torch.Generator().manual_seed(seed))
    weights = torch.where(weights > 0.9, weights, torch.zeros(()))
    weights[-1] = 0
    return weights


def call(family, size=(16, 16), texts=TEXTS):
    """Latents, timesteps and condition of one call, every row with words of its own."""
    rows = len(texts)
    latents = torch.randn(rows, 4, *size, generator=torch.Generator().manual_seed(1))
    condition = {
        "prompt": torch.stack([family.prompt(text)["prompt"] for text in texts]),
        WORDS: torch.stack([words_of(row) for row in range(rows)]),
    }
    return latents, torch.linspace(100, 900, rows).round(), condition


def kept(probe, family, arguments):
    with probe.attach(family.networks, arguments[2]):
        output = family.denoiser.observed(*arguments)
    return probe.collect(), output


def attended(unet, latents, timesteps, prompts):
    """By path, the shares (B, heads, N, T) as a processor that writes them down computes them."""
    found = {}

    class Written:
        def __init__(self, path):
            self.path = path

        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            query = attn.head_to_batch_dim(attn.to_q(hidden_states))
            key = attn.head_to_batch_dim(attn.to_k(text))
            value = attn.head_to_batch_dim(attn.to_v(text))
            shares = attn.get_attention_scores(query, key)
            found[self.path] = shares.unflatten(0, (len(hidden_states), attn.heads))
            out = attn.batch_to_head_dim(torch.bmm(shares, value))
            return attn.to_out[1](attn.to_out[0](out))

    before = dict(unet.attn_processors)
    attentions = {p: m for p, m in unet.named_modules() if isinstance(m, Attention)}
    for path, module in attentions.items():
        module.processor = Written(path)
    with torch.inference_mode():
        unet(latents, timesteps, encoder_hidden_states=prompts)
    unet.set_attn_processor(before)
    return found


@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
def test_maps_are_what_the_network_attends_to(family, size):
    latents, timesteps, condition = arguments = call(family, size)
    maps, _ = kept(AttentionProbe(self_factors=(1,)), family, arguments)
    shares = attended(family.unet, latents, timesteps, condition["prompt"])
    cross = [s for path, s in shares.items() if path.endswith("attn2") and "mid" not in path]
    expected = torch.stack([torch.einsum("bhnt,bwt->bwn", s, condition[WORDS]) for s in cross])
    expected = expected.mean(0).div(cross[0].shape[1]).unflatten(-1, size)
    assert maps["cross.1"].shape == (4, 3, *size)
    torch.testing.assert_close(maps["cross.1"], expected, atol=1e-6, rtol=1e-5)
    own = [s for path, s in shares.items() if path.endswith("attn1") and "mid" not in path]
    expected = torch.stack(own).mean(dim=(0, 2)).unflatten(1, size)
    torch.testing.assert_close(maps["self.1"], expected, atol=1e-6, rtol=1e-5)
    assert maps["cross.2"].shape == (4, 3, size[0] // 2, size[1] // 2)  # of the middle


def test_nothing_of_the_networks_changes(family):
    arguments = call(family)
    plain = family.denoiser.observed(*arguments)
    before = dict(family.unet.attn_processors)
    _, output = kept(AttentionProbe(self_factors=(1, 2)), family, arguments)
    assert torch.equal(output, plain)
    assert family.unet.attn_processors == before

    probe = AttentionProbe()
    with pytest.raises(RuntimeError, match="stopped"), probe.attach(family.networks, arguments[2]):
        raise RuntimeError("stopped")
    for module in family.unet.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_the_shares_of_all_tokens_sum_to_one(family):
    latents, timesteps, condition = call(family)
    condition[WORDS] = torch.eye(TOKENS).expand(len(latents), -1, -1)
    maps, _ = kept(AttentionProbe(), family, (latents, timesteps, condition))
    for map_ in maps.values():
        torch.testing.assert_close(map_.sum(dim=1), torch.ones_like(map_[:, 0]))


def test_words_without_tokens_have_empty_maps(family):
    maps, _ = kept(AttentionProbe(), family, call(family))
    assert not maps["cross.1"][:, -1].any() and maps["cross.1"][:, 0].all()


def test_only_the_widths_that_are_asked_for_are_kept(family):
    arguments = call(family)
    maps, _ = kept(AttentionProbe(factors=(2,)), family, arguments)
    assert set(maps) == {"cross.2"}


def jobs_of(family, guidance_scale, steps=5):
    jobs = []
    for number, text in enumerate(TEXTS):
        noise = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(number))
        told = {**family.prompt(text), WORDS: words_of(number)}
        run = timesteps_of(1.0, steps)
        null = family.prompt("") if guidance_scale != 1 else None
        jobs.append(Job(number, noise, None, (Trajectory(text, run, guidance_scale, told, null),)))
    return jobs


def finished(family, jobs, probe, rows=6):
    pool = DenoiserPool(family, rows=rows, denoising=Denoising(probe=probe))
    return {one.key: one for one in pool.run(jobs)}


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_images_are_those_without_a_probe(family, guidance_scale):
    plain = finished(family, jobs_of(family, guidance_scale), None)
    probed = finished(family, jobs_of(family, guidance_scale), AttentionProbe())
    for text in TEXTS:
        # A call that is looked at is equal to the bit, as above; without a look the pool may
        # compute the same in calls of another shape, which round otherwise on some processors.
        torch.testing.assert_close(probed[text].image, plain[text].image, atol=1e-5, rtol=0)
        assert set(probed[text].left) == {"cross.1", "cross.2"}
        assert probed[text].left["cross.1"].dtype == torch.float32


def test_prompts_of_one_call_keep_maps_of_their_own(family):
    jobs = jobs_of(family, 4.0)
    together = finished(family, jobs, AttentionProbe())
    for job in jobs:
        ((text, alone),) = finished(family, [job], AttentionProbe()).items()
        for name, map_ in alone.left.items():
            assert torch.equal(map_, together[text].left[name])


def test_a_window_of_steps_is_what_two_windows_differ_by(family):
    def sums(start, end, steps):
        probe = AttentionProbe(start=start, end=end)
        return {
            k: v.left["cross.1"] * steps
            for k, v in finished(family, jobs_of(family, 1), probe).items()
        }

    whole, first, rest = sums(0, 1, 5), sums(0, 0.4, 2), sums(0.4, 1, 3)
    for text in TEXTS:
        torch.testing.assert_close(whole[text] - first[text], rest[text], atol=1e-6, rtol=1e-4)


def test_a_short_run_is_watched_in_one_step_at_least():
    probe = AttentionProbe(start=0.9, end=1.0)
    assert [probe.use(step, 2, 0) for step in range(2)] == [Use.PLAIN, Use.PROBED]
    assert [probe.use(0, 1, branch) for branch in (0, 1)] == [Use.PROBED, Use.PLAIN]
    with pytest.raises(ValueError, match="`start` must be below `end`"):
        AttentionProbe(start=0.5, end=0.5)


def test_queries_find_any_words_afterwards(family):
    """With the words of the prompt itself they give what the probe of words keeps."""
    by_words = finished(family, jobs_of(family, 4.0), AttentionProbe())
    by_queries = finished(family, jobs_of(family, 4.0), AttentionProbe(keep_queries=True))
    for number, text in enumerate(TEXTS):
        left = by_queries[text].left
        prompt = family.prompt(text)["prompt"]
        maps = maps_of_queries(family.networks, left, prompt, words_of(number))
        assert set(maps) == {"cross.1", "cross.2"}
        for name, map_ in maps.items():
            torch.testing.assert_close(map_, by_words[text].left[name], atol=1e-5, rtol=0)
        assert torch.equal(by_queries[text].image, by_words[text].image)
    others = maps_of_queries(
        family.networks, left, family.prompt("mushroom")["prompt"], words_of(9)
    )
    assert others["cross.1"].shape == (3, 16, 16)


def test_words_of_another_text_are_looked_for_while_an_image_is_drawn(family):
    """What queries that are kept find afterwards, without keeping any."""
    other, words = family.prompt("a green mushroom")["prompt"], words_of(9)
    asked = {LOOKED_FOR: other, WORDS: words}
    jobs = [
        replace(job, trajectories=(replace(t, conditional={**t.conditional, **asked}),))
        for job in jobs_of(family, 4.0)
        for t in job.trajectories
    ]
    asking = finished(family, jobs, AttentionProbe())
    by_queries = finished(family, jobs_of(family, 4.0), AttentionProbe(keep_queries=True))
    for text in TEXTS:
        maps = maps_of_queries(family.networks, by_queries[text].left, other, words)
        for name, map_ in maps.items():
            torch.testing.assert_close(asking[text].left[name], map_, atol=1e-5, rtol=0)
        assert torch.equal(asking[text].image, by_queries[text].image)


def test_two_text_encoders_with_what_goes_beside_them():
    """SDXL's UNet: text of both encoders side by side, and pooled text beside it."""
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 8,
        cross_attention_dim=24,
    ).eval()
    words = words_of(0, tokens=7)[None].expand(2, -1, -1)
    probe = AttentionProbe()
    with torch.inference_mode(), probe.attach({"unet": unet}, {WORDS: words}):
        unet(
            torch.randn(2, 4, 8, 12),
            torch.tensor([10, 500]),
            encoder_hidden_states=torch.randn(2, 7, 24),
            added_cond_kwargs={"text_embeds": torch.randn(2, 8), "time_ids": torch.ones(2, 6)},
        )
    assert {name: tuple(m.shape) for name, m in probe.collect().items()} == {
        "cross.2": (2, 3, 4, 6)
    }


def attention_alone(**options):
    torch.manual_seed(0)
    return Attention(query_dim=8, heads=2, dim_head=4, cross_attention_dim=6, **options).eval()


class Alone(torch.nn.Module):
    """An attention in the place that the probe looks for one."""

    def __init__(self, attention):
        super().__init__()
        self.transformer = Transformer2DModel(attention)

    def forward(self, sample, **kwargs):
        return self.transformer(sample, **kwargs)


class Transformer2DModel(torch.nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.attn2 = attention

    def forward(self, hidden_states, **kwargs):
        return self.attn2(hidden_states.flatten(2).transpose(1, 2), **kwargs)


def maps_alone(attention, text, words, **kwargs):
    probe, network = AttentionProbe(), Alone(attention)
    sample = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode(), probe.attach({"unet": network}, {WORDS: words}):
        network(sample, encoder_hidden_states=text, **kwargs)
    return probe.collect()["cross.1"]


def test_what_an_ip_adapter_adds_is_not_looked_at():
    text, pictures = torch.randn(1, 5, 6), [torch.randn(1, 1, 2, 6)]
    words = torch.eye(5)[None]

    class TakesBoth:
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **kwargs):
            return hidden_states + encoder_hidden_states[0].mean()

    attention = attention_alone()
    expected = maps_alone(attention, text, words)
    attention.processor = TakesBoth()
    assert torch.equal(maps_alone(attention, (text, pictures), words), expected)
    attention = attention_alone()
    beside = torch.cat([text, torch.randn(1, 2, 6)], dim=1)  # an older form: behind the prompt
    assert torch.equal(maps_alone(attention, beside, words), expected)


def test_a_layer_that_was_adapted_is_asked_as_it_is():
    """LoRA puts its own module in the place of `to_q`."""

    class Adapted(torch.nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer, self.delta = layer, torch.nn.Linear(8, 8)

        def forward(self, values):
            return self.layer(values) + self.delta(values)

    attention, text, words = attention_alone(), torch.randn(1, 5, 6), torch.eye(5)[None]
    before = maps_alone(attention, text, words)
    attention.to_q = Adapted(attention.to_q)
    after = maps_alone(attention, text, words)
    assert not torch.allclose(after, before, atol=1e-4)
    sample = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    hidden = sample.flatten(2).transpose(1, 2)
    query = attention.to_q(hidden).unflatten(-1, (2, 4)).transpose(1, 2)
    key = attention.to_k(text).unflatten(-1, (2, 4)).transpose(1, 2)
    shares = (query @ key.transpose(-1, -2) / math.sqrt(4)).softmax(-1).mean(1)
    torch.testing.assert_close(after[0].flatten(1), shares[0].T, atol=1e-6, rtol=1e-5)


def test_masked_and_normalised_attention_is_followed():
    text, words = torch.randn(1, 5, 6), torch.eye(5)[None]
    mask = torch.tensor([[[0.0, 0.0, 0.0, -10000.0, -10000.0]]])
    maps = maps_alone(attention_alone(), text, words, attention_mask=mask)
    assert not maps[0, 3:].any()
    torch.testing.assert_close(maps.sum(1), torch.ones(1, 4, 4))
    attention = attention_alone(cross_attention_norm="layer_norm", qk_norm="layer_norm")
    normalised = maps_alone(attention, text, words)
    hidden = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    hidden = hidden.flatten(2).transpose(1, 2)
    query = attention.norm_q(attention.to_q(hidden).unflatten(-1, (2, 4)).transpose(1, 2))
    key = attention.norm_k(
        attention.to_k(attention.norm_cross(text)).unflatten(-1, (2, 4)).transpose(1, 2)
    )
    shares = (query @ key.transpose(-1, -2) / math.sqrt(4)).softmax(-1).mean(1)
    torch.testing.assert_close(normalised[0].flatten(1), shares[0].T, atol=1e-6, rtol=1e-5)
