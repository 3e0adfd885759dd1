"""What looks for words in images: segmentors by the names of their classes, CLIP by texts."""

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from scribblegen.segmenting.clip_margins import ClipMargins
from scribblegen.tiny.random_weights import random_parts
from scribblegen.trainers.word_judge import WordJudge
from scribblegen.vocabulary import Vocabulary, Word
from tests.test_judge import save_segmentor

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def segmentor(tmp_path_factory):
    names = ("sky", "Dining Table", "ball")
    return save_segmentor(tmp_path_factory.mktemp("words") / "model", names)


def test_words_are_found_by_any_of_their_names(segmentor):
    words = Vocabulary(
        (Word(3, "zebra"), Word(900, "sphere", synonyms=("ball",)), Word(7, "dining table"))
    )
    judge = WordJudge(segmentor, words, CPU)
    seen = judge.look(IMAGE, [900, 7])
    assert seen.probabilities.shape == (2, 40, 56) and seen.winner.shape == (40, 56)
    both = seen.probabilities.sum(axis=0)
    assert (both > 0).all() and (both < 1).all(), "the sky has the rest"
    for position in (0, 1):
        won = seen.winner == position
        rest = 1 - both
        assert (seen.probabilities[position] >= rest)[won].all()
    assert judge.look(IMAGE, [7, 900]).probabilities == pytest.approx(seen.probabilities[::-1])
    assert judge.look(IMAGE, [900, 3]) is None, "it knows no zebra"
    assert judge.fingerprint() == WordJudge(segmentor, words, CPU).fingerprint()


def test_a_segmentor_that_knows_no_word_is_refused(segmentor):
    with pytest.raises(ValueError, match="`agreement_model` must know one of the 1 words, such as"):
        WordJudge(segmentor, Vocabulary((Word(0, "zebra"),)), CPU)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("clip") / "model")
    torch.manual_seed(0)
    layers = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    tokenizer = random_parts(1)["tokenizer"]
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPConfig(
        text_config={
            **layers,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32,
            **special,
        },
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def test_a_clip_model_weighs_two_texts(clip):
    margins = ClipMargins(clip, CPU)
    chance = margins.probability(IMAGE, "a photo of a cat", "a photo")
    assert 0 < chance < 1 and chance != pytest.approx(0.5, abs=1e-4)
    assert margins.probability(IMAGE, "a photo", "a photo of a cat") == pytest.approx(
        1 - chance, abs=1e-6
    )
    assert margins.probability(IMAGE, "a photo", "a photo") == pytest.approx(0.5)
    long = margins.probability(IMAGE, "cat " * 40, "a photo")
    assert 0 < long < 1, "what is longer than it reads is cut"
    assert margins.fingerprint() == ClipMargins(clip, CPU).fingerprint()


def test_what_is_no_clip_model_is_refused(segmentor, tmp_path):
    with pytest.raises(OSError, match="`clip_model` .*none cannot be loaded"):
        ClipMargins(str(tmp_path / "none"), CPU)
    with pytest.raises(OSError, match="`clip_model` .* cannot be loaded"):
        ClipMargins(segmentor, CPU)
