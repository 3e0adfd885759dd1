"""The autoencoder and the text-to-image base that a small pipeline is made of."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.families.open import load_base, load_diffusion
from scribblegen.families.schedule import DiffusionSchedule, read_schedule
from scribblegen.segmenting.attention import WORDS, AttentionProbe
from scribblegen.tiny.pack import pack
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig
from scribblegen.trainers.controlnet.trainer import ControlNetTrainer
from scribblegen.trainers.noise import Noise, noised_latents
from scribblegen.trainers.small_pipeline.autoencoder import (
    AutoencoderTrainer,
    new_autoencoder,
    whiten_latents,
)
from scribblegen.trainers.small_pipeline.autoencoder_config import AutoencoderConfig
from scribblegen.trainers.small_pipeline.grounding import grounding_loss
from scribblegen.trainers.small_pipeline.photographs import Photographs
from scribblegen.trainers.small_pipeline.text_to_image import TextToImageTrainer
from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig
from scribblegen.trainers.small_pipeline.text_to_image_model import scheduler_config
from scribblegen.trainers.small_pipeline.tokenizer import word_tokenizer

SOURCE = ScenesConfig(ids="0:12", scene_size=64, scribbles="mask")
AUTOENCODER = AutoencoderConfig(
    block_out_channels=[8, 8, 16], norm_num_groups=4, max_train_steps=6, learning_rate=2e-3
)
BASE = TextToImageConfig(
    block_out_channels=[16, 16],
    norm_num_groups=8,
    attention_heads=2,
    text_width=16,
    text_layers=1,
    max_train_steps=5,
    learning_rate=1e-3,
    class_prompts=0.5,
    prompt_stem="a photo",
    random_flip=True,
)


def train_autoencoder(folder, run=None, **changes):
    trainer = AutoencoderTrainer(
        replace(AUTOENCODER, **changes),
        TrainingRunConfig(output_dir=str(folder), **(run or {})),
        open_source(SOURCE),
        open_source(replace(SOURCE, ids="20:24")),
    )
    return trainer.train()


def train_base(folder, vae, run=None, source=SOURCE, **changes):
    config = replace(BASE, vae_model_name_or_path=str(vae), **changes)
    run_config = TrainingRunConfig(output_dir=str(folder), **(run or {}))
    return TextToImageTrainer(config, run_config, open_source(source)).train()


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    return train_autoencoder(tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def base(tmp_path_factory, autoencoder):
    return train_base(tmp_path_factory.mktemp("base"), autoencoder)


def weights(path):
    return load_file(path / "diffusion_pytorch_model.safetensors")


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_autoencoder_learns(tmp_path, autoencoder):
    better = train_autoencoder(tmp_path, max_train_steps=120)
    psnr = [
        json.loads((f / "metrics.json").read_text())["validation_psnr"]
        for f in (autoencoder, better)
    ]
    assert psnr[1] > psnr[0] + 2


def test_a_resumed_autoencoder_equals_an_uninterrupted_one(tmp_path, autoencoder):
    every = {"checkpointing_steps": 3}
    train_autoencoder(tmp_path, run=every)
    again = train_autoencoder(tmp_path, run={**every, "resume_from_checkpoint": "checkpoint-3"})
    assert equal(weights(again), weights(autoencoder))


def test_white_latents_decode_to_the_same_images():
    vae = new_autoencoder(AUTOENCODER).eval()
    images = Photographs(open_source(SOURCE), 64).batch(list(range(12)))
    with torch.no_grad():
        before, std = vae(images).sample, vae.encode(images).latent_dist.std
        raw = vae.encode(images).latent_dist.mean.std(dim=(0, 2, 3))
        whiten_latents(vae, images)
        posterior = vae.encode(images).latent_dist
        after = vae(images).sample
    assert torch.allclose(after, before, atol=1e-5)
    assert torch.allclose(posterior.mean.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(posterior.mean.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-4)
    # The sampling noise keeps its share of each channel.
    assert torch.allclose(posterior.std, std / raw[:, None, None], rtol=1e-3)


def test_the_stock_pipeline_loads_the_base_and_draws(base):
    pipeline = StableDiffusionPipeline.from_pretrained(base)
    card = ModelCard.load(base / "README.md")
    assert card.data.library_name == "diffusers" and "`text_layers` | 1 |" in card.content
    assert str(base.parent) not in card.content
    images = pipeline(
        "a photo of a red ball", num_inference_steps=2, output_type="np", guidance_scale=2.0
    ).images
    assert images.shape == (1, 64, 64, 3) and np.isfinite(images).all()


def test_the_levels_that_attend_to_the_text(tmp_path, autoencoder):
    """The finest one too where asked for; and words on their own, which no layer mixes."""
    folder = train_base(
        tmp_path / "base", autoencoder, first_attending_level=0, text_layers=0, max_train_steps=2
    )
    parts = load_base(folder)
    unet, encoder = parts["unet"], parts["text_encoder"]
    assert set(unet.config.down_block_types) == {"CrossAttnDownBlock2D"}
    assert set(unet.config.up_block_types) == {"CrossAttnUpBlock2D"}
    one, other = encoder(torch.tensor([[0, 5, 7, 9], [0, 6, 7, 1]]))[0]
    assert torch.equal(one[[0, 2]], other[[0, 2]]) and not torch.equal(one[1], other[1])
    with pytest.raises(
        ValueError, match=r"`first_attending_level` must be one of the levels.*0 to 1"
    ):
        replace(BASE, first_attending_level=2)


def test_a_base_goes_on_where_another_ended(tmp_path, base):
    """With attention at a finer level, which adds nothing before it is trained."""
    blind = {"first_attending_level": 1, "max_train_steps": 2}
    first = train_base(tmp_path / "first", base / "vae", **blind)
    parts = load_base(first)
    config = replace(
        BASE, pretrained_model_name_or_path=str(first), first_attending_level=0, learning_rate=1e-4
    )
    trainer = TextToImageTrainer(
        config, TrainingRunConfig(output_dir=str(tmp_path / "on")), open_source(SOURCE)
    )
    latents, steps = torch.randn(2, 4, 16, 16), torch.tensor([10, 900])
    tokens = trainer.cache.tokens([0, 1], [False, True])
    with torch.no_grad():
        text = parts["text_encoder"](tokens)[0]
        before = parts["unet"](latents, steps, encoder_hidden_states=text).sample
        assert torch.allclose(trainer.module(latents, steps, tokens), before, atol=1e-5)
    folder = trainer.train()
    assert load_base(folder)["unet"].config.down_block_types[0] == "CrossAttnDownBlock2D"
    assert equal(weights(folder / "vae"), weights(base / "vae"))
    grown = weights(folder / "unet")["down_blocks.0.attentions.0.proj_out.weight"]
    assert grown.abs().max() > 0, "and then it learns"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_width": 32}, r"`pretrained_model_name_or_path` must have a UNet of the sizes"),
        ({"text_layers": 2}, r"must have a text encoder of the sizes that the options give"),
        ({"prediction_type": "epsilon"}, r"must be that of .*, v_prediction. Got epsilon"),
    ],
)
def test_a_pipeline_of_other_sizes_is_not_gone_on_from(tmp_path, base, changes, message):
    with pytest.raises(ValueError, match=message):
        train_base(tmp_path, base / "vae", pretrained_model_name_or_path=str(base), **changes)


def test_an_autoencoder_or_a_pipeline_must_be_given(tmp_path):
    with pytest.raises(ValueError, match="`vae_model_name_or_path` must be given.*or `pretrained"):
        TextToImageTrainer(BASE, TrainingRunConfig(output_dir=str(tmp_path)), open_source(SOURCE))


def test_a_level_that_attends_to_the_text_alone(tmp_path, autoencoder):
    changes = {"first_attending_level": 0, "first_self_attending_level": 1, "max_train_steps": 1}
    parts = load_base(train_base(tmp_path, autoencoder, **changes))
    unet = parts["unet"]
    probe = AttentionProbe(self_factors=(1, 2))
    told = {WORDS: torch.ones(1, 1, 40)}
    with torch.no_grad(), probe.attach(parts, told):
        unet(torch.zeros(1, 4, 16, 16), 5, encoder_hidden_states=torch.zeros(1, 40, 16))
    assert set(probe.collect()) == {"cross.1", "cross.2", "self.2"}


def test_attention_learns_where_the_words_of_a_class_are(tmp_path, autoencoder):
    """Grounded by scribbles of its source, and only then."""
    found = {}
    for weight in (0.0, 1.0):
        changes = {"grounding_weight": weight, "first_attending_level": 0, "max_train_steps": 40}
        folder = train_base(tmp_path / str(weight), autoencoder, learning_rate=3e-3, **changes)
        found[weight] = ungrounded_share(load_base(folder), autoencoder)
    assert found[1.0] < found[0.0] - 0.3


def ungrounded_share(parts, vae):
    """The loss of grounding over the source's scenes, lightly noised."""
    trainer = TextToImageTrainer(
        replace(BASE, vae_model_name_or_path=str(vae), grounding_weight=1.0, random_flip=False),
        TrainingRunConfig(output_dir="unused"),
        open_source(SOURCE),
    )
    cache, rows, captions = trainer.cache, list(range(12)), [False] * 12
    probe = AttentionProbe()
    latents = cache.latents(rows, captions)[0]
    with torch.no_grad(), probe.attach(parts, {WORDS: cache.words(rows, captions)}):
        text = parts["text_encoder"](cache.tokens(rows, captions))[0]
        parts["unet"](latents, 50, encoder_hidden_states=text)
    return float(grounding_loss(probe.collect(), cache.labels(rows, captions))) / 12


