"""DiffuMask: from class names to images with masks, as a dataset like any other."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import load_dataset
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.configs import to_arguments, to_dict
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.methods.attention_open import check_attention
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.segmenting.fusion import Fusion, read_fusion
from scribblegen.tiny.random_weights import random_diffusion, random_parts
from scribblegen.trainers.affinity.config import AffinityConfig
from scribblegen.trainers.affinity.models import open_affinity_network
from scribblegen.trainers.affinity.run import train_affinity
from scribblegen.trainers.affinity.walk import AffinityWalk

PROMPTS = PromptsConfig(classes="background,cat,dog", images_per_class=4)
CONFIG = DiffuMaskConfig(
    pipeline="random",
    guidance_scale=2.0,
    num_inference_steps=3,
    rows=6,
    spread_width=1,
    max_unsure=1.0,
    ignore_band=0.0,
    normalise="min_max",  # weights that mean nothing attend nearly alike everywhere
)
OUTPUT = OutputConfig(sources_per_shard=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("diffumask") / "out"
    build(PROMPTS, CONFIG, OUTPUT, output_dir=path, progress_bar=False)
    return path


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rejections(folder):
    manifest = json.loads((folder / "run" / "manifest.json").read_text("utf-8"))
    return {r["source_id"]: r["reason"] for unit in manifest["units"] for r in unit["rejections"]}


def test_every_prompt_gets_an_image_and_a_mask(folder):
    rows = load_dataset(str(folder), "diffumask", split="train")
    assert len(rows) + len(rejections(folder)) == 8 and len(rows) >= 4
    assert set(rows["prompt_source"]) == {"template"}
    names = rows.features["classes"].feature.names
    for row in rows:
        mask = np.asarray(row["label"])
        assert mask.shape == (64, 64) and np.asarray(row["image"]).shape == (64, 64, 3)
        named = row["source_id"].partition("-")[0]
        assert set(np.unique(mask)) - {255} == set(row["classes"]) <= {0, names.index(named)}
        assert names.index(named) in row["classes"]
        assert row["prompt"] and row["num_inference_steps"] == 3 and row["guidance_scale"] == 2
        assert 0 < row["scores"]["area"] <= 1 and row["scores"]["agreement"] is None
        assert len(row["thresholds"]) == 1 and 0.349 < row["thresholds"][0] < 0.541
    assert len(set(rows["seed"])) == len(rows)
    id2label = json.loads((folder / "id2label.json").read_text("utf-8"))
    assert id2label == {"0": "background", "1": "cat", "2": "dog"}
    assert (folder / "assets" / "grid.png").is_file()


def test_a_seed_draws_its_image_again_with_the_stock_pipeline(folder):
    row = load_dataset(str(folder), "diffumask", split="train")[0]
    parts = random_parts(1)
    parts.pop("controlnet")
    scheduler = DDIMScheduler.from_config(parts.pop("scheduler_config"))
    stock = StableDiffusionPipeline(
        **parts,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    stock.set_progress_bar_config(disable=True)
    drawn = stock(
        row["prompt"],
        guidance_scale=2.0,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(row["seed"]),
        output_type="np",
    ).images[0]
    ours = np.asarray(row["image"]).astype(float)
    assert np.abs(ours - drawn * 255).max() <= 1


def test_the_card_says_what_it_is(folder):
    card = (folder / "README.md").read_text("utf-8")
    assert "random weights: they show the format" in card and "@inproceedings{wu2023" in card
    assert 'load_dataset("out", "diffumask")' in card or f'"{folder}"' in card


@pytest.mark.parametrize("number", [2, 3])
def test_any_number_of_processes_writes_the_same(folder, tmp_path, number):
    options = to_dict(PROMPTS, CONFIG, OUTPUT)
    options = {k: v for k, v in options.items() if v not in (None, [])}
    arguments = to_arguments({**options, "method": "diffumask", "source": "prompts"})
    out = tmp_path / "out"
    main(["build", *arguments, "--output_dir", str(out), "--num_processes", str(number)])
    assert digests(out) == digests(folder)


@pytest.fixture(scope="module")
def affinity(folder, tmp_path_factory):
    """A network that learned of the masks of the first run."""
    path = tmp_path_factory.mktemp("trained") / "affinity"
    config = AffinityConfig(
        synthetic=[f"{folder}:diffumask"],
        output_dir=str(path),
        crop_size=64,
        max_steps=4,
        per_device_train_batch_size=4,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    train_affinity(config)
    return path


def test_a_walk_over_affinities_draws_the_same_images(folder, affinity, tmp_path):
    config = replace(CONFIG, spread="affinity", affinity_model=str(affinity))
    out = tmp_path / "out"
    build(PROMPTS, config, OUTPUT, output_dir=out, progress_bar=False)
    rows = {r["source_id"]: r for r in load_dataset(str(out), split="train")}
    before = {r["source_id"]: r for r in load_dataset(str(folder), "diffumask", split="train")}
    both = rows.keys() & before.keys()
    assert len(both) >= 4
    for name in both:
        assert (np.asarray(rows[name]["image"]) == np.asarray(before[name]["image"])).all()
    assert any(rows[n]["thresholds"] != before[n]["thresholds"] for n in both)
    card = (out / "README.md").read_text("utf-8")
    assert "by a random walk among places that an affinity network" in " ".join(card.split())
    assert str(affinity) not in card
    manifest = json.loads((out / "run" / "manifest.json").read_text("utf-8"))
    walk = AffinityWalk(str(affinity), torch.device("cpu"))
    assert manifest["identity"]["affinity model"] == walk.fingerprint()

    arguments = to_arguments(
        {
            **{k: v for k, v in to_dict(PROMPTS, config, OUTPUT).items() if v not in (None, [])},
            "method": "diffumask",
            "source": "prompts",
        }
    )
    two = tmp_path / "two" / "out"
    main(["build", *arguments, "--output_dir", str(two), "--num_processes", "2"])
    assert digests(two) == digests(out)


def test_another_network_is_another_run(folder, affinity, tmp_path):
    config = replace(CONFIG, spread="affinity", affinity_model=str(affinity))
    prompts, out = replace(PROMPTS, images_per_class=1), tmp_path / "out"
    build(prompts, config, OUTPUT, output_dir=out, progress_bar=False)
    other = tmp_path / "other"
    shutil.copytree(affinity, other)
    open_affinity_network(stride=4, side=64, seed=1).save_pretrained(other)
    with pytest.raises(ValueError, match="affinity model"):
        build(
            prompts,
            replace(config, affinity_model=str(other)),
            OUTPUT,
            output_dir=out,
            progress_bar=False,
        )


def test_what_was_lost_is_made_again_as_it_was(folder, tmp_path):
    """In another order, with other batch-mates: shards of a run that was killed twice."""
    out = tmp_path / "out"
    build(PROMPTS, CONFIG, OUTPUT, output_dir=out, progress_bar=False)
    for shards in (["00001"], ["00000", "00002"]):
        for name in shards:
            (lost,) = out.rglob(f"train-{name}-*.parquet")
            lost.unlink()
        build(PROMPTS, CONFIG, OUTPUT, output_dir=out, progress_bar=False)
    assert digests(out) == digests(folder)


def test_more_prompts_leave_the_others_as_they_are(folder, tmp_path):
    more = replace(PROMPTS, images_per_class=5)
    build(more, CONFIG, OUTPUT, output_dir=tmp_path / "out", progress_bar=False)
    rows = {r["source_id"]: r for r in load_dataset(str(tmp_path / "out"), split="train")}
    before = load_dataset(str(folder), "diffumask", split="train")
    for row in before:
        again = rows[row["source_id"]]
        for column in ("image", "label"):
            assert (np.asarray(row[column]) == np.asarray(again[column])).all()
        assert row["seed"] == again["seed"]


def test_the_maps_are_kept_on_request(tmp_path):
    config = replace(CONFIG, soft=True)
    prompts = replace(PROMPTS, images_per_class=2)
    build(prompts, config, OUTPUT, output_dir=tmp_path / "out", progress_bar=False)
    for row in load_dataset(str(tmp_path / "out"), split="train"):
        (map_,) = (np.asarray(picture) for picture in row["attention"])
        assert map_.shape[:2] == (64, 64) and map_.max() > 100


def test_a_fusion_that_was_edited_does_not_resume(tmp_path):
    path, out = tmp_path / "fusion.yaml", tmp_path / "out"
    path.write_text("every: {1: 1}\n", "utf-8")
    config = replace(CONFIG, fusion=str(path))
    build(PROMPTS, config, OUTPUT, output_dir=out, progress_bar=False)
    moved = path.rename(tmp_path / "moved.yaml")  # where it lies does not matter
    config = replace(CONFIG, fusion=str(moved))
    build(PROMPTS, config, OUTPUT, output_dir=out, progress_bar=False)
    moved.write_text("every: {1: 1, 2: 1}\n", "utf-8")
    with pytest.raises(ValueError, match="fusion"):
        build(PROMPTS, config, OUTPUT, output_dir=out, progress_bar=False)


def test_a_class_that_no_token_stands_for_is_a_rejection(tmp_path):
    lines = [{"caption": "a cat", "classes": ["cat"]}, {"caption": "two", "classes": ["dog"]}]
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(lines), "utf-8")
    prompts = PromptsConfig(classes="background,cat,dog", prompt_file=str(path))
    build(prompts, CONFIG, OUTPUT, output_dir=tmp_path / "out", progress_bar=False)
    (reason,) = rejections(tmp_path / "out").values()
    assert reason == "no token stands for dog in the prompt"


def test_masks_with_too_little_of_a_class_are_left_out(folder, tmp_path):
    rows = load_dataset(str(folder), "diffumask", split="train")
    areas = {row["source_id"]: row["scores"]["area"] for row in rows}
    middle = sorted(areas.values())[len(areas) // 2 - 1]
    config = replace(CONFIG, min_area=middle)
    build(PROMPTS, config, OUTPUT, output_dir=tmp_path / "out", progress_bar=False)
    kept = load_dataset(str(tmp_path / "out"), split="train")["source_id"]
    assert set(kept) == {i for i, area in areas.items() if area > middle}
    lost = {i: r for i, r in rejections(tmp_path / "out").items() if i in areas}
    assert lost.keys() == areas.keys() - set(kept)
    assert all("has too little of" in reason for reason in lost.values())


def without_cross_attention():
    parts = random_parts(1)
    parts.pop("controlnet")
    torch.manual_seed(0)
    parts["unet"] = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        mid_block_type=None,
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=16,
    )
    return StableDiffusion(**parts)


def test_a_pipeline_that_attends_to_no_word_is_refused():
    with pytest.raises(ValueError, match="`pipeline` must be one whose network attends to the"):
        check_attention(without_cross_attention(), read_fusion("default"), CONFIG)


def test_widths_that_the_pipeline_lacks_are_refused():
    family = random_diffusion(1)
    check_attention(family, read_fusion("default"), CONFIG)
    with pytest.raises(ValueError, match=r"one of the widths .* \[1, 2\], for sofa. Got \{8"):
        check_attention(family, read_fusion("paper-voc"), CONFIG)
    with pytest.raises(
        ValueError, match=r"`spread_width` must be .* Got 4, and there are \[1, 2\]"
    ):
        check_attention(family, Fusion({1: 1.0}), replace(CONFIG, spread_width=4))
    check_attention(family, Fusion({1: 1.0}), replace(CONFIG, spread_width=4, spread="none"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"guidance_scale": 0.5}, "`guidance_scale` must be 1 or more"),
        ({"num_inference_steps": 0}, "`num_inference_steps` must be at least 1"),
        ({"attention_start": 1.0}, "`attention_start` must be below `attention_end`"),
        ({"thresholds": [0.5, 0.4]}, "`thresholds` must ascend"),
        ({"thresholds": []}, "`thresholds` must ascend"),
        ({"spread": "walk"}, "`spread` must be one of"),
        ({"spread": "affinity"}, "`affinity_model` must be given with `spread` affinity"),
        ({"affinity_model": "x"}, "`affinity_model` has no effect.* x and `spread` self_att"),
        ({"sampler": "lcm"}, "`sampler` must be one of"),
        ({"ignore_band": 2}, r"`ignore_band` must be in \[0, 1\]"),
        ({"background_threshold": 1}, "`background_threshold` must be between 0 and 1"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(ValueError, match=said):
        replace(CONFIG, **options)


@pytest.mark.parametrize(
    ("classes", "rest", "expected"),
    [
        ("background,cat,dog", "auto", {0, 1, 2}),
        ("cat,dog", "auto", {0, 1, 255}),
        ("cat,dog", "none", {0, 1}),
        ("background,cat,dog", "ignore", {1, 2, 255}),
    ],
)
def test_what_pixels_of_no_named_class_are(tmp_path, classes, rest, expected):
    prompts = replace(PROMPTS, classes=classes)
    config = replace(CONFIG, rest=rest)
    build(prompts, config, OUTPUT, output_dir=tmp_path / "out", progress_bar=False)
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert set().union(*(np.unique(np.asarray(row["label"])) for row in rows)) == expected


def test_a_rest_of_background_needs_the_class(tmp_path):
    with pytest.raises(ValueError, match="`rest` must be ignore or none where no class is called"):
        build(
            replace(PROMPTS, classes="cat,dog"),
            replace(CONFIG, rest="background"),
            OUTPUT,
            output_dir=tmp_path / "out",
            progress_bar=False,
        )


def test_classes_that_the_shipped_pipeline_does_not_know_need_another(tmp_path):
    config = replace(CONFIG, pipeline=None)
    with pytest.raises(
        ValueError, match="`pipeline` must be given: .* that draws background, cat, dog"
    ):
        build(PROMPTS, config, OUTPUT, output_dir=tmp_path / "out", progress_bar=False)
    assert not (tmp_path / "out").exists()
