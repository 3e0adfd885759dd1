"""A training step is the same sum of the same draws, however it is cut up."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from PIL import Image

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.families.stable_diffusion.controlnet_record import read_record
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.hub.models import model_files
from scribblegen.hub.upload import Uploaded
from scribblegen.methods.base import Place
from scribblegen.methods.scribblegen import ScribbleGen
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.tiny.random_weights import random_parts
from scribblegen.trainers.base.plan import Plan
from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig
from scribblegen.trainers.controlnet.examples import Examples
from scribblegen.trainers.controlnet.step import FrozenBase
from scribblegen.trainers.controlnet.trainer import ControlNetTrainer
from scribblegen.trainers.noise import draw_noise
from tests.forks import run_ranks

SOURCE = ScenesConfig(ids="0:10", scene_size=64)
CONFIG = ControlNetConfig(
    train_batch_size=4,
    max_train_steps=5,
    learning_rate=1e-3,
    conditioning_dropout=0.3,
    text_dropout=0.1,
)


def base_parts(prediction_type="epsilon"):
    parts = random_parts(13, prediction_type=prediction_type)
    del parts["controlnet"]
    return parts


def train(folder, *, source=None, parts=None, run=None, **changes):
    trainer = ControlNetTrainer(
        replace(CONFIG, **changes),
        ControlNetRunConfig(output_dir=str(folder), **(run or {})),
        source or open_source(SOURCE),
        base_parts=parts or base_parts(),
    )
    trainer.train()
    return weights(folder)


def weights(folder):
    return ControlNetModel.from_pretrained(folder).state_dict()


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[k] - other[k]).abs().max()) for k in one)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return train(folder)


def test_training_moves_the_controlnet_and_leaves_the_base_alone(tmp_path, uninterrupted):
    parts = base_parts()
    before = {k: v.clone() for k, v in parts["unet"].state_dict().items()}
    train(tmp_path, parts=parts, max_train_steps=1)
    fresh = weights(tmp_path)
    assert largest_difference(fresh, uninterrupted) > 1e-4
    after = parts["unet"].state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_same_run_gives_the_same_weights(tmp_path, uninterrupted):
    assert largest_difference(train(tmp_path), uninterrupted) == 0


@pytest.mark.parametrize("changes", [{}, {"use_ema": True, "null_conditioning": "learned"}])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, changes):
    whole = train(tmp_path / "whole", **changes)
    part = tmp_path / "part"
    train(part, run={"checkpointing_steps": 3}, **{**changes, "max_train_steps": 3})
    resumed = train(part, run={"resume_from_checkpoint": "latest"}, **changes)
    assert largest_difference(resumed, whole) == 0
    config = json.loads((part / "config.json").read_text())["_scribblegen"]
    assert config == json.loads((tmp_path / "whole" / "config.json").read_text())["_scribblegen"]
    assert (config["null_conditioning"] is None) == ("null_conditioning" not in changes)


def test_accumulation_equals_the_large_batch(tmp_path, uninterrupted):
    small = train(tmp_path, train_batch_size=1, gradient_accumulation_steps=4)
    assert largest_difference(small, uninterrupted) < 1e-5


def test_cached_latents_give_the_same_weights(tmp_path, uninterrupted):
    assert largest_difference(train(tmp_path, cache_latents=True), uninterrupted) < 1e-6


VIEWS = {"random_flip": True, "crop_scale": 0.5, "num_views": 4}


def test_views_are_the_same_cached_or_resumed(tmp_path):
    plain = train(tmp_path / "plain", **VIEWS)
    assert largest_difference(plain, train(tmp_path / "cached", cache_latents=True, **VIEWS)) < 1e-5
    train(tmp_path / "cut", run={"checkpointing_steps": 3}, **{**VIEWS, "max_train_steps": 3})
    resumed = train(tmp_path / "cut", run={"resume_from_checkpoint": "latest"}, **VIEWS)
    assert largest_difference(plain, resumed) == 0


def test_a_view_shows_a_part_of_photograph_and_scribble_alike():
    source = open_source(ScenesConfig(ids="0:3", scene_size=64, scribbles="mask"))
    examples = Examples(source, 64, replace(CONFIG, **VIEWS))
    whole = examples.example(1)
    assert np.array_equal(whole.scribble, source.read(1).scribble)
    seen = [examples.example(1, view) for view in (1, 2, 3, 1)]
    assert torch.equal(seen[0].image, seen[3].image), "a view is always the same one"
    assert not torch.equal(seen[0].image, whole.image)
    # The scribble is the whole mask here: of any two pixels of one class the mean colours agree.
    for view in seen:
        for number in set(np.unique(view.scribble)):
            here, there = (
                e.image[:, torch.from_numpy(e.scribble == number)].mean(dim=1)
                for e in (view, whole)
            )
            assert torch.allclose(here, there, atol=0.35)
    draws = [d for step in Plan(3, 3, seed=0).steps(0, 100) for d in step]
    assert {examples.view(draw) for draw in draws} == {0, 1, 2, 3}
    assert {Examples(source, 64, CONFIG).view(draw) for draw in draws} == {0}


def test_reading_in_other_processes_gives_the_same_weights(tmp_path, uninterrupted):
    read = train(tmp_path, run={"dataloader_num_workers": 1})
    assert largest_difference(read, uninterrupted) == 0


def test_gradient_checkpointing_gives_the_same_weights(tmp_path, uninterrupted):
    checked = train(tmp_path, gradient_checkpointing=True)
    assert largest_difference(checked, uninterrupted) < 1e-6


def train_two_at_once(folder):
    train(folder, train_batch_size=2)


def test_two_processes_equal_one_with_twice_the_batch(tmp_path, uninterrupted):
    run_ranks(tmp_path / "said", 2, train_two_at_once, tmp_path / "two")
    assert largest_difference(weights(tmp_path / "two"), uninterrupted) < 1e-5


def test_training_lowers_the_loss(tmp_path, caplog):
    """Over the same draws: the loss of the last steps against that of the first."""
    trainer = ControlNetTrainer(
        ControlNetConfig(
            train_batch_size=8, max_train_steps=60, learning_rate=3e-3, cache_latents=True
        ),
        ControlNetRunConfig(output_dir=str(tmp_path)),
        open_source(ScenesConfig(ids="0:8", scene_size=64)),
        base_parts=base_parts(),
    )
    losses = []
    remember = trainer._after_step
    trainer._after_step = lambda step, loss: (losses.append(loss), remember(step, loss))
    trainer.train()
    assert np.mean(losses[-15:]) < 0.9 * np.mean(losses[:5])


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_the_result_generates_and_knows_how_it_was_trained(tmp_path, prediction_type):
    parts = base_parts(prediction_type)
    source = open_source(SOURCE)
    train(tmp_path, parts=parts, null_conditioning="learned", both_dropout=0.2, max_train_steps=4)
    controlnet = ControlNetModel.from_pretrained(tmp_path)
    record = read_record(controlnet)
    assert record.null_conditions == ("hint", "both", "text")
    assert record.class_names == source.classes.names
    assert record.conditioning_encoding == "one_hot" and len(record.null_conditioning) == 13
    assert any(record.null_conditioning), "the null conditioning was trained"
    diffusion = StableDiffusion(**{**parts, "controlnet": controlnet})
    method = ScribbleGen(
        ScribbleGenConfig(guidance_scales=[2], encode_ratios=[0.5], num_inference_steps=2, rows=2),
        diffusion,
        source.classes,
    )
    assert method.config.null_condition == "hint"
    null = torch.tensor(record.null_conditioning)[None, :, None, None].expand(1, 13, 64, 64)
    made = method.jobs.null_conditioning((64, 64))["conditioning"]
    assert torch.equal(made, diffusion.embed_conditioning(null)[0])
    (twin,) = method.twins([(Place("train", 0, 0), source.read(0))])
    assert torch.isfinite(twin.image).all()


@pytest.mark.parametrize("use_attention_mask", [False, True])
def test_training_and_generation_embed_a_prompt_alike(use_attention_mask):
    parts = random_parts(13)
    parts["text_encoder"].config.use_attention_mask = use_attention_mask
    diffusion = StableDiffusion(**parts)
    base = FrozenBase(parts, torch.device("cpu"), torch.float32)
    for prompt in ("", "a cat, a sofa"):
        assert torch.equal(base.embed(prompt), diffusion.prompt(prompt)["prompt"])


def test_validation_pictures_are_drawn(tmp_path):
    train(tmp_path, run={"validation_steps": 2, "num_validation_images": 2}, max_train_steps=2)
    for name in ("validation/step-2.png", "validation.png"):
        picture = Image.open(tmp_path / name)
        assert picture.width == 6 * 124 + 4


def test_checkpoints_are_limited_to_the_newest(tmp_path):
    train(tmp_path, run={"checkpointing_steps": 1, "checkpoints_total_limit": 2})
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-5"]


@pytest.mark.parametrize("spoiled_with", [float("nan"), 1e38])
def test_a_loss_that_is_not_a_number_keeps_the_last_good_checkpoint(tmp_path, spoiled_with):
    with pytest.raises(FloatingPointError, match="last good checkpoint is checkpoint-2"):
        trainer = ControlNetTrainer(
            CONFIG,
            ControlNetRunConfig(output_dir=str(tmp_path), checkpointing_steps=2),
            open_source(SOURCE),
            base_parts=base_parts(),
        )
        spoil = trainer._after_step

        def after_step(step, loss):
            spoil(step, loss)
            if step == 3:
                trainer.training.trained[0].data.fill_(spoiled_with)

        trainer._after_step = after_step
        trainer.train()
    assert all(
        torch.isfinite(v).all() for v in weights(tmp_path / "checkpoint-2/controlnet").values()
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"conditioning_dropout": 0.2}, "conditioning_dropout: 0.3 there, 0.2 here"),
        ({"train_batch_size": 2}, "samples in a step: 4 there, 2 here"),
    ],
)
def test_a_checkpoint_of_another_config_is_refused(tmp_path, changes, named):
    train(tmp_path, run={"checkpointing_steps": 1}, max_train_steps=1)
    with pytest.raises(ValueError, match=named):
        train(tmp_path, run={"resume_from_checkpoint": "latest"}, **changes)


def test_a_source_without_a_scribble_is_a_clear_error(tmp_path):
    for name in ("images", "scribbles"):
        (tmp_path / "data" / name).mkdir(parents=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "data/images/a.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "data/scribbles/a.png")
    config = FolderConfig(
        data_dir=str(tmp_path / "data"),
        classes=",".join(f"class {i}" for i in range(12)),
    )
    with pytest.raises(ValueError, match="no sample of the source can be trained on: .*labelled"):
        train(tmp_path / "out", source=open_source(config))


def test_classes_that_do_not_fit_the_controlnet_are_refused(tmp_path):
    train(tmp_path / "first", max_train_steps=1)
    other = ScenesConfig(ids="0:2", scene_size=64)
    source = open_source(other)
    source.classes = type(source.classes)(tuple(f"class {i}" for i in range(12)))
    with pytest.raises(ValueError, match="`controlnet` was trained on the classes sky, grass"):
        train(
            tmp_path / "second",
            source=source,
            controlnet_model_name_or_path=str(tmp_path / "first"),
        )


def test_a_plan_covers_every_source_once_an_epoch_in_another_order():
    plan = Plan(10, 4, seed=0)
    epochs = [[d.index for step in plan.steps(e * 3, e * 3 + 3) for d in step] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]
    assert [len(step) for step in plan.steps(0, 3)] == [4, 4, 2]


def test_dropout_happens_as_often_as_asked():
    draws = [d for step in Plan(1000, 4, seed=0).steps(0, 250) for d in step]
    noise = draw_noise(draws, (1, 2, 2), seed=0, num_timesteps=1000, dropouts=(0.2, 0.1, 0.3))
    conditioning, text = noise.drop_conditioning, noise.drop_text
    for share, expected in (
        ((conditioning & ~text), 0.2),
        ((text & ~conditioning), 0.1),
        ((text & conditioning), 0.3),
    ):
        assert float(share.float().mean()) == pytest.approx(expected, abs=0.05)
    assert 450 < float(noise.timesteps.float().mean()) < 550


def test_scale_lr_multiplies_by_the_samples_of_a_step(tmp_path):
    scaled = train(tmp_path / "scaled", scale_lr=True, learning_rate=2.5e-4)
    assert equal_weights(scaled, train(tmp_path / "plain", learning_rate=1e-3))


def equal_weights(one, other):
    return largest_difference(one, other) == 0


def test_the_model_without_its_checkpoints_goes_to_the_hub(tmp_path, monkeypatch):
    sent = {}

    def publish(folder, repo_id, **options):
        sent.update(repo_id=repo_id, files=[f.path for f in model_files(folder)], **options)
        return Uploaded("c0ffee", "c0ffee", "https://huggingface.co/me/net", [])

    monkeypatch.setattr("scribblegen.trainers.base.training.publish_model", publish)
    train(tmp_path, run={"push_to_hub": True, "hub_model_id": "me/net", "checkpointing_steps": 2})
    assert sent["repo_id"] == "me/net" and sent["private"] is None
    assert sent["files"] == [
        "README.md",
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "validation.png",
    ]
    with pytest.raises(ValueError, match="`hub_model_id` has no effect without `push_to_hub`"):
        ControlNetRunConfig(hub_model_id="me/net")