def test_a_resumed_grounded_base_equals_an_uninterrupted_one(tmp_path, autoencoder):
    grounded = {"grounding_weight": 0.5, "first_attending_level": 0, "max_train_steps": 3}
    whole = train_base(tmp_path / "whole", autoencoder, **grounded)
    every = {"checkpointing_steps": 2}
    train_base(tmp_path / "cut", autoencoder, run=every, **grounded)
    again = train_base(
        tmp_path / "cut",
        autoencoder,
        run={**every, "resume_from_checkpoint": "checkpoint-2"},
        **grounded,
    )
    assert equal(weights(again / "unet"), weights(whole / "unet"))


def test_a_resumed_base_equals_an_uninterrupted_one(tmp_path, autoencoder, base):
    every = {"checkpointing_steps": 2}
    train_base(tmp_path, autoencoder, run=every)
    again = train_base(
        tmp_path, autoencoder, run={**every, "resume_from_checkpoint": "checkpoint-2"}
    )
    assert equal(weights(again / "unet"), weights(base / "unet"))
    assert equal(
        load_file(again / "text_encoder/model.safetensors"),
        load_file(base / "text_encoder/model.safetensors"),
    )


def test_accumulation_equals_the_large_batch(tmp_path, autoencoder, base):
    halves = train_base(tmp_path, autoencoder, train_batch_size=2, gradient_accumulation_steps=2)
    one, other = weights(halves / "unet"), weights(base / "unet")
    assert max(float((one[k] - other[k]).abs().max()) for k in one) < 2e-4


