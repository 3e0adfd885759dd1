"""A segmentor of any words is trained by its command, resumed, and left in its folder."""

import json

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import CLIPImageProcessorPil, CLIPModel

from scribblegen.cli import main
from scribblegen.trainers.open_vocabulary.opening import open_segmentor
from scribblegen.vocabulary_files import load_vocabulary
from tests.test_open_vocabulary_model import TOKENIZER, clip_config
from tests.test_open_vocabulary_rows import MASK, row, saved


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    clip = folder / "clip"
    torch.manual_seed(0)
    CLIPModel(clip_config()).save_pretrained(clip)
    TOKENIZER.save_pretrained(clip)
    CLIPImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(clip)
    rows = [row(i, passed=i != 1, name=f"word{i}", word=1000 * i) for i in range(4)]
    rows[3]["mask"] = row(3, mask=np.where(MASK == 1, MASK, 0).astype(np.uint8))["mask"]
    return [f"--synthetic={saved(folder / 'rows', rows)[0]}", f"--clip={clip}"]


def trained(given, folder, *more):
    options = ["--crop_size=32", "--max_train_steps=4", "--train_batch_size=2"]
    losses = ["--cf_loss", "cosine", "text_anchored", "infonce", "dense"]
    main(["train-open-vocabulary", *given, *options, f"--output_dir={folder}", *losses, *more])
    return load_file(folder / "model.safetensors")


def test_a_training_goes_on_to_the_same_weights_and_changes_nothing_of_clip(given, tmp_path):
    every = "--checkpointing_steps=2"
    whole = trained(given, tmp_path / "whole", every)
    again = trained(given, tmp_path / "whole", every, "--resume_from_checkpoint=checkpoint-2")
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    clip = load_file(f"{given[1].partition('=')[2]}/model.safetensors")
    assert all(torch.equal(whole[f"clip.{name}"], values) for name, values in clip.items())
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text("utf-8"))
    assert metrics["steps"] == 4 and metrics["words"] == 4
    assert sorted(metrics["rows"].values()) == [1, 3]
    vocabulary = load_vocabulary(str(tmp_path / "whole" / "vocabulary.json"))
    assert [word.name for word in vocabulary.words] == [f"word{i}" for i in range(4)]
    card = (tmp_path / "whole" / "README.md").read_text("utf-8")
    assert ModelCard(card).data.base_model is None and str(tmp_path) not in card
    assert "scribblegen segment photograph.jpg --model whole --classes word0 word1 word2" in card
    assert "| 3 | counterfactual images that are learned from |" in card
    assert "cosine, text_anchored, infonce, dense" in card
    assert open_segmentor(str(tmp_path / "whole")).side == 32
    halves = trained(
        given, tmp_path / "halves", "--train_batch_size=1", "--gradient_accumulation_steps=2"
    )
    assert max(float((whole[n] - halves[n]).abs().max()) for n in whole) < 1e-5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--cf_loss", "hinge"], "`cf_loss` must be of"),
        (["--vocabulary", "cat,dog"], "`vocabulary` must hold all words of the rows"),
        (["--clip", "nowhere"], "`clip`"),
        (["--vocabulary", "word0,"], "`vocabulary` must hold two words or more"),
    ],
)
def test_wrong_options_are_refused(given, tmp_path, more, message):
    with pytest.raises(SystemExit, match=message):
        trained(given, tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()
