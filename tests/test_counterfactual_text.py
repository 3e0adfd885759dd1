"""Counterfactual prompts: none of a description's words is left in them, and they stay English."""

import pytest

from scribblegen.counterfactual_text import CF_MODES, counterfactual
from scribblegen.descriptions import Description, Mention
from scribblegen.segmenting.phrases import occurrences
from scribblegen.vocabulary_files import parse_vocabulary

WORDS = parse_vocabulary(
    """
- {id: 1, name: horse, synonyms: [pony], parents: [animal]}
- {id: 1202, name: zebra, parents: [animal]}
- {id: 3, name: yoke (animal equipment), parents: [tool]}
- {id: 4, name: ox, plural: oxen, parents: [animal]}
- {id: 6, name: dog, parents: [animal]}
- {id: 7, name: umbrella}
""",
    "here",
    is_yaml=True,
)
NAMES = {word.name: word for word in WORDS.words}


def describe(text, *names, nouns=()):
    words = [NAMES[name] for name in names]
    found = occurrences(text, [word.phrases for word in words])
    mentions = tuple(
        Mention(k + 1, w.id, w.name, tuple((o.start, o.stop) for o in found if o.row == k))
        for k, w in enumerate(words)
    )
    return Description("a", text, mentions, nouns, "file")


@pytest.mark.parametrize(
    ("text", "names", "nothing", "delete"),
    [
        ("a horse in a field", ["horse"], "nothing in a field", "in a field"),
        ("a brown horse in a field", ["horse"], "nothing in a field", "in a field"),
        ("A pony runs.", ["horse"], "Nothing runs.", "runs."),
        ("a photo of a horse", ["horse"], "a photo of nothing", "a photo"),
        (
            "two zebras and a dog in mud",
            ["zebra"],
            "nothing and a dog in mud",
            "a dog in mud",
        ),
        ("zebras, many zebras", ["zebra"], "nothing, nothing", None),
        (
            "a wooden yoke (animal equipment) hangs on a wall",
            ["yoke"],
            "nothing hangs on a wall",
            "hangs on a wall",
        ),
        (
            "a photo of an ox, a horse and a dog by a lake",
            ["ox"],
            "a photo of nothing, a horse and a dog by a lake",
            "a photo of a horse and a dog by a lake",
        ),
        (
            "a photo of an ox, a horse and a dog by a lake",
            ["ox", "dog"],
            "a photo of nothing, a horse and nothing by a lake",
            "a photo of a horse by a lake",
        ),
        (
            "a girl with a small horse in the rain",
            ["horse"],
            "a girl with nothing in the rain",
            "a girl in the rain",
        ),
        ("oxen and an ox rest", ["ox"], "nothing and nothing rest", "rest"),
    ],
)
def test_no_word_is_left(text, names, nothing, delete):
    description = describe(text, *names)
    assert counterfactual(description, "nothing", WORDS) == (nothing, None)
    if delete is not None:
        assert counterfactual(description, "delete", WORDS) == (delete, None)
    assert description.text == text


def test_what_is_no_adjective_stays():
    text = "a tall man riding a horse"
    assert (
        counterfactual(describe(text, "horse"), "nothing", WORDS)[0] == "a tall man riding nothing"
    )
    text = "an iron horse shoe"
    described = describe(text, "horse", nouns=("iron",))
    assert counterfactual(described, "nothing", WORDS)[0] == "an iron nothing shoe"


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("a horse and a zebra", ["horse", "zebra"], "an animal and an animal"),
        ("three zebras on sand", ["zebra"], "three animals on sand"),
        ("Oxen pull an old yoke", ["ox", "yoke"], "Animals pull an old tool"),
    ],
)
def test_a_hypernym_has_its_article_and_number(text, names, expected):
    assert counterfactual(describe(text, *names), "hypernym", WORDS) == (expected, None)


def test_a_swap_is_for_a_word_that_is_not_there_and_always_the_same():
    described = describe("a horse beside a dog", "horse", "dog", nouns=("umbrella",))
    text, negative = counterfactual(described, "swap", WORDS)
    assert negative is None and text == counterfactual(described, "swap", WORDS)[0]
    named = {WORDS.words[o.row].name for o in occurrences(text, [w.phrases for w in WORDS.words])}
    assert len(named) == 2 and not named & {"horse", "dog", "umbrella"}


def test_a_negative_prompt_leaves_the_text_as_it_is():
    described = describe("a horse beside an ox", "horse", "ox")
    assert counterfactual(described, "negative_prompt", WORDS) == (described.text, "horse, ox")


def test_what_would_not_change_or_say_nothing_is_refused():
    unnamed = Description("a", "a field", (Mention(1, 1, "horse", ()),), (), "file")
    for mode in ("nothing", "delete", "hypernym", "swap"):
        with pytest.raises(ValueError, match="must not name its words"):
            counterfactual(unnamed, mode, WORDS)
    missed = Description(
        "a", "1202:zebra, a zebra", (Mention(1, 1202, "zebra", ((5, 10),)),), (), ""
    )
    with pytest.raises(ValueError, match="It names zebra"):
        counterfactual(missed, "nothing", WORDS)
    with pytest.raises(ValueError, match="By delete nothing is left"):
        counterfactual(describe("a horse", "horse"), "delete", WORDS)
    with pytest.raises(ValueError, match="umbrella has none"):
        counterfactual(describe("an umbrella", "umbrella"), "hypernym", WORDS)
    with pytest.raises(ValueError, match="`mode` must be one of"):
        counterfactual(describe("a horse", "horse"), "none", WORDS)


def test_names_as_the_paper_s_list_has_them_are_found():
    """The three that the paper's own code leaves in place."""
    listed = parse_vocabulary("1202:zebra\n1196:yoke_(animal_equipment)\n", "here", is_yaml=False)
    text = "two zebras under a yoke (animal equipment), and a zebra"
    found = occurrences(text, [word.phrases for word in listed.words])
    mentions = tuple(
        Mention(k + 1, w.id, w.name, tuple((o.start, o.stop) for o in found if o.row == k))
        for k, w in enumerate(listed.words)
    )
    described = Description("a", text, mentions, (), "file")
    for mode in CF_MODES[:2]:
        left, _ = counterfactual(
            Description(**{**vars(described), "text": text + " stand"}), mode, listed
        )
        assert not any(word in left for word in ("zebra", "yoke", "equipment"))
