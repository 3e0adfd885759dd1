"""The losses of masks of words, by hand; and the words that an image is asked for."""

import numpy as np
import pytest
import torch

from scribblegen.classes import IGNORE_INDEX
from scribblegen.descriptions import Description, Mention
from scribblegen.seeds import numpy_generator
from scribblegen.trainers.open_vocabulary.losses import (
    cosine_loss,
    dense_loss,
    dice_loss,
    focal_loss,
    focal_terms,
    infonce_loss,
    text_anchored_loss,
)
from scribblegen.trainers.open_vocabulary.word_sampling import NOTHING, draw_words
from scribblegen.vocabulary import Vocabulary, Word

EVERY = torch.ones(1, 4, 4, dtype=torch.bool)
SURE = 40.0


def test_the_focal_loss_by_hand():
    undecided = torch.zeros(1, 1, 4, 4)
    assert focal_terms(undecided, torch.ones(1, 1, 4, 4), EVERY).item() == pytest.approx(
        0.0433, abs=5e-5
    )
    assert focal_terms(undecided, undecided, EVERY).item() == pytest.approx(0.1300, abs=5e-5)


def test_the_focal_loss_is_by_the_number_of_positive_words_and_of_those_that_are_there():
    targets = torch.zeros(1, 4, 4, 4)
    targets[0, :2] = 1
    valid = torch.tensor([[True, True, True, False]])
    found = focal_loss(torch.zeros(1, 4, 4, 4), targets, EVERY, valid).item()
    assert found == pytest.approx((2 * 0.04332 + 0.12996) / 2, abs=1e-4)


def test_the_dice_loss_by_hand():
    targets = torch.zeros(1, 1, 4, 4)
    targets[0, 0, 0, :3] = 1
    perfect = SURE * (2 * targets - 1)
    assert dice_loss(perfect, targets, EVERY).item() == pytest.approx(0, abs=1e-5)
    empty = torch.full_like(targets, -SURE)
    assert dice_loss(empty, targets, EVERY).item() == pytest.approx(3 / 4)


def test_unsure_pixels_say_nothing():
    targets = torch.zeros(1, 2, 4, 4)
    targets[0, 0, :2] = 1
    counted = EVERY.clone()
    counted[0, 1:3] = False
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = logits.clone()
    changed[:, :, 1:3] += 7
    valid = torch.ones(1, 2, dtype=torch.bool)
    assert torch.equal(
        focal_loss(logits, targets, counted, valid), focal_loss(changed, targets, counted, valid)
    )
    assert torch.equal(dice_loss(logits, targets, counted), dice_loss(changed, targets, counted))


def test_without_a_positive_word_or_a_counted_pixel_nothing_is_no_number():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    none = torch.zeros(1, 2, 4, 4)
    valid = torch.ones(1, 2, dtype=torch.bool)
    tokens, texts = torch.randn(1, 8, requires_grad=True), torch.randn(1, 2, 8)
    for counted in (EVERY, ~EVERY):
        losses = [
            focal_loss(logits, none, counted, valid),
            dice_loss(logits, none, counted),
            text_anchored_loss(tokens, tokens, texts, ~valid, 0.2),
            infonce_loss(tokens, tokens, texts, ~valid, valid),
            dense_loss(logits, ~valid),
        ]
        total = torch.stack(losses).sum()
        total.backward()
        assert torch.isfinite(total) and torch.isfinite(logits.grad).all()
        assert torch.isfinite(tokens.grad).all()


def test_the_cosine_loss_of_equal_orthogonal_and_opposite_tokens():
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert cosine_loss(one, 3 * one).item() == pytest.approx(1)
    assert cosine_loss(one, other).item() == cosine_loss(one, -one).item() == 0


def test_gradients_reach_both_images_and_only_where_a_loss_is_of_them():
    generator = torch.Generator().manual_seed(1)
    texts = torch.randn(1, 3, 8, generator=generator)
    positive = torch.tensor([[True, False, False]])
    valid = torch.tensor([[True, True, False]])
    base = torch.randn(1, 8, generator=generator)
    near = base + 0.1 * torch.randn(1, 8, generator=generator)

    def gradients(loss):
        image, twin = base.clone().requires_grad_(), near.clone().requires_grad_()
        words = texts.clone().requires_grad_()
        loss(image, twin, words).sum().backward()
        return image.grad, twin.grad, words.grad

    image, twin, _ = gradients(lambda i, t, w: cosine_loss(i, t))
    assert image.abs().sum() > 0 and twin.abs().sum() > 0
    image, twin, words = gradients(lambda i, t, w: text_anchored_loss(i, t, w, positive, 0.2))
    assert image.abs().sum() > 0 and twin.abs().sum() > 0
    assert words[0, 0].abs().sum() > 0 and (words[0, 1:] == 0).all()
    image, twin, words = gradients(lambda i, t, w: infonce_loss(i, t, w, positive, valid))
    assert image.abs().sum() > 0 and twin.abs().sum() > 0
    assert words[0, 1].abs().sum() > 0 and (words[0, 2] == 0).all()
    masks = torch.zeros(1, 3, 4, 4, requires_grad=True)
    dense_loss(masks, positive).sum().backward()
    assert (masks.grad[0, 0] > 0).all() and (masks.grad[0, 1:] == 0).all()