def test_the_whole_pipeline_packs_and_loads(tmp_path, base):
    parts = load_base(base)
    trainer = ControlNetTrainer(
        ControlNetConfig(max_train_steps=2, prompt_stem="a photo", both_dropout=0.1),
        ControlNetRunConfig(output_dir=str(tmp_path / "controlnet"), num_validation_images=1),
        open_source(replace(SOURCE, scribbles="auto")),
        base_parts=parts,
    )
    size = pack(base, trainer.train(), tmp_path / "packed")
    assert size == sum(p.stat().st_size for p in (tmp_path / "packed").rglob("*") if p.is_file())
    stored = weights(tmp_path / "packed/unet")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    diffusion = load_diffusion(tmp_path / "packed")
    assert diffusion.unet.dtype == torch.float32
    assert diffusion.record.prompt_stem == "a photo"
    assert diffusion.record.null_conditions == ("hint", "both")
    text = "".join(p.read_text() for p in (tmp_path / "packed").rglob("*.json"))
    assert str(tmp_path) not in text
    with pytest.raises(FileExistsError, match="must be empty"):
        pack(base, tmp_path / "controlnet", tmp_path / "packed")


def test_a_caption_that_is_too_long_is_refused(tmp_path, autoencoder):
    with pytest.raises(ValueError, match="`text_length` must be at least .*Got 8"):
        train_base(tmp_path, autoencoder, text_length=8)


