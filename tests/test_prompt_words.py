"""What stands for a class in prompts: the shipped files, and what is refused of others."""

import re
from collections import Counter
from pathlib import Path

import pytest

from scribblegen.builders.prompt_scenes import scene_words
from scribblegen.builders.scenes.captions import SCENE_VOCABULARY
from scribblegen.builders.scenes.kinds import OBJECT_KINDS, SCENE_CLASSES
from scribblegen.classes import load_classes
from scribblegen.prompt_words import SHIPPED, class_words, parse_words, shipped_words
from scribblegen.segmenting.phrases import occurrences


def test_the_shipped_files_have_all_classes_of_their_sets() -> None:
    voc = [name for name in load_classes("voc").names if name != "background"]
    assert [words.name for words in shipped_words("voc").values()] == voc
    assert len(shipped_words("cityscapes")) == 19
    assert [words.name for words in shipped_words("scenes").values()] == list(SCENE_CLASSES.names)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_phrase_that_ships_stands_for_its_class_alone(name: str) -> None:
    words = list(shipped_words(name).values())
    phrases = [each.phrases for each in words]
    counted = Counter(phrase.lower() for each in phrases for phrase in each)
    assert [phrase for phrase, count in counted.items() if count > 1] == []
    for row, each in enumerate(words):
        for phrase in each.phrases:
            found = occurrences(f"a photo of a {phrase}", phrases)
            assert [(o.row, o.phrase) for o in found] == [(row, phrase)], phrase


@pytest.mark.parametrize("name", SHIPPED)
def test_every_class_that_ships_has_scenes_to_be_in(name: str) -> None:
    for each in shipped_words(name).values():
        assert len(each.templates) >= 2, each.name
        texts = [text for text, _ in each.templates]
        assert all(text.count("{thing}") == 1 for text in texts)
        assert name == "scenes" or len(each.sub_classes) >= 4, each.name


def test_animals_have_many_kinds() -> None:
    words = shipped_words("voc")
    assert len(words["bird"].sub_classes) >= 20 and len(words["dog"].sub_classes) >= 20
    for name in ("cat", "cow", "horse"):
        assert len(words[name].sub_classes) >= 10


def test_the_words_of_scenes_are_those_of_their_captions() -> None:
    shipped = shipped_words("scenes")
    for each in OBJECT_KINDS:
        theirs = [kind.phrase for kind in OBJECT_KINDS if kind.class_name == each.class_name]
        assert [name for name, _ in shipped[each.class_name].sub_classes] == theirs
    for made, own in zip(shipped.values(), scene_words(), strict=True):
        assert made.phrases == own.phrases
        for template, _ in made.templates:
            said = re.findall(r"\w+", template.replace("{thing}", ""))
            assert set(said) <= set(SCENE_VOCABULARY), template


def test_auto_takes_the_file_of_these_classes_or_none() -> None:
    def of(names: str) -> list[int]:
        return [len(words.sub_classes) for words in class_words("auto", names.split(","))]

    assert of("background,cat,dog") == [0, *of("cat,dog")] and min(of("cat,dog")) > 0
    assert of("cat,dog,sea") == [0, 0, 0], "no file has them all"
    assert class_words("auto", SCENE_CLASSES.names)[7].things == (("sedan", 1.0), ("bus", 1.0))
    assert class_words("auto", ["car", "boat"]) == class_words("voc", ["car", "boat"])
    street = [words.name for words in shipped_words("cityscapes").values()]
    assert class_words("auto", street) == class_words("cityscapes", street)


def test_case_and_spaces_of_names_do_not_matter_and_both_spellings_stand_for_the_class() -> None:
    (words,) = class_words("voc", ["TVmonitor"])
    assert words.name == "TVmonitor" and "tv monitor" in words.aliases and words.sub_classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold `class:` entries. Got None"),
        ("[cat]", "must hold `class:` entries"),
        ("cat: [tabby]", "cat must hold some of"),
        ("cat: {alias: [puss]}", "must hold none but .*Got 'alias'. Did you mean `aliases`?"),
        ("cat: {aliases: puss}", "`aliases` of cat must be a list. Got 'puss'"),
        ("cat: {aliases: [no]}", "must name things in words. Got False. Put it in quotes"),
        ("no: {aliases: [puss]}", "must name things in words. Got False. Put it in quotes"),
        ("cat: {sub_classes: [tabby]}", "`sub_classes` of cat must be `text: weight` pairs"),
        ("cat: {sub_classes: {tabby: 0}}", "with weights above 0"),
        ("cat: {sub_classes: {tabby: .inf}}", "with weights above 0"),
        ("cat: {sub_classes: {tabby: yes}}", "with weights above 0"),
        ("cat: {templates: {a cat: 1}}", "`templates` of cat must each hold {thing}. Got 'a cat'"),
        ("cat: {uncountable: 1}", "`uncountable` of cat must be true or false. Got 1"),
        ("t v: {}\nT-V: {}", "must hold each class once. Got T-V twice"),
        ("cat: {", "is not valid YAML"),
    ],
)
def test_a_file_of_words_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^`prompt_words` a.yaml.*{message}"):
        parse_words(text, "`prompt_words` a.yaml")


def test_a_file_that_is_not_there_or_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`prompt_words` must be auto, none, one of voc"):
        class_words("vok", ["cat"])
    words = tmp_path / "words.yaml"
    words.write_text("horse: {aliases: [nag]}")
    with pytest.raises(ValueError, match=r"words of at least one.*Got \['horse'\] for \['cat'\]"):
        class_words(str(words), ["cat"])
    assert class_words(str(words), ["cat", "horse"])[1].phrases == ("horse", "nag")
