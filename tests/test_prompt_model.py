"""Captions of a language model: each from its own seed, and none without its class."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from scribblegen.builders.prompt_model import LONGEST, SeededChoice, first_line
from scribblegen.builders.prompts import PromptSource
from scribblegen.builders.prompts_config import PromptsConfig


def save_model(folder: Path, *words: str) -> Path:
    """A random GPT-2 that knows some words and no other."""
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<end>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>", model_max_length=512
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocabulary),
        n_positions=512,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=1,
        eos_token_id=1,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), "dog", "cats", "a", "on", "grass", "runs")


def source(folder: Path, **options: Any) -> PromptSource:
    given = {"classes": "cat,dog", "images_per_class": 6, "prompt_words": "none", **options}
    return PromptSource(PromptsConfig(prompt_model=str(folder), **given))


def test_captions_are_the_same_in_any_order_and_in_any_process(folder: Path) -> None:
    state = torch.random.get_rng_state()
    one, other = source(folder), source(folder)
    forwards = [one.load(i) for i in range(12)]
    backwards = [other.load(i) for i in reversed(range(12))]
    assert forwards == backwards[::-1]
    assert torch.equal(torch.random.get_rng_state(), state), "nobody else's numbers are drawn"
    assert forwards == [one.load(i) for i in range(12)]
    fewer = source(folder, images_per_class=2)
    assert [fewer.load(i) for i in range(4)] == forwards[:4]
    again = source(folder, prompt_seed=1)
    assert [again.load(i).text for i in range(12)] != [prompt.text for prompt in forwards]


def test_every_caption_names_its_class_and_some_prompts_are_plain(folder: Path) -> None:
    made = source(folder, images_per_class=20)
    prompts = [made.load(i) for i in range(40)]
    written = [prompt for prompt in prompts if prompt.prompt_source == "model"]
    plain = [prompt for prompt in prompts if prompt.text.startswith("Photo of a ")]
    assert len(plain) + len(written) == 40 and 12 <= len(plain) < 16
    assert len({prompt.text for prompt in written}) > 20
    for prompt in prompts:
        class_id = ["cat", "dog"].index(prompt.source_id[:3])
        assert class_id in prompt.class_ids and prompt.phrases[0]
    for prompt in written:
        assert set(prompt.text.split()) <= {"dog", "cats", "a", "on", "grass", "runs"}
        assert set(prompt.class_ids) == {
            i for i, w in enumerate(("cats", "dog")) if w in prompt.text
        }
    assert not source(folder, plain_share=1.0).load(0).prompt_source == "model"


def test_several_classes_are_all_named(folder: Path) -> None:
    made = source(folder, classes_per_prompt=2, images_per_class=20, plain_share=0.0)
    named = [(made.writer.request(i, 0)[1], made.load(i)) for i in range(40)]
    assert {len(ids) for ids, _ in named} == {1, 2}
    assert all(
        set(ids) <= set(prompt.class_ids)
        for ids, prompt in named
        if prompt.prompt_source == "model"
    )
    assert [prompt.prompt_source for _, prompt in named].count("model") > 20


def test_where_no_caption_names_the_class_a_template_stands_in_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = source(save_model(tmp_path, "dog", "runs", "a"), plain_share=0.0)
    with caplog.at_level(logging.WARNING, "scribblegen"):
        prompts = [made.load(i) for i in range(12)]
    cats, dogs = prompts[::2], prompts[1::2]
    assert {(prompt.text, prompt.prompt_source) for prompt in cats} == {
        ("Photo of a cat", "template")
    }
    assert "model" in {prompt.prompt_source for prompt in dogs}
    assert caplog.text.count("4 captions for cat-000000 do not name cat; a template") == 1
    assert made.writer.stood_in["cat"] == 6


def test_without_temperature_the_likeliest_words_are_taken(folder: Path) -> None:
    one, other = (source(folder, prompt_temperature=0.0, prompt_seed=s) for s in (0, 0))
    assert [one.load(i) for i in range(12)] == [other.load(i) for i in range(12)]


def test_the_model_is_read_when_the_first_caption_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("its weights were read")

    monkeypatch.setattr("scribblegen.builders.prompt_model.CaptionModel", refuse)
    made = source(folder)
    prints = made.fingerprint()
    assert source(folder).fingerprint() == prints
    assert source(folder, prompt_seed=1).fingerprint() != prints
    assert source(folder, prompt_temperature=1.0).fingerprint() != prints
    with pytest.raises(AssertionError, match="its weights were read"):
        [made.load(i) for i in range(12)]


def test_another_model_has_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path, "dog", "cats", "a", "on", "grass", "runs", "sits")
    assert source(other).fingerprint() != source(folder).fingerprint()


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="`prompt_model` .*none cannot be loaded"):
        source(tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(OSError, match="`prompt_model` .*does not say what model it is"):
        source(tmp_path)


def test_seeded_choices_are_samples() -> None:
    wanted = torch.tensor([0.5, 0.3, 0.2, 0.0])
    choice = SeededChoice(7, 1.0, most=3)
    scores = wanted.clamp(min=1e-9).log()[None]
    counts = torch.zeros(4)
    for _ in range(4000):
        counts[choice(None, scores).argmax()] += 1
    assert torch.allclose(counts / 4000, wanted, atol=0.03) and counts[3] == 0
    first, second = (SeededChoice(1, 0.5)(None, scores) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("\n\n  a dog\n a cat", "a dog"),
        ('- "a  dog runs."', "a dog runs."),
        ("1. a dog", "a dog"),
        ("...\na dog", "a dog"),
        ("", ""),
        ("dog " * 200, ("dog " * 200)[:LONGEST].strip()),
    ],
)
def test_a_caption_is_the_first_line_of_an_answer(answer: str, line: str) -> None:
    assert first_line(answer) == line
