"""`scribblegen describe`: a vocabulary of any size -> descriptions, and these as a source."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest
from datasets import load_dataset

from scribblegen.builders.asked_words import VocabularySource
from scribblegen.builders.descriptions import DescriptionSource
from scribblegen.builders.descriptions_config import DescriptionsConfig, VocabularyConfig
from scribblegen.builders.run_gallery import write_gallery
from scribblegen.builders.texts.scenes import SceneTexts
from scribblegen.builders.texts.template_files import parse_templates
from scribblegen.builders.texts.verified import Verifier
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.descriptions import Asked, Description, description_features
from scribblegen.methods import table
from scribblegen.methods.base import Record, Subset
from scribblegen.methods.describe_config import DescribeConfig
from scribblegen.records import Rejection
from scribblegen.runs.config import OutputConfig
from scribblegen.segmenting.phrases import PhraseFinder, is_plural, occurrences, plural, singular
from scribblegen.vocabulary_files import load_vocabulary, parse_vocabulary
from tests.forks import run_ranks
from tests.test_prompt_model import save_model
from tests.test_vocabulary import lvis_like

OUTPUT = OutputConfig(sources_per_shard=8)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("describe") / "texts"
    words = VocabularyConfig(vocabulary="voc", descriptions_per_class=2, classes_per_description=2)
    build(words, DescribeConfig(), OUTPUT, output_dir=folder, progress_bar=False)
    return folder


def test_every_word_of_1203_is_described_equally_often(tmp_path):
    path, out = tmp_path / "lvis.txt", tmp_path / "texts"
    path.write_text(lvis_like(), "utf-8")
    main(["describe", f"--vocabulary={path}", "--descriptions_per_class=1", f"--output_dir={out}"])
    rows = load_dataset(str(out), "descriptions", split="train")
    assert len(rows) == 1203 and rows.features == description_features()
    ids = Counter(word["id"] for row in rows for word in row["classes"])
    assert ids == dict.fromkeys(range(1, 1204), 1)
    id2label = json.loads((out / "id2label.json").read_text("utf-8"))
    assert len(id2label) == 1203 and id2label["1201"] == "bat, animal"
    words = json.loads((out / "vocabulary.json").read_text("utf-8"))
    assert [word["id"] for word in words] == list(range(1, 1204))
    card = (out / "README.md").read_text("utf-8")
    assert "1 thing 0, 2 thing 1" in card and "1103 more in `id2label.json`" in card
    assert "assets/grid.png" not in card and "text-to-image" in card and str(tmp_path) not in card
    source = DescriptionSource(DescriptionsConfig(descriptions=str(out)))
    assert len(source.vocabulary) == 1203 and not isinstance(source.read(1202), Rejection)


def test_spans_name_the_words_and_nouns_are_everything_else(voc):
    vocabulary = load_vocabulary("voc")
    rows = load_dataset(str(voc), "descriptions", split="train")
    assert set(rows["prompt_source"]) == {"template"} and len(set(rows["prompt"])) > 35
    for row in rows:
        ids = [word["id"] for word in row["classes"]]
        assert ids == sorted(ids) and [w["local"] for w in row["classes"]] == [1, 2][: len(ids)]
        for word in row["classes"]:
            phrases = vocabulary.by_id[word["id"]].phrases
            for start, stop in word["spans"]:
                assert occurrences(row["prompt"][start:stop], [phrases])
        excluded = vocabulary.excluded(ids, row["nouns"])
        named = occurrences(row["prompt"], [word.phrases for word in vocabulary.words])
        assert {vocabulary.words[found.row].id for found in named} <= excluded
        assert row["nouns"]


def test_words_are_beside_each_other_equally_often():
    config = VocabularyConfig(
        vocabulary=",".join(f"thing {chr(97 + i)}" for i in range(20)),
        descriptions_per_class=6,
        classes_per_description=3,
    )
    source = VocabularySource(config)
    asked = [source.load(i) for i in range(len(source))]
    assert [len(one.words) for one in asked[::20]] == [1, 2, 3, 1, 2, 3]
    counts = Counter(word.name for one in asked for word in one.words)
    assert set(counts.values()) == {1 + 2 + 3 + 1 + 2 + 3}
    fewer = VocabularySource(
        VocabularyConfig(
            vocabulary=config.vocabulary, descriptions_per_class=2, classes_per_description=3
        )
    )
    assert [fewer.load(i) for i in range(40)] == asked[:40]


def test_words_that_may_be_in_the_same_pixels_are_not_asked_for_together(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("- animal\n- {name: dog, parents: [animal]}\n- {name: bat (club)}\n- bat (pet)")
    config = VocabularyConfig(vocabulary=str(path), classes_per_description=4)
    source = VocabularySource(config)
    for i in range(len(source)):
        names = [word.name for word in source.load(i).words]
        assert len(set(names)) == len(names) and set(names) != {"animal", "dog"}
    assert len(set(source.source_ids)) == len(source)


def test_a_vocabulary_of_one_word(tmp_path):
    words = VocabularyConfig(vocabulary="zebra,", classes_per_description=2)
    build(words, DescribeConfig(), output_dir=tmp_path / "out", progress_bar=False)
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert len(rows) == 10 and all("zebra" in row["prompt"] for row in rows)


def test_scenes_have_captions_of_their_kind(tmp_path):
    words = VocabularyConfig(descriptions_per_class=2, classes_per_description=2)
    build(words, DescribeConfig(), output_dir=tmp_path / "out", progress_bar=False)
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert len(rows) == 24 and set(rows["prompt_source"]) == {"scenes"}
    assert {row["prompt"].partition(" ")[0] for row in rows} == {"a"}
    counts = Counter(len(row["classes"]) for row in rows)
    assert counts[1] >= 12 and counts[2] >= 6
    with pytest.raises(ValueError, match="`texts` scenes must be of words of scenes: .* 'cow'"):
        SceneTexts(0, Verifier(load_vocabulary("car,cow")))


def test_what_scenes_never_have_together_leaves_the_first_word():
    vocabulary = load_vocabulary("scenes")
    words = (vocabulary.by_id[1], vocabulary.by_id[3])  # grass and sand
    found = SceneTexts(0, Verifier(vocabulary)).write(Asked("a", words, 0, 1, 0))
    assert [mention.name for mention in found.mentions] == ["grass"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a field of wheat", "description does not name dog"),
        ("a hot dog on a plate", "description does not name dog"),
        ("a dog", "description must have 3 words to 400 characters"),
        ("a dog " + "and so on " * 60, "description must have 3 words to 400 characters"),
    ],
)
def test_a_text_that_does_not_name_its_words_is_none(text, fault):
    vocabulary = parse_vocabulary(
        "- dog\n- hot dog\n- {name: cat, synonyms: [kitten]}", "x", is_yaml=True
    )
    verifier = Verifier(vocabulary)
    asked = Asked("a", vocabulary.words[:1], 0, 0, 0)
    assert verifier.description(text, asked, "file") == fault
    said = ["A Lamps", "dogs", "7", "<b>", "cats", "x" * 99]
    found = verifier.description("two  dogs\n and a kitten", asked, "file", said)
    assert found.text == "two dogs and a kitten" and found.mentions[0].spans == ((4, 8),)
    assert found.nouns == ("cat", "kitten", "lamp")


def test_a_model_on_this_machine_writes(tmp_path):
    save_model(tmp_path / "model", "dog", "cats", "a", "on", "grass", "runs")
    words = VocabularyConfig(vocabulary="dog,zebra", descriptions_per_class=6)
    config = DescribeConfig(prompt_model=str(tmp_path / "model"))
    for name in ("one", "two"):
        build(words, config, OUTPUT, output_dir=tmp_path / name, progress_bar=False)
    rows = load_dataset(str(tmp_path / "one"), split="train")
    assert len(rows) >= 3 and {w["name"] for r in rows for w in r["classes"]} == {"dog"}
    manifest = json.loads((tmp_path / "one" / "run" / "manifest.json").read_text("utf-8"))
    reasons = {r["reason"] for unit in manifest["units"] for r in unit["rejections"]}
    assert "description does not name zebra" in reasons
    assert digests(tmp_path / "one" / "descriptions") == digests(tmp_path / "two" / "descriptions")


def describe_voc(folder):
    main(
        ["describe", "--vocabulary=voc", "--descriptions_per_class=2", f"--output_dir={folder}"]
        + ["--classes_per_description=2", "--sources_per_shard=8"]
    )


@pytest.mark.parametrize("number", [1, 3])
def test_any_number_of_processes_writes_the_same(voc, tmp_path, number):
    run_ranks(tmp_path / "said", number, describe_voc, tmp_path / "texts")
    assert digests(tmp_path / "texts") == digests(voc)


def test_what_was_lost_is_made_again_as_it_was(voc, tmp_path):
    out = tmp_path / "texts"
    shutil.copytree(voc, out)
    for number in ("00001", "00003"):
        (lost,) = out.rglob(f"train-{number}-*.parquet")
        lost.unlink()
    describe_voc(out)
    assert digests(out) == digests(voc)


def test_other_words_are_another_run(tmp_path):
    path, out = tmp_path / "words.txt", tmp_path / "out"
    path.write_text("zebra\nox\n")
    words = VocabularyConfig(vocabulary=str(path))
    build(words, DescribeConfig(), output_dir=out, progress_bar=False)
    path.write_text("zebra\nox (animal)\n")
    with pytest.raises(ValueError, match="holds another run: train files"):
        build(words, DescribeConfig(), output_dir=out, progress_bar=False)


def test_a_run_of_texts_has_no_picture(voc):
    assert not (voc / "assets").exists()
    with pytest.raises(ValueError, match="`folder` must be that of a run whose rows have pictures"):
        write_gallery(voc)


def test_descriptions_are_a_source(voc, tmp_path):
    source = DescriptionSource(DescriptionsConfig(descriptions=f"{voc}:descriptions"))
    rows = load_dataset(str(voc), "descriptions", split="train")
    assert source.vocabulary == load_vocabulary("voc") and len(source) == len(rows) == 40
    assert all(source.read(i).row() == rows[i] for i in range(0, 40, 7))
    # As it is on the Hub, without the records of the run.
    for name in ("README.md", "vocabulary.json", "descriptions"):
        copy = shutil.copytree if (voc / name).is_dir() else shutil.copy
        (tmp_path / "texts").mkdir(exist_ok=True)
        copy(voc / name, tmp_path / "texts" / name)
    other = DescriptionSource(DescriptionsConfig(descriptions=str(tmp_path / "texts")))
    assert [other.read(i) for i in range(40)] == [source.read(i) for i in range(40)]
    few = DescriptionSource(DescriptionsConfig(descriptions=str(voc), max_samples=3), "train[5:]")
    assert few.source_ids == source.source_ids[5:8] and few.fingerprint() != source.fingerprint()
    (tmp_path / "texts" / "vocabulary.json").unlink()
    with pytest.raises(FileNotFoundError, match="must be of a repository with a vocabulary"):
        DescriptionSource(DescriptionsConfig(descriptions=str(tmp_path / "texts")))


@dataclass(frozen=True, kw_only=True)
class EchoConfig:
    """No options."""


class Echo:
    """Passes descriptions on."""

    config = EchoConfig()
    subsets = (Subset(name="echo", features=description_features()),)

    def identity(self):
        return {}

    def generate(self, items):
        for place, description in items:
            assert isinstance(description, Description)
            yield Record(place, "echo", 0, partial(Description.row, description))

    def remarks(self):
        return {}

    def profile(self, seconds, wall):
        return ""


def open_echo(config, opening):
    assert len(opening.sources["train"].vocabulary) == 20
    return Echo()


@pytest.mark.parametrize("subset", ["", "/", ":descriptions"])
def test_a_folder_is_a_source_by_its_path(voc, tmp_path, monkeypatch, subset):
    entry = table.Entry(
        config="tests.test_describe:EchoConfig",
        open="tests.test_describe:open_echo",
        item="scribblegen.descriptions:Description",
        source="descriptions",
    )
    monkeypatch.setitem(table.METHODS, "echo", entry)
    out = tmp_path / "out"
    main(["build", "--method", "echo", "--source", f"{voc}{subset}", "--output_dir", str(out)])
    echoed = load_dataset(str(out), "echo", split="train")
    assert list(echoed) == list(load_dataset(str(voc), "descriptions", split="train"))
    for name in ("vocabulary.json", "id2label.json"):
        assert (out / name).read_bytes() == (voc / name).read_bytes()
    assert str(voc.parent) not in (out / "run" / "config.yaml").read_text("utf-8")


def test_a_source_that_is_neither_name_nor_repository_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["build", "--source", "scene", f"--output_dir={tmp_path / 'out'}"])
    assert "`source` must be one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"texts": "all"}, "`texts` must be one of"),
        ({"texts": "model"}, "`prompt_model` must be given with `texts` model"),
        ({"texts": "template", "prompt_model": "x"}, "`prompt_model` has no effect on descr"),
        ({"texts": "endpoint"}, "`llm_endpoint` must be given"),
        ({"llm_endpoint": "http://a/v1"}, "`llm_model` must be given"),
        ({"llm_model": "x"}, "`llm_model` has no effect"),
        ({"llm_endpoint": "http://a:secret@b/v1", "llm_model": "x"}, "no user, password or query"),
        ({"llm_endpoint": "http://b/v1?key=secret", "llm_model": "x"}, "no user, password or quer"),
        ({"llm_endpoint": "ftp://b/v1", "llm_model": "x"}, "must be an address such as"),
        ({"llm_requests": 0}, "`llm_requests` must be from 1 to 64"),
        ({"llm_tries": 0}, "`llm_tries` must be at least 1"),
        ({"llm_timeout": 0.0}, "`llm_timeout` must be above 0"),
        ({"prompt_temperature": -1.0}, "`prompt_temperature` must be at least 0"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(ValueError, match=said) as refused:
        DescribeConfig(**options)
    assert "secret" not in str(refused.value)


def test_templates_of_a_file():
    read = parse_templates("scenes: [on a table, {text: in mud, weight: 2, nouns: [mud]}]", "here")
    assert [scene.text for scene, _ in read.scenes] == ["on a table", "in mud"]
    for text, said in [
        ("scene: []", "must hold openings, attributes, scenes"),
        ("scenes: [{text: x, weight: 0}]", "each of `scenes` must be"),
        ("scenes: [{text: x, kinds: [animal]}]", "must hold one without `kinds`"),
        ("{scenes: [x], lights: {a: -1}}", "must be `text: weight` pairs"),
        ("{scenes: [x], attributes: {animal: {a: 1}}}", "and of thing for all others"),
    ]:
        with pytest.raises(ValueError, match=f"here.*{said}"):
            parse_templates(text, "here")


def test_many_phrases_are_found_as_few_are():
    phrases = [
        ["wolf"],
        ["hot dog", "dog"],
        ["ox", "oxen"],
        ["person"],
        ["potted plant"],
        ["x-ray"],
    ]
    finder = PhraseFinder(phrases)
    for text in (
        "Wolves and hot-dogs, two people by a pottedplant",
        "an OX beside oxen; x-rays of dogs",
        "nothing of it, a foxdog",
        "",
    ):
        assert finder.find(text) == occurrences(text, phrases)


@pytest.mark.parametrize(
    ("one", "many"), [("zebra", "zebras"), ("hot dog", "hot dogs"), ("wolf", "wolves")]
)
def test_number_of_nouns(one, many):
    assert plural(one) == many and singular(many) == one and singular(one) == one
    assert is_plural(many.upper(), one) and not is_plural(one, one)
