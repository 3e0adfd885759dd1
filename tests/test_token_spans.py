"""Token spans: which tokens of a prompt stand for which class, by characters, never by counting."""

import pytest
import torch
from transformers import CLIPTokenizer

from scribblegen.segmenting.phrases import occurrences
from scribblegen.segmenting.token_spans import token_words, unnamed, unnamed_reason, words_at
from scribblegen.tiny import tiny_folder


def pieces_tokenizer(*words: str, length: int = 16) -> CLIPTokenizer:
    """CLIP's byte pairs with a vocabulary of our own: `aerop|lane` are two tokens of one word."""
    letters = "abcdefghijklmnopqrstuvwxyz-,."
    vocab = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    merges = []
    for number, piece in enumerate(p for word in words for p in word.split("|")):
        ends = any(word.endswith(piece) for word in words)
        parts = [*piece[:-1], f"{piece[-1]}</w>"] if ends else list(piece)
        while len(parts) > 1:
            pair, parts = (parts[0], parts[1]), [parts[0] + parts[1], *parts[2:]]
            if pair not in merges:
                merges.append(pair)
                vocab.append(parts[0])
        assert parts[0] in vocab, number
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(vocab)}, merges=merges, model_max_length=length
    )


BYTE_PAIRS = pieces_tokenizer("aerop|lane", "pot|ted", "photo", "of", "cat", "two")
WORDS = CLIPTokenizer.from_pretrained(tiny_folder() / "tokenizer")  # of the shipped pipeline


def named(tokenizer: CLIPTokenizer, text: str, *phrases: tuple[str, ...]) -> list[list[str]]:
    """The tokens of each class; the weights are checked to be equal and to add up to 1."""
    length = tokenizer.model_max_length
    ids = tokenizer(text, padding="max_length", max_length=length, truncation=True).input_ids
    words = token_words(tokenizer, text, phrases, length=length)
    assert words.shape == (len(phrases), length) and words.dtype == torch.float32
    found = []
    for row in words:
        tokens = row.nonzero().flatten().tolist()
        assert torch.equal(row[tokens], torch.full((len(tokens),), 1 / max(1, len(tokens))))
        found.append(tokenizer.convert_ids_to_tokens([ids[t] for t in tokens]))
    return found


def texts(text: str, *phrases: tuple[str, ...]) -> list[tuple[str, int]]:
    """The words of each occurrence, and whose they are."""
    return [(text[o.start : o.stop], o.row) for o in occurrences(text, phrases)]


def test_a_word_of_several_pieces_has_all_of_its_tokens_and_moves_no_other() -> None:
    text = "photo of a aeroplane, a cat"
    assert BYTE_PAIRS.tokenize(text)[3:5] == ["aerop", "lane</w>"]
    assert named(BYTE_PAIRS, text, ("aeroplane",), ("cat",)) == [["aerop", "lane</w>"], ["cat</w>"]]
    tokenizer = pieces_tokenizer("pot|ted", "plant", "of")
    assert named(tokenizer, "of a Potted Plant of", ("potted plant",)) == [
        ["pot", "ted</w>", "plant</w>"]
    ]


def test_every_occurrence_counts_and_a_plural_has_tokens_of_its_own() -> None:
    text = "cats of two cat"
    words = token_words(BYTE_PAIRS, text, [("cat",)], length=16)[0]
    pieces = BYTE_PAIRS.tokenize("cats")
    assert len(pieces) > 1 and (words > 0).sum() == len(pieces) + 1
    assert words[0] == 0 and words[len(pieces) + 3] == words[1] == words.max()


def test_the_shipped_pipeline_s_words_and_its_spelled_ones() -> None:
    text = "A photo of a red Beach Ball and dogs on grass by balls"
    assert named(WORDS, text, ("ball", "beach ball"), ("dog",), ("grass",)) == [
        ["beach", "ball", "b", "a", "l", "l", "s</w>"],
        ["d", "o", "g", "s</w>"],
        ["grass"],
    ]
    assert named(WORDS, "a photo of a hot  air\nballoon", ("hot air balloon",)) == [
        ["hot", "air", "balloon"]
    ]


