"""A segmentor of any words is trained by its command, resumed, and left in its folder."""

import json

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import CLIPImageProcessorPil, CLIPModel

from scribblegen.cli import main
from scribblegen.descriptions import Description, Mention
from scribblegen.images import decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.segmenting.shown_images import Normalisation
from scribblegen.trainers.base.plan import Draw
from scribblegen.trainers.open_vocabulary.background import Background, winners
from scribblegen.trainers.open_vocabulary.batches import Batches
from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig
from scribblegen.trainers.open_vocabulary.opening import open_segmentor
from scribblegen.trainers.open_vocabulary.rows import WordPair
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from scribblegen.vocabulary import Vocabulary, Word
from scribblegen.vocabulary_files import load_vocabulary
from tests.forks import run_ranks
from tests.subset_files import encoded
from tests.test_open_vocabulary_model import TOKENIZER, clip_config
from tests.test_open_vocabulary_rows import MASK, row, saved

WORDS = Vocabulary((Word(1, "cat"), Word(2, "dog")))
DESCRIPTION = Description("s", "a cat", (Mention(1, 1, "cat", ((2, 5),)),), (), "file")
HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


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


def train_at_once(given, folder):
    trained(given, folder, "--train_batch_size=1")


def test_two_processes_equal_one_with_twice_the_batch(given, tmp_path):
    alone = trained(given, tmp_path / "alone")
    run_ranks(tmp_path / "said", 2, train_at_once, given, tmp_path / "two")
    two = load_file(tmp_path / "two" / "model.safetensors")
    assert max(float((alone[n] - two[n]).abs().max()) for n in alone) < 1e-5


def shapes(number):
    """An image with a bright square or a dark stripe, the twin without it, and where it is."""
    rng = np.random.default_rng(number)
    image = rng.integers(90, 130, (32, 32, 3), np.uint8)
    twin, mask = image.copy(), np.zeros((32, 32), np.uint8)
    left, top = rng.integers(0, 16, 2)
    place = (slice(top, top + 14), slice(left, left + 14))
    if number % 2:
        place = (slice(top, top + 8), slice(None))
    image[place], mask[place] = (255, 240, 200) if number % 2 == 0 else (0, 20, 60), 1
    return {"image": encoded(image), "mask": encoded(mask), "counterfactual_image": encoded(twin)}


def test_it_learns_what_its_masks_show(given, tmp_path):
    rows = [{**row(i, name=("square", "stripe")[i % 2], word=i % 2), **shapes(i)} for i in range(8)]
    named = [f"--synthetic={saved(tmp_path / 'rows-of-shapes', rows)[0]}", given[1]]
    out = tmp_path / "out"
    steps = ["--max_train_steps=150", "--train_batch_size=8", "--learning_rate=0.001"]
    views = ["--scale_min=1", "--scale_max=1", "--jitter=0"]
    trained(named, out, *steps, *views, "--cf_loss", "dense", "--decoder_heads=2")
    segmentor = open_segmentor(str(out))
    texts = segmentor.texts(["square", "stripe"])
    counts = np.zeros((3, 4), int)
    for number in range(8):
        shown = {name: decode_label(cell["bytes"]) if name == "mask" else decode_image(
            cell["bytes"])[0] for name, cell in shapes(number).items()}  # fmt: skip
        word, _ = winners(
            segmentor.scores(shown["image"], texts), 2, Background("threshold", 0.4), (32, 32)
        )
        truth = np.where(shown["mask"] == 1, number % 2, 2).astype(np.uint8)
        counts += confusion_matrix(np.where(word == 255, 2, word).astype(np.uint8), truth, 3)
        without, _ = winners(
            segmentor.scores(shown["counterfactual_image"], texts),
            2,
            Background("threshold", 0.4),
            (32, 32),
        )
        assert (without == 255).mean() > 0.95
    assert scores(counts)["mean_iou"] > 0.6


def test_a_pair_is_cut_alike(given):
    config = OpenVocabularyTrainingConfig(crop_size=16, synthetic=["a:b"])
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    mask = (image[..., 0] > 127).astype(np.uint8)
    pair = WordPair(image, mask, image.copy(), DESCRIPTION)
    batches = Batches(OnePair(pair), WORDS, {1: torch.zeros(4), 2: torch.zeros(4)}, config, HALF)
    batch = batches.batch([Draw(epoch, 0, 0) for epoch in range(6)])
    assert torch.equal(batch.images, batch.twins) and batch.images.shape == (6, 3, 16, 16)
    assert len({batch.images[i].numpy().tobytes() for i in range(6)}) == 6
    again = batches.batch([Draw(3, 0, 0)])
    assert torch.equal(again.images[0], batch.images[3])
    assert torch.equal(again.targets[0, 0], batch.targets[3, 0])


class OnePair:
    def __init__(self, pair):
        self.pair = pair

    def read(self, index):
        return self.pair


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--cf_loss", "hinge"], "`cf_loss` must be of"),
        (["--cf_loss", "none", "dense"], "`cf_loss` must be of"),
        (["--vocabulary", "cat,dog"], "`vocabulary` must hold all words of the rows"),
        (["--clip", "nowhere"], "`clip`"),
        (["--vocabulary", "word0,"], "`vocabulary` must hold two words or more"),
    ],
)
def test_wrong_options_are_refused(given, tmp_path, more, message):
    with pytest.raises(SystemExit, match=message):
        trained(given, tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()
