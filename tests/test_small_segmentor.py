"""The segmentor that shows what data are worth."""

from functools import partial

import numpy as np
import pytest
import torch
from transformers import AutoModelForSemanticSegmentation

from scribblegen.trainers.segmentation.small_segmentor import SmallSegmentorConfig
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorForSemanticSegmentation as SmallSegmentor,
)
from tests.benchmarks.judge_training import segment, train_small_segmentor


def squares(count=24, labelled=0.1, seed=0):
    """Grey pictures with a bright (1) or dark (2) square; a share of the pixels is labelled."""
    rng = np.random.default_rng(seed)
    images = rng.integers(110, 140, (count, 32, 32, 3)).astype(np.uint8)
    masks = np.zeros((count, 32, 32), np.uint8)
    for i in range(count):
        y, x = rng.integers(2, 18, 2)
        images[i, y : y + 12, x : x + 12] = 230 if i % 2 else 20
        masks[i, y : y + 12, x : x + 12] = 1 if i % 2 else 2
    labels = np.where(rng.random(masks.shape) < labelled, masks, 255).astype(np.uint8)
    return images, labels, masks


def read(images, labels, i):
    return images[i], labels[i]


def train(images, labels, **options):
    return train_small_segmentor(len(images), partial(read, images, labels), 3, **options)


def test_learns_from_few_labelled_pixels():
    images, labels, masks = squares()
    found = segment(train(images, labels, steps=60, batch_size=8), images)
    assert (found == masks).mean() > 0.95


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    images, labels, _ = squares(8)
    one, same, other = (
        train(images, labels, steps=3, batch_size=4, seed=s).state_dict() for s in (0, 0, 1)
    )
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)


def test_a_batch_without_a_label_changes_nothing_into_nan():
    images, labels, _ = squares(4)
    model = train(images, np.full_like(labels, 255), steps=2, batch_size=2)
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())


def test_it_is_a_transformers_model(tmp_path):
    model = SmallSegmentor(SmallSegmentorConfig(num_labels=5)).eval()
    images = torch.randn(2, 3, 40, 64)
    assert model(images).logits.shape == (2, 5, 40, 64)
    assert model.features(images).shape == (2, 160)
    assert model(images, labels=torch.full((2, 40, 64), 255)).loss == 0
    model.save_pretrained(tmp_path)
    again = AutoModelForSemanticSegmentation.from_pretrained(tmp_path).eval()
    assert torch.equal(again(images).logits, model(images).logits)


def test_class_weights_count():
    images, labels, masks = squares()
    labels = np.where(np.random.default_rng(1).random(labels.shape) < 0.3, 0, labels)
    labels = labels.astype(np.uint8)  # most labels say background, wrongly so in the squares
    recall = []
    for weights in (None, np.array([0.05, 1.0, 1.0])):
        found = segment(
            train(images, labels, steps=40, batch_size=8, class_weights=weights), images
        )
        recall.append((found == masks)[masks > 0].mean())
    assert recall[1] > recall[0]
    assert recall[1] == pytest.approx(1, abs=0.2)
