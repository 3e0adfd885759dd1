"""Vocabularies: how files say them, and which words may be in the same pixels."""

import time

import pytest

from scribblegen.builders.scenes.kinds import OBJECT_KINDS, SCENE_CLASSES
from scribblegen.classes import MAX_CLASSES, load_classes
from scribblegen.vocabulary import Vocabulary, Word, vocabulary_of
from scribblegen.vocabulary_files import load_vocabulary, parse_vocabulary


def lvis_like(count=1203):
    """`index:name`, 1-based, underscores for spaces, and some names twice in two senses."""
    names = [f"thing_{i}" for i in range(count - 3)]
    return "".join(
        f"{i}:{name}\n" for i, name in enumerate([*names, "bat_(animal)", "bat_(club)", "zebra"], 1)
    )


def test_each_of_1203_lines_is_a_name_and_an_id(tmp_path):
    path = tmp_path / "lvis.txt"
    path.write_text(lvis_like(), "utf-8")
    vocabulary = load_vocabulary(str(path))
    assert len(vocabulary) == len(vocabulary.by_id) == len(vocabulary.id2label) == 1203
    assert sorted(vocabulary.by_id) == list(range(1, 1204)) and 1203 > MAX_CLASSES
    assert vocabulary.by_id[1].name == "thing 0" and vocabulary.by_id[1203].name == "zebra"
    bat = vocabulary.by_id[1201]
    assert (bat.name, bat.sense, bat.glossed) == ("bat", "animal", "bat, animal")
    assert vocabulary_of(vocabulary.rows()) == vocabulary


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "- zebra\n- {name: yoke (animal equipment), parents: [tool]}\n- ox\n"),
        ("a.txt", "# comment\nzebra\n\nyoke_(animal_equipment)\n ox \n"),
        ("a.txt", "zebra\r\nyoke (animal equipment)\r\nox"),
    ],
)
def test_files_say_the_same_in_several_ways(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("utf-8-sig"))
    words = load_vocabulary(str(tmp_path / name)).words
    said = [(w.id, w.name, w.sense) for w in words]
    assert said == [(0, "zebra", None), (1, "yoke", "animal equipment"), (2, "ox", None)]


def test_names_on_the_command_line():
    assert [w.name for w in load_vocabulary("fire engine, zebra").words] == ["fire engine", "zebra"]
    assert [w.name for w in load_vocabulary("zebra,").words] == ["zebra"]


def test_yaml_says_all_of_a_word(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text(
        "- {id: 900, name: ox, plural: oxen, synonyms: [bullock], parents: [bovine, animal]}\n"
        "- {id: 7, name: bat, sense: club}\n"
    )
    ox, bat = load_vocabulary(str(path)).words
    assert ox == Word(900, "ox", None, ("bullock",), "oxen", ("bovine", "animal"))
    assert ox.phrases == ("ox", "bullock", "oxen") and (bat.id, bat.sense) == (7, "club")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1", "must be a list of words"),
        ("- {name: dog, synonym: x}", "Did you mean `synonyms`?"),
        ("- {name: dog, synonyms: x}", "`synonyms` of dog must be a list"),
        ("- no", "a word must be text. Got False. Put it in quotes"),
        ("- {name: dog, id: 1}\n- cat", "must have an `id`, or none. cat lacks it"),
        ("- {name: dog, id: -1}", "must be at least 0"),
        ("- {name: dog, id: 4000000000}", "below 2\\*\\*31"),
        ("- dog\n- Dog", "must hold each name once. Got 'dog' 2 times"),
        ("- {name: dog, id: 1}\n- {name: cat, id: 1}", "must hold each id once"),
        ("[]", "must hold at least one word"),
    ],
)
def test_what_is_no_vocabulary_is_refused(text, said):
    with pytest.raises(ValueError, match=f"here is no vocabulary: .*{said}"):
        parse_vocabulary(text, "here", is_yaml=True)


def test_lines_with_and_without_an_index_are_refused():
    with pytest.raises(ValueError, match="all of its lines must be `index:name`, or none. Got 'b'"):
        parse_vocabulary("1:a\nb", "here", is_yaml=False)


def test_a_file_that_is_not_there_is_told_apart_from_a_name():
    with pytest.raises(FileNotFoundError, match="which is no file. Did you mean `scenes`?"):
        load_vocabulary("scene")


def test_duplicates_among_many_are_found_in_no_time():
    words = [Word(i, f"thing {i}") for i in range(50_000)]
    started = time.perf_counter()
    Vocabulary(tuple(words))
    assert time.perf_counter() - started < 5  # every pair would be minutes
    with pytest.raises(ValueError, match="each name once. Got 'thing 7' 2 times"):
        Vocabulary((*words, Word(50_000, "thing 7")))


def test_what_ships_has_the_ids_of_the_masks():
    scenes = load_vocabulary("scenes")
    assert scenes.id2label == SCENE_CLASSES.id2label
    for kind in OBJECT_KINDS:
        (word,) = scenes.by_phrase[kind.phrase]
        assert word.name == kind.class_name
    voc = load_vocabulary("voc")
    assert voc.id2label == {i: n for i, n in load_classes("voc").id2label.items() if i}
    assert all(word.parents for word in (*voc.words, *scenes.words))


def test_words_that_may_be_in_the_same_pixels():
    vocabulary = parse_vocabulary(
        "- {name: animal}\n- {name: dog, synonyms: [puppy], parents: [animal]}\n"
        "- {name: pup (of a seal), synonyms: [puppy], parents: [animal]}\n"
        "- {name: cat, parents: [animal]}\n- car\n- bat (club)\n- bat (animal)\n",
        "here",
        is_yaml=True,
    )
    names = {word.glossed: word for word in vocabulary.words}
    assert vocabulary.related(names["dog"]) == {0, 1, 2}  # itself, its parent, a shared synonym
    assert vocabulary.related(names["animal"]) == {0, 1, 2, 3}
    assert vocabulary.related(names["bat, club"]) == {5, 6}
    assert vocabulary.excluded([4]) == {4}
    assert vocabulary.excluded([4], ["Cat", "a thing that no word is called"]) == {4, 3, 0}
