"""The affinity network: trained on masks with gaps, and what its walk does to maps."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import ResNetConfig, ResNetModel, SegformerImageProcessor

from scribblegen.cli import main
from scribblegen.images import encode_image
from scribblegen.trainers.affinity.config import AffinityConfig
from scribblegen.trainers.affinity.measures import pair_measures, pair_scores
from scribblegen.trainers.affinity.models import load_affinity_network, open_affinity_network
from scribblegen.trainers.affinity.run import train_affinity
from scribblegen.trainers.affinity.walk import AffinityWalk
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorConfig,
    SmallSegmentorForSemanticSegmentation,
)

SIZE = 64
NAMES = ["background", "disc", "box"]
COLOURS = np.array([[40, 90, 40], [200, 60, 60], [60, 60, 200]])


def picture(number):
    """A thing on a ground, in the colours of their classes, and its mask."""
    rng = np.random.default_rng(number)
    row, column = rng.integers(20, 44, 2)
    down, right = np.abs(np.mgrid[:SIZE, :SIZE] - np.array([row, column])[:, None, None])
    inside = down**2 + right**2 < 196 if number % 2 else np.maximum(down, right) < 13
    mask = np.where(inside, 1 + (number + 1) % 2, 0).astype(np.uint8)
    image = COLOURS[mask] + rng.integers(-25, 25, (SIZE, SIZE, 3))
    return image.clip(0, 255).astype(np.uint8), mask


def unsure(mask):
    """The mask, with nothing said near its borders."""
    middle = mask[4:-4, 4:-4]
    sides = (mask[:-8, 4:-4], mask[8:, 4:-4], mask[4:-4, :-8], mask[4:-4, 8:])
    seeds = mask.copy()
    seeds[4:-4, 4:-4][np.any([middle != side for side in sides], axis=0)] = 255
    return seeds


def cell(values):
    grey = values if values.ndim == 3 else np.repeat(values[..., None], 3, 2)
    return {"bytes": encode_image(grey, "png"), "path": None}


def write(folder, subset, split, numbers, columns):
    made = [picture(number) for number in numbers]
    rows = {
        "image": [cell(image) for image, _ in made],
        **{name: [cell(of(mask)) for _, mask in made] for name, of in columns.items()},
        "classes": [[] for _ in made],
        "source_id": [str(number) for number in numbers],
    }
    types = {
        **{name: Image() for name in ("image", *columns)},
        "classes": List(ClassLabel(names=NAMES)),
        "source_id": Value("string"),
    }
    path = folder / subset / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    Dataset.from_dict(rows, Features({name: types[name] for name in rows})).to_parquet(path)
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: {subset}\n  description: {folder}\n  data_files:\n"
        f"  - split: {split}\n"
        f"    path: {subset}/{split}-*.parquet\n---\n"
    )
    return str(folder)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "dm"
    return write(folder, "diffumask", "train", range(12), {"label": unsure}) + ":diffumask"


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("true") / "mine"
    columns = {"label": unsure, "mask": lambda mask: mask}
    return write(folder, "real", "validation", range(50, 55), columns)


def options_of(seeds, folder, **changes):
    return {
        "synthetic": [seeds],
        "output_dir": str(folder),
        "crop_size": SIZE,
        "max_steps": 3,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "report_to": "none",
        "use_cpu": True,
        **changes,
    }


def config_of(*args, **changes):
    return AffinityConfig(**options_of(*args, **changes))


@pytest.fixture(scope="module")
def trained(seeds, truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "affinity"
    return folder, train_affinity(config_of(seeds, folder, max_steps=60, eval_data=truth))


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def test_it_learns_what_belongs_together(trained):
    folder, measured = trained
    assert measured["eval_images"] == 5 and measured["eval_pair_accuracy"] > 0.9
    assert measured["eval_affinity_different"] < 0.5 < measured["eval_affinity_foreground"]
    assert json.loads((folder / "all_results.json").read_text())["eval_images"] == 5


def test_the_card_says_what_it_is_for(trained, seeds):
    folder, measured = trained
    card = ModelCard.load(folder / "README.md")
    text = " ".join(card.text.split())
    assert "--spread affinity --affinity_model affinity" in text
    assert f"{measured['eval_pair_accuracy']:.4f} of the pairs" in text
    assert "12 synthetic images of dm:diffumask, with 3 classes; 60 optimiser steps." in text
    assert "scribblegen train-affinity --" in text and str(folder.parent) not in card.content


def test_a_walk_fills_a_thing_and_stops_at_its_border(trained):
    walk = AffinityWalk(str(trained[0]), torch.device("cpu"))
    image, mask = picture(101)
    thing = torch.from_numpy(mask > 0)
    places = thing.nonzero()
    middle = places[len(places) // 2]
    map_ = torch.zeros(1, SIZE, SIZE)
    map_[0, middle[0] - 6 : middle[0] + 6, middle[1] - 6 : middle[1] + 6] = 1
    before = map_[0, thing].mean()
    spread = walk.spread(image, map_)[0]
    assert spread.shape == (SIZE, SIZE) and spread.dtype == torch.float32
    inside, outside = spread[thing], spread[~thing]
    assert inside.std() < 0.5 * map_[0, thing].std()
    assert outside.mean() < 0.3 * inside.mean() and inside.mean() > 0.5 * before
    constant = torch.full((2, SIZE, SIZE), 0.45)
    torch.testing.assert_close(walk.spread(image, constant), constant)


def test_any_number_of_threads_gets_the_same(trained):
    walk = AffinityWalk(str(trained[0]), torch.device("cpu"))
    made = [picture(number) for number in range(60, 68)]
    maps = [torch.from_numpy(mask == 1).float()[None] for _, mask in made]
    alone = [walk.spread(image, map_) for (image, _), map_ in zip(made, maps, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(walk.spread, [image for image, _ in made], maps))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(("shape", "expected"), [((100, 200), (32, 64)), ((512, 512), (64, 64))])
def test_a_picture_of_any_size_is_shown_on_the_same_grid(shape, expected):
    network = open_affinity_network(stride=4, side=64).eval()
    shown = network.shown(torch.rand(1, 3, *shape))
    assert shown.shape[-2:] == expected
    features = network(pixel_values=shown).features
    assert features.shape == (1, 96, expected[0] // 4, expected[1] // 4)


def test_a_killed_run_goes_on_to_the_same_weights(seeds, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    train_affinity(config_of(seeds, tmp_path / "whole", **saving))
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    for later in (*cut.glob("checkpoint-[46]"), cut / "model.safetensors"):
        shutil.rmtree(later) if later.is_dir() else later.unlink()
    train_affinity(config_of(seeds, cut, resume_from_checkpoint="latest", **saving))
    one, other = weights_of(cut), weights_of(tmp_path / "whole")
    assert all(torch.equal(one[key], other[key]) for key in other)
    with pytest.raises(ValueError, match="holds another training: stride"):
        again = {"resume_from_checkpoint": "latest", "stride": 8, **saving}
        train_affinity(config_of(seeds, cut, **again))


def test_two_calls_of_a_step_are_one(seeds, tmp_path):
    shared = {"optim": "sgd", "learning_rate": 0.1, "max_steps": 2}
    train_affinity(config_of(seeds, tmp_path / "one", **shared))
    shared |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    train_affinity(config_of(seeds, tmp_path / "two", **shared))
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5


def test_two_processes_train_and_count_as_one(seeds, truth, tmp_path):
    for number in (1, 2):
        options = options_of(seeds, tmp_path / str(number), max_steps=2, learning_rate=0.1)
        options |= {"optim": "sgd", "eval_data": truth, "num_processes": number}
        options["per_device_train_batch_size"] = 4 // number
        subsets = options.pop("synthetic")
        flags = [f"--{key}={value}" for key, value in options.items()]
        command = [sys.executable, "-m", "scribblegen", "train-affinity", "--synthetic", *subsets]
        run = subprocess.run([*command, *flags], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-2000:]
    one, two = (weights_of(tmp_path / number) for number in "12")
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
    results = [json.loads((tmp_path / n / "eval_results.json").read_text()) for n in "12"]
    assert results[0].keys() == results[1].keys() and results[1]["eval_images"] == 5
    assert results[0]["eval_pair_accuracy"] == pytest.approx(
        results[1]["eval_pair_accuracy"], abs=1e-3
    )


def test_a_dry_run_writes_nothing(seeds, tmp_path, capsys):
    options = options_of(seeds, tmp_path / "model", dry_run=True, max_steps=7)
    subsets = options.pop("synthetic")
    flags = [f"--{key}={value}" for key, value in options.items()]
    main(["train-affinity", "--synthetic", *subsets, *flags])
    said = " ".join(capsys.readouterr().out.split())
    assert "training 7 steps of 4 images" in said and "different 0." in said
    assert "12 images of no photograph" in said and not (tmp_path / "model").exists()


def test_a_frozen_backbone_stays_what_it_was(seeds, tmp_path):
    given = tmp_path / "resnet"
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1] * 4}
    ResNetModel(ResNetConfig(**sizes, layer_type="basic")).save_pretrained(given)
    SegformerImageProcessor(image_mean=[0.4] * 3, image_std=[0.3] * 3).save_pretrained(given)
    train_affinity(config_of(seeds, tmp_path / "model", backbone=str(given)))
    before, after = weights_of(given), weights_of(tmp_path / "model")
    kept = {key.removeprefix("backbone."): v for key, v in after.items() if "backbone." in key}
    assert kept.keys() == before.keys()
    assert all(torch.equal(kept[key], value) for key, value in before.items())
    network = load_affinity_network("affinity_model", str(tmp_path / "model"))
    assert network.config.backbone_config.hidden_sizes == [8, 16, 16, 16]
    walk = AffinityWalk(str(tmp_path / "model"), torch.device("cpu"))
    assert list(walk.processor.image_std) == [0.3] * 3


def test_pairs_on_the_right_side_by_hand():
    features = torch.tensor([[[[0.0, 0.1, 3.0, 3.1]]]])
    labels = torch.tensor([[[0, 0, 1, 255]]])
    found = pair_scores(pair_measures(features, labels, 0, radius=2).numpy())
    assert found["affinity_background"] == pytest.approx(np.exp(-0.1), rel=1e-4)
    assert found["affinity_different"] == pytest.approx(np.exp(-2.9), rel=1e-4)
    assert np.isnan(found["affinity_foreground"]) and found["pair_accuracy"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthetic": []}, "`synthetic` must be given"),
        ({"background": "poem"}, "`background` must be one of"),
        ({"crop_size": 66}, "`crop_size` must be a multiple of `stride` 4"),
        ({"crop_size": 512, "stride": 4}, "8 to 256. Got 512"),
        ({"crop_size": 2048}, "32 to 1024. Got 2048"),
        ({"stride": 5}, "`stride` must be one of"),
        ({"backbone": "poem"}, "`backbone` must be one of"),
        ({"load_best_model_at_end": True}, "`load_best_model_at_end` must not"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(seeds, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train_affinity(config_of(seeds, tmp_path / "model", **changes))
    assert not (tmp_path / "model").exists()


def test_masks_without_a_border_teach_nothing(tmp_path):
    columns = {"label": lambda mask: np.full_like(mask, mask.max())}
    plain = write(tmp_path / "plain", "all", "train", range(4), columns)
    with pytest.raises(ValueError, match="sure of two classes near each other.*16 x 16"):
        train_affinity(config_of(f"{plain}:all", tmp_path / "model"))


def test_the_stride_follows_the_crop():
    sides = {64: 4, 256: 4, 320: 8, 512: 8, 1024: 16}
    assert {side: AffinityConfig(crop_size=side).stride for side in sides} == sides


def test_another_kind_of_model_is_refused(tmp_path):
    labels = {"id2label": dict(enumerate(NAMES))}
    model = SmallSegmentorForSemanticSegmentation(SmallSegmentorConfig(**labels))
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`affinity_model` must be an affinity network"):
        AffinityWalk(str(tmp_path), torch.device("cpu"))
