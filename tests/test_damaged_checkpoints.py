"""A newest checkpoint that is damaged is named, and so is an earlier one that is whole."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.cli import main
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.base.damage import damaged_file
from scribblegen.trainers.small_pipeline.autoencoder import AutoencoderTrainer
from scribblegen.trainers.small_pipeline.autoencoder_config import AutoencoderConfig

SOURCE = ScenesConfig(ids="0:8", scene_size=32)
CONFIG = AutoencoderConfig(max_train_steps=6, train_batch_size=2)


def train(folder, **run):
    run_config = TrainingRunConfig(output_dir=str(folder), checkpointing_steps=2, **run)
    validation = open_source(replace(SOURCE, ids="8:10"))
    return AutoencoderTrainer(CONFIG, run_config, open_source(SOURCE), validation).train()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("trained"))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # one bit, inside of a tensor
    path.write_bytes(bytes(data))


def no_fields(path):
    path.write_text(json.dumps({"step": "6"}))


def other_tensors(path):
    torch.save({"state": {}, "param_groups": []}, path)


WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        ("optimizer.bin", cut, "optimizer.bin is cut short or changed"),
        ("optimizer.bin", flip, "optimizer.bin is cut short or changed"),
        ("optimizer.bin", lambda path: path.unlink(), "optimizer.bin is missing"),
        ("optimizer.bin", other_tensors, "loaded state dict has a different number of parameter"),
        ("scheduler.bin", lambda path: path.write_bytes(b""), "scheduler.bin is cut short"),
        ("state.json", cut, "state.json is not JSON"),
        ("state.json", no_fields, "state.json must hold `step` and `identity`"),
        (WEIGHTS, cut, f"{WEIGHTS} is cut short, or no safetensors"),
        (WEIGHTS, lambda path: path.unlink(), "safetensors is missing"),
    ],
)
def test_the_newest_whole_one_is_named_and_goes_on(trained, tmp_path, file, damage, told):
    folder = shutil.copytree(trained, tmp_path / "run")
    (found,) = (folder / "checkpoint-6").rglob(file)
    damage(found)
    (other,) = (folder / "checkpoint-4").rglob("optimizer.bin")
    cut(other)
    with pytest.raises(ValueError) as refused:
        train(folder, resume_from_checkpoint="latest")
    said = str(refused.value)
    assert said.startswith(f"`resume_from_checkpoint` {folder / 'checkpoint-6'} is damaged: ")
    assert told in said
    assert said.endswith(
        "The newest whole one before it is checkpoint-2: delete checkpoint-6, or give "
        f"--resume_from_checkpoint {folder / 'checkpoint-2'}."
    )
    train(folder, resume_from_checkpoint=str(folder / "checkpoint-2"))
    assert (folder / WEIGHTS).read_bytes() == (trained / WEIGHTS).read_bytes()


def test_where_none_is_whole_it_says_so(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    for path in folder.glob("checkpoint-*/optimizer.bin"):
        cut(path)
    with pytest.raises(ValueError, match="No earlier one is whole: delete it and start again.$"):
        train(folder, resume_from_checkpoint="latest")


def test_whole_ones_are_whole(trained):
    for step in (2, 4, 6):
        assert damaged_file(trained / f"checkpoint-{step}") is None


def test_so_is_that_of_a_segmentor(tmp_path):
    data, model = str(tmp_path / "data"), tmp_path / "model"
    given = ["--ids", "0:4", "--test_ids", "10:12", "--scene_size", "32"]
    given += ["--pipeline", "random", "--encode_ratios", "0.5"]
    given += ["--guidance_scales", "2", "--num_inference_steps", "2", "--output_dir", data]
    main(["build", *given])
    given = ["--real", data, "--output_dir", str(model), "--crop_size", "32", "--max_steps", "4"]
    given += ["--save_strategy", "steps", "--save_steps", "2", "--report_to", "none"]
    given += ["--per_device_train_batch_size", "2", "--eval_split", "test"]
    main(["train-segmentation", *given])
    for file, told in (
        ("optimizer.pt", "optimizer.pt is cut short or changed"),
        ("model.safetensors", "model.safetensors is cut short, or no safetensors"),
        ("trainer_state.json", "trainer_state.json is not JSON"),
    ):
        whole = (model / "checkpoint-4" / file).read_bytes()
        cut(model / "checkpoint-4" / file)
        with pytest.raises(SystemExit) as end:
            main(["train-segmentation", *given, "--resume_from_checkpoint", "latest"])
        assert str(end.value.code) == (
            f"scribblegen train-segmentation: `resume_from_checkpoint` {model / 'checkpoint-4'} is "
            f"damaged: {told}. The newest whole one before it is checkpoint-2: delete "
            f"checkpoint-4, or give --resume_from_checkpoint {model / 'checkpoint-2'}."
        )
        (model / "checkpoint-4" / file).write_bytes(whole)
    main(["train-segmentation", *given, "--resume_from_checkpoint", "latest"])
