"""The pipeline that ships: it is whole, small, and draws what it is told to."""

import hashlib

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionControlNetPipeline

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.prompts import PromptSource
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.sources import open_source
from scribblegen.classes import Classes
from scribblegen.families.open import load_diffusion
from scribblegen.images import image_to_tensor, tensor_to_image
from scribblegen.methods.base import Place
from scribblegen.methods.scribblegen import ScribbleGen, TwinKey
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.tiny import RANDOM, TINY, default_pipeline, tiny_folder
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from tests.benchmarks.attention_masks import noised

HELD_OUT = ScenesConfig(ids="50000:50012", scene_size=64)


@pytest.fixture(scope="module")
def tiny():
    return load_diffusion(tiny_folder())


@pytest.fixture(scope="module")
def held_out():
    source = open_source(HELD_OUT)
    return [source.load(i) for i in range(len(source))]


def test_the_files_are_those_that_were_measured():
    """A retrained pipeline comes with new figures, so it comes with a new digest in its README."""
    digest = hashlib.sha256()
    files = sorted(p for p in tiny_folder().rglob("*") if p.is_file())
    for path in files:
        digest.update(path.relative_to(tiny_folder()).as_posix().encode() + path.read_bytes())
    assert digest.hexdigest()[:16] in (tiny_folder().parent / "README.md").read_text("utf-8")
    assert sum(p.stat().st_size for p in files) < 15e6


def test_the_stock_pipeline_loads_it():
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(tiny_folder())
    assert pipeline.controlnet.config.conditioning_channels == len(SCENE_CLASSES) + 1


def test_it_is_the_default_for_its_own_classes_alone():
    assert default_pipeline(SCENE_CLASSES, "one_hot") == TINY
    assert default_pipeline(SCENE_CLASSES, "rgb_palette") == RANDOM
    assert default_pipeline(Classes(("cat", "dog")), "one_hot") == RANDOM


def test_reconstructions_are_faithful(tiny, held_out):
    ratios = []
    for sample in held_out:
        image = image_to_tensor(sample.image)[None]
        mean, _ = tiny.encode(image)
        again = tiny.decode(mean * tiny.vae.config.scaling_factor).clamp(-1, 1)
        ratios.append(float(-10 * ((again - image) / 2).square().mean().log10()))
    assert np.mean(ratios) > 25


def test_its_attention_shows_where_its_words_are():
    """Of scenes that it was not trained on, lightly noised: the class that is attended to most."""
    base = load_diffusion(tiny_folder(), with_controlnet=False)
    matrix = np.zeros((len(SCENE_CLASSES), len(SCENE_CLASSES) + 1), int)
    for one in noised(base, PromptSource(PromptsConfig(num_samples=12)), 24, timestep=50):
        found = np.asarray(one.class_ids, np.uint8)[one.maps((2,), "max").argmax(dim=0).numpy()]
        matrix += confusion_matrix(found, one.truth, len(SCENE_CLASSES))
    assert scores(matrix)["mean_iou"] > 0.6, "of the base before it was grounded: 0.2"


def test_twins_leave_their_source_as_the_encode_ratio_grows(tiny, held_out):
    config = ScribbleGenConfig(encode_ratios=[0.2, 0.6, 1.0], num_inference_steps=10)
    method = ScribbleGen(config, tiny, SCENE_CLASSES)
    assert method.config.prompt_stem == tiny.record.prompt_stem, "its own, without being told"
    distance = dict.fromkeys(config.encode_ratios, 0.0)
    for twin in method.twins((Place("train", 0, i), s) for i, s in enumerate(held_out)):
        assert isinstance(twin.key, TwinKey)
        source = held_out[twin.key.photograph.place.position].image
        for cell in method.cells_of(twin):
            difference = np.abs(tensor_to_image(twin.image).astype(float) - source)
            distance[cell.encode_ratio] += difference.mean() / len(held_out)
    assert distance[0.2] < distance[0.6] < distance[1.0]
    assert distance[0.2] < 12, "of 255: the source is still there"


def test_the_colour_word_colours_the_object(tiny):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        vae=tiny.vae,
        unet=tiny.unet,
        text_encoder=tiny.text_encoder,
        tokenizer=tiny.tokenizer,
        scheduler=DDIMScheduler.from_pretrained(tiny_folder(), subfolder="scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    red_over_blue = []
    for colour in ("red", "blue"):
        images = pipeline(
            [f"a photo of a {colour} house on grass under an overcast sky"] * 4,
            num_inference_steps=12,
            guidance_scale=4.0,
            output_type="np",
            generator=torch.Generator().manual_seed(0),
        ).images
        red_over_blue.append((images[..., 0] - images[..., 2]).mean())
    assert red_over_blue[0] > red_over_blue[1] + 0.02
