"""Prompts: texts that name classes, each from its position and the options alone."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import CLIPTokenizer

from scribblegen.builders.prompt_scenes import FIRST_SCENE
from scribblegen.builders.prompt_templates import fill, with_article
from scribblegen.builders.prompts import PromptSource
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.builders.scenes.captions import caption
from scribblegen.builders.scenes.composition import compose
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.sources import open_source
from scribblegen.prompts import Prompt
from scribblegen.segmenting.token_spans import token_words, unnamed
from scribblegen.tiny import tiny_folder


def prompts(**options: Any) -> list[Prompt]:
    source = open_source(PromptsConfig(**options))
    return [source.read(i) for i in range(len(source))]


def plain(source_id: str, text: str, class_id: int, phrase: str) -> Prompt:
    return Prompt(source_id, text, (class_id,), ((phrase,),), "template")


# Templates


def test_prompts_go_round_the_classes_and_each_class_round_the_templates() -> None:
    config = PromptsConfig(
        classes="background,cat,potted plant",
        prompt_templates=["Photo of a {class}", "A {class} at night, {rain}"],
        prompt_words="none",
        num_samples=5,
    )
    source = open_source(config)
    assert [source.read(i) for i in range(len(source))] == [
        plain("cat-000000", "Photo of a cat", 1, "cat"),
        plain("potted_plant-000000", "Photo of a potted plant", 2, "potted plant"),
        plain("cat-000001", "A cat at night, {rain}", 1, "cat"),
        plain("potted_plant-000001", "A potted plant at night, {rain}", 2, "potted plant"),
        plain("cat-000002", "Photo of a cat", 1, "cat"),
    ]
    assert source.read(-1) == source.read(4)
    assert open_source(config, "validation") is open_source(config, "test") is None


def test_without_a_number_every_template_is_there_once_for_every_class() -> None:
    templates = ["A {class}", "{class}"]
    made = prompts(classes="voc", prompt_templates=templates, prompt_words="none")
    texts = [prompt.text for prompt in made]
    assert len(texts) == len(set(texts)) == 40 and "A background" not in texts


@pytest.mark.parametrize(
    "options",
    [
        {"classes": "cat,dog,cow"},
        {"classes": "cat,dog,cow", "classes_per_prompt": 3},
        {"classes": "red,green,blue"},
        {},
    ],
)
def test_more_prompts_leave_those_before_them_as_they_are(options: dict[str, Any]) -> None:
    few, many = prompts(num_samples=7, **options), prompts(num_samples=60, **options)
    assert few == many[:7] and len({prompt.source_id for prompt in many}) == 60
    source = open_source(PromptsConfig(num_samples=60, **options))
    assert [source.load(i) for i in (40, 3, 40)] == [many[40], many[3], many[40]]
    classes = len(source.classes)
    assert prompts(images_per_class=2, **options) == many[: 2 * classes]
    other = prompts(num_samples=60, prompt_seed=1, **options)
    assert (other == many) == (options == {"classes": "red,green,blue"}), "nothing is drawn there"


def test_sub_classes_and_scenes_are_drawn_by_their_weights(tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text(
        "cat:\n  aliases: [kitty]\n  sub_classes: {tabby: 3, lynx: 1}\n"
        "  templates: {'a {thing} here': 1, 'the {thing} there': 1}\n"
        "dog: {sub_classes: {Airedale: 1}}\n"
    )
    options = {"classes": "cat,dog,cow", "prompt_words": str(words), "images_per_class": 1000}
    made = prompts(plain_share=0.25, **options)
    counted = Counter(prompt.text for prompt in made)
    assert counted["Photo of a cow"] == 1000, "it has no words: all of its prompts are plain"
    assert counted["Photo of a cat"] == counted["Photo of a dog"] == 250
    assert counted["Photo of an Airedale"] == 750, "without scenes the plain templates have it"
    assert 500 < counted["a tabby here"] + counted["the tabby there"] < 625
    assert 325 < counted["a tabby here"] + counted["a lynx here"] < 425
    by_text = {prompt.text: prompt for prompt in made}
    assert by_text["a tabby here"].phrases == (("tabby",),)
    assert by_text["a tabby here"].class_ids == (0,)
    assert by_text["Photo of an Airedale"].class_ids == (1,)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_the_plain_share_holds_from_the_start_and_for_every_class(share: float) -> None:
    made = prompts(classes="voc", images_per_class=40, plain_share=share)
    for count in (100, 400, 800):
        are_plain = [prompt.text.startswith("Photo of") for prompt in made[:count]]
        assert abs(sum(are_plain) - share * count) < 20, "at most one of each class is off"
    assert len({prompt.text.startswith("Photo of") for prompt in made[:20]}) == (
        1 if share in (0, 1) else 2
    ), "classes are not plain all at once"


def test_a_text_names_all_classes_whose_words_are_in_it() -> None:
    (made,) = prompts(
        classes="cat,dining table",
        prompt_templates=["Kittens and a {class} under two tables"],
        num_samples=1,
        plain_share=1.0,
    )
    assert made.class_ids == (0, 1) and made.phrases == (("kitten", "cat"), ("table",))


def test_several_classes_in_a_prompt() -> None:
    options: dict[str, Any] = {"classes": "voc", "images_per_class": 60, "prompt_words": "none"}
    made = prompts(classes_per_prompt=3, **options)
    counted = Counter(len(prompt.class_ids) for prompt in made)
    assert counted.keys() == {1, 2, 3} and min(counted.values()) > 300
    names = open_source(PromptsConfig(**options)).classes.names
    for prompt in made:
        assert names.index(prompt.source_id[:-7].replace("_", " ")) in prompt.class_ids
        assert list(prompt.class_ids) == sorted(set(prompt.class_ids)) and 0 not in prompt.class_ids
        assert prompt.phrases == tuple((names[i],) for i in prompt.class_ids)
    assert all(len(prompt.class_ids) == 1 for prompt in prompts(**options))
    few = prompts(classes="cat,dog", classes_per_prompt=9, num_samples=40)
    assert {len(prompt.class_ids) for prompt in few} == {1, 2}


@pytest.mark.parametrize(
    ("template", "things", "text"),
    [
        ("a {thing} here", [("cat", True)], "a cat here"),
        ("A {thing} here", [("oak", True)], "An oak here"),
        ("an {thing} here", [("cat", True)], "a cat here"),
        ("a {thing} here", [("unicycle", True)], "a unicycle here"),
        ("on a {thing}", [("grass", False)], "on grass"),
        ("A {thing} grows", [("grass", False)], "Grass grows"),
        ("extra {thing}", [("oak", True)], "extra oak"),
        ("a {thing}, {thing}", [("oak", True), ("owl", True)], "an oak and an owl, oak and an owl"),
        ("a {thing}", [("oak", True), ("sand", False), ("cat", True)], "an oak and sand and a cat"),
    ],
)
def test_articles_fit_what_they_are_in_front_of(
    template: str, things: list[tuple[str, bool]], text: str
) -> None:
    assert fill(template, "{thing}", things) == text
    assert with_article(("hour", False)) == "hour"


# Scenes


def test_without_classes_prompts_are_captions_of_scenes_that_nothing_was_trained_on() -> None:
    made = prompts(num_samples=36)
    assert made[0].source_id == "sky-000000" and made[35].source_id == "mushroom-000002"
    tokenizer = CLIPTokenizer.from_pretrained(tiny_folder() / "tokenizer")
    for position, prompt in enumerate(made):
        first = FIRST_SCENE + 64 * position
        scene = next(s for n in range(64) if caption(s := compose(first + n, 0)) == prompt.text)
        there = {thing.kind.class_name for thing in scene.objects} | {scene.lower, scene.upper}
        assert {SCENE_CLASSES.names[i] for i in prompt.class_ids} == there - {None}
        assert prompt.prompt_source == "scenes"
        assert prompt.source_id[:-7] in there
        words = token_words(tokenizer, prompt.text, prompt.phrases, length=40)
        assert unnamed(words) == []
        assert not ((words > 0).sum(dim=0) > 1).any(), "no token stands for two classes"
    assert len({prompt.text for prompt in made}) > 30


def test_scenes_classes_go_with_templates_too() -> None:
    made = prompts(prompt_words="scenes", images_per_class=2)
    assert len(made) == 24 and {prompt.prompt_source for prompt in made} == {"template"}


# The source as a whole


def test_the_fingerprint_of_prompts_tells_of_every_change(tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("cat: {aliases: [puss]}")
    options: list[dict[str, Any]] = [
        {},
        {"classes": "cat,cow"},
        {"num_samples": 3},
        {"prompt_templates": ["A {class}"]},
        {"prompt_words": "none"},
        {"prompt_words": str(words)},
        {"prompt_seed": 1, "images_per_class": 9},
        {"images_per_class": 9},
        {"classes_per_prompt": 2, "images_per_class": 9},
        {"plain_share": 1.0, "images_per_class": 9},
        {"classes": None},
        {"classes": None, "prompt_seed": 1},
    ]
    made = [open_source(PromptsConfig(**{"classes": "cat,dog", **o})) for o in options]
    prints = [source.fingerprint() for source in made]
    assert len(set(prints)) == len(prints)
    assert open_source(PromptsConfig(classes="cat,dog")).fingerprint() == prints[0]


def test_prompts_need_a_class_besides_background(tmp_path: Path) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("background\n")
    with pytest.raises(ValueError, match="`classes` must hold one besides background"):
        open_source(PromptsConfig(classes=str(names)))


def test_a_class_without_a_letter_has_prompts_that_a_method_can_reject() -> None:
    made = prompts(classes="cat,???", prompt_words="none")
    assert made[1].class_ids == (1,) and made[1].phrases == ((),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images_per_class": 0}, "`images_per_class` must be at least 1. Got 0"),
        ({"images_per_class": 2, "num_samples": 3}, "`images_per_class` must be left out where"),
        ({"classes_per_prompt": 0}, "`classes_per_prompt` must be at least 1. Got 0"),
        ({"plain_share": 1.1}, r"`plain_share` must be in \[0, 1\]. Got 1.1"),
        ({"plain_share": float("nan")}, r"`plain_share` must be in \[0, 1\]. Got nan"),
        ({"prompt_temperature": -1.0}, "`prompt_temperature` must be at least 0. Got -1"),
        ({"prompt_file": "a", "prompt_model": "b"}, "`prompt_model` must be left out where"),
        ({"prompt_file": "a", "classes_per_prompt": 2}, "`classes_per_prompt` must be left out"),
    ],
)
def test_options_that_do_not_go_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptsConfig(**options)


@pytest.mark.parametrize(
    "options", [{"classes_per_prompt": 2}, {"plain_share": 0.5}, {"prompt_templates": ["{class}"]}]
)
def test_options_without_effect_on_captions_of_scenes_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`classes` must be given for `{next(iter(options))}`"):
        open_source(PromptsConfig(**options))
    assert prompts(prompt_words="scenes", num_samples=1, **options)


def test_a_prompt_has_phrases_for_each_class_and_a_source_that_is_known() -> None:
    with pytest.raises(ValueError, match="`phrases` must be one entry for each.* Got 0 for 1"):
        Prompt("a", "a cat", (0,), (), "template")
    with pytest.raises(ValueError, match="`prompt_source` must be one of .*Got 'dream'"):
        Prompt("a", "a cat", (0,), (("cat",),), "dream")


def test_prompts_are_opened_by_the_table_of_sources() -> None:
    assert isinstance(open_source(PromptsConfig(classes="cat,dog")), PromptSource)
