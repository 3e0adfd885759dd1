"""Pairs as a training reads them: masks, twins that passed their test, and what is refused."""

import json

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value

from scribblegen.descriptions import Description, Mention, description_features
from scribblegen.trainers.open_vocabulary.rows import open_pairs
from scribblegen.vocabulary import Vocabulary, Word
from tests.subset_files import encoded, write_card

GREY = np.full((16, 24, 3), 120, np.uint8)
MASK = np.zeros((16, 24), np.uint8)
MASK[:, 12:] = 1
MASK[0] = 255


def row(number, *, passed=True, mask=MASK, twin=GREY, name="cat", word=3):
    mentions = (Mention(1, word, name, ((2, 5),)),)
    text = Description(f"s{number}", f"a {name}", mentions, ("meadow",), "file")
    return {
        **text.row(),
        "image": encoded(GREY),
        "mask": encoded(mask),
        "counterfactual_image": None if twin is None else encoded(twin),
        "cf_passed": passed,
    }


def saved(folder, rows, *, without=()):
    pictures = {name: Image() for name in ("image", "mask", "counterfactual_image")}
    features = Features({**description_features(), **pictures, "cf_passed": Value("bool")})
    table = Dataset.from_list(rows, features=features)
    path = folder / "magicseg" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    table.remove_columns(list(without)).to_parquet(path)
    write_card(folder, "magicseg")
    return [f"{folder}:magicseg"]


def test_rows_are_read_and_only_twins_that_passed_are_learned_from(tmp_path):
    given = [row(0), row(1, passed=False), row(2, passed=None), row(3, twin=None), row(4, word=700)]
    given[4] = row(4, name="dog", word=70000)
    named = saved(tmp_path, given)
    table = open_pairs(named)
    assert [table.read(i).twin is not None for i in range(5)] == [True, False, False, False, True]
    assert sorted(table.twins().values()) == [1, 1, 1, 2]
    assert open_pairs(named, untested=True).read(2).twin is not None
    pair = table.read(0)
    assert pair.image.shape == pair.twin.shape == (16, 24, 3)
    assert np.array_equal(pair.mask, MASK)
    assert table.vocabulary().id2label == {3: "cat", 70000: "dog"}
    assert table.fingerprint() == open_pairs(named).fingerprint()


@pytest.mark.parametrize(
    "change", [{"passed": False}, {"twin": GREY // 2}, {"name": "dog"}, {"word": 4}]
)
def test_rows_that_teach_something_else_are_other_rows(tmp_path, change):
    """So that no training resumes over them."""
    (kind,) = change  # in the folder's name, by which the library's cache tells sets apart
    one = saved(tmp_path / f"as-before-{kind}", [row(0)])
    other = saved(tmp_path / f"changed-{kind}", [row(0, **change)])
    assert open_pairs(one).fingerprint() != open_pairs(other).fingerprint()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mask": MASK + 1}, r"s0 holds \[2\] in `mask`, which are values of no word"),
        ({"mask": MASK[1:]}, "s0 holds a `mask` of"),
        ({"twin": GREY[1:]}, "s0 holds a `counterfactual_image` of"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        open_pairs(saved(tmp_path, [row(0, **wrong)])).read(0)


def test_all_rows_are_looked_at_before_any_work(tmp_path):
    given = [row(0, mask=MASK + 1), row(1), row(2, twin=GREY[1:]), row(3)]
    given[3]["image"] = {"bytes": b"no picture", "path": None}
    table = open_pairs(saved(tmp_path, given))
    with pytest.raises(ValueError, match=r"Of 4 rows 3 cannot be used: s0 holds \[2\]") as error:
        table.check()
    assert "s2 holds a `counterfactual_image`" in str(error.value)
    assert "s3 cannot be read" in str(error.value) and str(tmp_path) in str(error.value)


def two_words(number, values):
    mentions = (Mention(1, 3, "cat", ((2, 5),)), Mention(2, 4, "dog", ((8, 11),)))
    described = Description(f"s{number}", "a cat, dog", mentions, (), "file").row()
    return {**row(number, mask=np.where(MASK == 1, values, MASK).astype(np.uint8)), **described}


def test_masks_that_do_not_tell_words_apart_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Got 2 rows of several words .* `mask_mode` union"):
        open_pairs(saved(tmp_path / "union", [row(0), two_words(1, 1), two_words(2, 1)])).check()
    # One of them was not drawn in one image; another image has both.
    open_pairs(saved(tmp_path / "words", [two_words(1, 1), two_words(2, 2)])).check()


def test_a_repository_s_vocabulary_has_synonyms_and_words_that_no_row_has(tmp_path):
    named = saved(tmp_path / "carrying", [row(0), row(1, name="dog", word=9)])
    carried = Vocabulary((Word(3, "cat", synonyms=("kitten",)), Word(5, "cow")))
    text = json.dumps(carried.rows())
    (tmp_path / "carrying" / "vocabulary.json").write_text(text)
    found = open_pairs(named).vocabulary()
    assert found.words == (*carried.words, Word(9, "dog"))


def test_subsets_of_another_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`synthetic` must be given"):
        open_pairs([])
    with pytest.raises(ValueError, match=r"It lacks \['nouns'\]"):
        open_pairs(saved(tmp_path / "one", [row(0)], without=["nouns"]))
    two = [row(0), row(1, name="dog")]
    with pytest.raises(ValueError, match="word 3 is 'cat' and 'dog'"):
        open_pairs(saved(tmp_path / "two", two)).vocabulary()