def test_photographs_without_captions_are_described_by_their_classes_alone(tmp_path, autoencoder):
    for folder, picture in (("images", np.full((64, 64, 3), 90)), ("masks", np.eye(64))):
        (tmp_path / folder).mkdir()
        for name in ("one", "two"):
            Image.fromarray(picture.astype(np.uint8)).save(tmp_path / folder / f"{name}.png")
    plain = FolderConfig(data_dir=str(tmp_path), classes="sky,sea", scribbles="mask")
    with pytest.raises(ValueError, match="one has none.*With `class_prompts` 1 none is needed"):
        train_base(tmp_path / "base", autoencoder, source=plain)
    base = train_base(tmp_path / "base", autoencoder, source=plain, class_prompts=1.0)
    assert CLIPTokenizer.from_pretrained(base / "tokenizer").tokenize("sky sea") == ["sky", "sea"]


def test_words_are_single_tokens_and_unknown_ones_are_spelled(tmp_path):
    tokenizer = word_tokenizer(["a photo of sky, ball", "a red balloon"], 12)
    tokenizer.save_pretrained(tmp_path)
    again = type(tokenizer).from_pretrained(tmp_path)
    for t in (tokenizer, again):
        tokens = t.convert_ids_to_tokens(t("A photo of balloon, ball").input_ids)
        assert tokens[1:-1] == ["a</w>", "photo", "of", "balloon", ",</w>", "ball"]
        assert len(t("xyz").input_ids) == 5


def test_min_snr_weights_are_those_of_the_clean_latents_error():
    schedule = read_schedule(scheduler_config("v_prediction"))
    assert schedule.alphas_cumprod[-1] == pytest.approx(0, abs=1e-8), "the last is pure noise"
    timesteps = torch.tensor([0, 200, 999])
    weights = noised(schedule, timesteps, 5.0).weights
    alpha = schedule.alphas_cumprod[timesteps]
    clean_weight = weights * (1 / (1 - alpha))  # v's error is the clean one's times SNR + 1
    assert torch.allclose(clean_weight, torch.clamp(1 / (1 - alpha), max=5.0))
    assert torch.equal(noised(schedule, timesteps, None).weights, torch.ones(3))


def noised(schedule: DiffusionSchedule, timesteps, snr_gamma):
    shape = (len(timesteps), 4, 8, 8)
    random = torch.Generator().manual_seed(0)
    noise = Noise(
        posterior=torch.randn(shape, generator=random),
        noise=torch.randn(shape, generator=random),
        timesteps=timesteps,
        drop_conditioning=torch.zeros(len(timesteps), dtype=torch.bool),
        drop_text=torch.zeros(len(timesteps), dtype=torch.bool),
    )
    latents = torch.randn(2, *shape, generator=random)
    return noised_latents(latents, noise, schedule, scaling_factor=1.0, snr_gamma=snr_gamma)