def test_a_pair_that_is_told_apart_by_the_margin_costs_nothing():
    word, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    texts, positive = word[None, None], torch.tensor([[True]])
    assert text_anchored_loss(word[None], other[None], texts, positive, 0.5).item() == 0
    assert text_anchored_loss(other[None], word[None], texts, positive, 0.5).item() == 1.5


WORDS = Vocabulary(
    (
        Word(3, "cat", synonyms=("kitty",), parents=("animal",)),
        Word(4, "animal"),
        Word(5, "kitten", parents=("cat",)),
        Word(6, "kitty"),
        *(Word(1000 + number, f"thing{number}") for number in range(200)),
        Word(4000, "meadow"),
    )
)


def described(*mentions, nouns=()):
    return Description("s", "text", tuple(Mention(*m, ((0, 1),)) for m in mentions), nouns, "file")


CAT = described((1, 3, "cat"), (2, 1003, "thing3"), nouns=("meadow", "sunset"))


def test_words_of_the_image_come_first_and_what_it_may_hold_is_never_absent():
    for epoch in range(20):
        rng = numpy_generator(0, "words", epoch, 0)
        drawn = draw_words(WORDS, CAT, {0, 1, 2, 255}, 100, rng)
        assert drawn.ids[:2] == (3, 1003) and drawn.locals == (1, 2)
        assert len(drawn.ids) == len(set(drawn.ids)) == 100
        assert not {4, 5, 6, 4000} & {*drawn.ids}


def test_draws_are_of_seed_epoch_and_row_alone():
    def ids(*parts):
        return draw_words(WORDS, CAT, {1, 2}, 100, numpy_generator(*parts)).ids

    assert ids(0, "words", 1, 2) == ids(0, "words", 1, 2)
    assert len({ids(0, "words", 1, 2), ids(0, "words", 2, 2), ids(1, "words", 1, 2)}) == 3


def test_a_small_vocabulary_is_shown_whole_and_a_word_without_a_pixel_is_not_asked_for():
    drawn = draw_words(WORDS, CAT, {0, 2}, 1000, numpy_generator(0))
    assert drawn.ids[0] == 1003 and drawn.locals == (2,)
    assert len(drawn.ids) == 200 and 3 not in drawn.ids
    every = draw_words(WORDS, CAT, {1, 2}, 1000, numpy_generator(0), exclude=False)
    assert {*every.ids} == {word.id for word in WORDS.words}


def test_masks_are_of_places_whatever_the_ids_are():
    drawn = draw_words(WORDS, CAT, {0, 1, 2}, 100, numpy_generator(0))
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert drawn.places(mask).tolist() == [[NOTHING, 0], [1, IGNORE_INDEX]]


def test_a_share_of_the_absent_words_is_the_nearest():
    words = Vocabulary((Word(0, "cat"), *(Word(i, f"thing {i}") for i in range(1, 41))))
    angles = torch.linspace(0, 2, 41)  # from the cat, in the order of the ids
    texts = {i: torch.stack([torch.cos(a), torch.sin(a)]) for i, a in enumerate(angles)}
    told = Description("s", "a cat", (Mention(1, 0, "cat", ((2, 5),)),), (), "file")

    def drawn(share, present=frozenset({1})):
        rng = numpy_generator(0, "hard")
        return draw_words(words, told, present, 11, rng, hard_share=share, texts=texts).ids

    assert drawn(1.0) == tuple(range(11))
    half = drawn(0.5)
    assert half[:6] == tuple(range(6)) and len(set(half)) == 11
    assert any(i > 10 for i in half[6:])
    # Where none of its words is left in the crop, nothing is near them.
    assert drawn(1.0, frozenset()) == drawn(0.0, frozenset()) != tuple(range(11))