def test_letters_that_the_tokenizer_lacks_or_lowers_to_more_letters_shift_nothing() -> None:
    assert named(WORDS, "café İİ ball 🎈 car", ("ball",), ("car",)) == [["ball"], ["car"]]
    assert named(WORDS, "ball <|endoftext|> car", ("ball",), ("car",)) == [["ball"], ["car"]]


def test_tokens_beyond_the_end_do_not_exist() -> None:
    tokenizer = pieces_tokenizer("cat", "of", length=8)
    text = "of of cat of of of cat"
    assert named(tokenizer, text, ("cat",)) == [["cat</w>"]]
    words = token_words(tokenizer, "of of of of of of cat", [("cat",), ("of",)], length=8)
    assert unnamed(words) == [0] and not words[0].any()
    assert (words[1] > 0).tolist() == [False] + [True] * 6 + [False]


def test_a_class_without_a_token_is_told_by_name() -> None:
    words = token_words(WORDS, "a photo of a car", [("ball",), ("car",), ("boat",)], length=40)
    assert unnamed(words) == [0, 2]
    assert unnamed_reason(words, ["ball", "car", "boat"]) == (
        "no token stands for ball, boat in the prompt"
    )
    assert unnamed_reason(words[1:2], ["car"]) is None
    assert token_words(WORDS, "", [], length=40).shape == (0, 40)


def test_a_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="`tokenizer` must tell from which characters .*Got Slow"):
        token_words(Slow(), "a cat", [("cat",)], length=8)


# Occurrences


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("dog", "dogs"),
        ("bus", "buses"),
        ("sheep", "sheep"),
        ("person", "people"),
        ("policeman", "policemen"),
        ("human", "humans"),
        ("pony", "ponies"),
        ("bench", "benches"),
        ("potato", "potatoes"),
        ("goose", "geese"),
        ("potted plant", "potted plants"),
        ("potted plant", "pottedplant"),
        ("potted plant", "potted-plants"),
        ("potted_plant", "Potted\n Plant"),
        ("dining table", "DiningTables"),
        ("police woman", "police women"),
        ("stairs", "stair"),
        ("trees", "tree"),
        ("men", "man"),
        ("dog", "dog's"),
        ("t.v.", "t.v."),
    ],
)
def test_a_phrase_is_found_in_all_its_forms(phrase: str, text: str) -> None:
    for around in ("{}", "a {}, and more", "({})"):
        said = around.format(text)
        (found,) = occurrences(said, [(phrase,)])
        assert said[found.start : found.stop] == text.removesuffix("'s")
        assert found.phrase == phrase and found.row == 0


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("cat", "catalogue of concatenated cattle"),
        ("dog", "a hot-dog"),
        ("bus", "busy"),
        ("car", "carpet scar"),
        ("man", "human"),
        ("human", "humen"),
        ("potted plant", "potted cactus plant"),
        ("glass", "glas"),
    ],
)
def test_a_part_of_a_word_is_none(phrase: str, text: str) -> None:
    assert occurrences(text, [(phrase,)]) == []


def test_the_longest_match_is_taken_first_whatever_its_class() -> None:
    phrases = (("table", "plant"), ("dining table",), ("hot dog",), ("dog",), ("dog house",))
    assert texts("a dining table, a table", *phrases) == [("dining table", 1), ("table", 0)]
    assert texts("hot dog house", *phrases) == [("dog house", 4)]
    assert texts("cats and a cat", ("cat",), ("animal", "cat")) == [
        *(("cats", 0), ("cats", 1)),
        *(("cat", 0), ("cat", 1)),
    ]


def test_a_phrase_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="`phrases` must each hold a word. Got ' - '"):
        occurrences("a - b", [(" - ",)])


def test_places_that_are_known_are_taken_as_they_are():
    """One of two cats, by its characters; and half a word is all of its token."""
    text = "a photo of a ball and a ball"
    (both,) = token_words(WORDS, text, [("ball",)], length=32)
    spans = [[(13, 17)], [(24, 28)], [(13, 17), (25, 27)], []]
    first, second, again, none = words_at(WORDS, text, spans, length=32)
    assert torch.equal((first + second) / 2, both) and torch.equal(again, both)
    assert first.sum() == second.sum() == 1 and not none.any()
