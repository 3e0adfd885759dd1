"""Fractions, splits and twins: chosen by ids, never by chance of order."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source, open_sources
from scribblegen.trainers.segmentation.adaptive import agreement, choose_stage
from scribblegen.trainers.segmentation.inference import Inference
from scribblegen.trainers.segmentation.schemes import TwinSet


def ids_of(fraction, ids="0:40"):
    return open_source(ScenesConfig(ids=ids, train_fraction=fraction)).source_ids


def test_parts_that_are_held_out_are_the_whole_and_never_trained_on():
    whole, held_out = open_source(ScenesConfig(ids="0:11")).source_ids, []
    for part in ("1/3", "2/3", "3/3"):
        found = open_sources(ScenesConfig(ids="0:11", held_out=part))
        train, test = found["train"].source_ids, found["test"].source_ids
        assert set(train) | set(test) == set(whole) and not set(train) & set(test)
        assert len(test) in (3, 4) and list(test) == [i for i in whole if i in test]
        held_out += test
    assert sorted(held_out) == sorted(whole)


def test_a_fraction_is_of_what_is_not_held_out():
    config = ScenesConfig(ids="0:12", held_out="1/4")
    found = open_sources(replace(config, train_fraction=0.5))
    assert len(found["train"]) == round(0.5 * 9) and len(found["test"]) == 3
    assert set(found["train"].source_ids) <= set(open_sources(config)["train"].source_ids)


@pytest.mark.parametrize("part", ["", "1", "0/5", "6/5", "1/1", "-1/5", "1/5/2", "a/b"])
def test_what_is_no_part_is_refused(part):
    with pytest.raises(ValueError, match="`held_out` must be a part of two or more, such as 1/5"):
        ScenesConfig(held_out=part)


def test_a_part_must_have_items_and_be_the_only_test_split():
    with pytest.raises(ValueError, match="as many parts as there are items, 3. Got 4"):
        open_source(ScenesConfig(ids="0:3", held_out="1/4"))
    with pytest.raises(ValueError, match="`held_out` must be left out where `test_ids` is given"):
        ScenesConfig(held_out="1/4", test_ids="5:7")


def test_fractions_are_nested_and_in_order():
    whole, half, eighth = ids_of(1.0), ids_of(0.5), ids_of(0.125)
    assert [len(whole), len(half), len(eighth)] == [40, 20, 5]
    assert set(eighth) < set(half) < set(whole)
    assert list(half) == sorted(half) and half != whole[:20], "by chance, not the first"


def test_a_fraction_reads_the_same_samples():
    source, whole = (open_source(ScenesConfig(ids="0:12", train_fraction=f)) for f in (0.25, 1.0))
    for number, source_id in enumerate(source.source_ids):
        place = whole.source_ids.index(source_id)
        assert np.array_equal(source.read(number).image, whole.read(place).image)
        assert source.content_keys()[number] == whole.content_keys()[place]
    assert source.fingerprint() != whole.fingerprint()


def test_other_splits_stay_whole():
    config = ScenesConfig(ids="0:12", test_ids="50:60", train_fraction=0.25)
    assert len(open_source(config)) == 3 and len(open_source(config, "test")) == 10


class Threshold(torch.nn.Module):
    """Says class 1 where the picture is bright."""

    def forward(self, pixel_values):
        bright = pixel_values[:, :1]
        return type("Output", (), {"logits": torch.cat([-bright, bright], dim=1)})


def test_agreement_is_over_labelled_pixels_and_leaves_the_mode_as_it_was():
    label = np.full((32, 32), 255, np.uint8)
    label[:4] = 1
    label[4:8] = 0
    image = torch.ones(3, 32, 32)
    net = Threshold().train()
    reads = {0: (image, label), 1: (image, np.full_like(label, 255))}
    found = agreement(net, Inference(), reads.__getitem__, [0, 1])
    assert found.tolist() == [0.5, 1.0] and net.training


def test_the_stage_is_the_highest_ratio_that_is_agreed_with():
    sets = [
        TwinSet(str(r), r, ((10 * i, 10 * i + 1), ())) for i, r in enumerate((0.2, 0.5, 1.0), 1)
    ]

    def stage(*of_sets, real=0.9):
        of = dict(zip((1, 2, 3), of_sets, strict=True))
        return choose_stage(
            sets, 2, lambda rows: np.array([of.get(r // 10, real) for r in rows]), tolerance=0.1
        )

    assert stage(0.9, 0.9, 0.9) == 2
    assert stage(0.9, 0.81, 0.7) == 1
    assert stage(0.1, 0.1, 0.1) == 0, "none is agreed with: the most realistic"
    assert stage(0.1, 0.1, 0.85) == 2


def test_a_pool_can_be_a_stage():
    sets = [TwinSet("twins", 0.0, ((10,), ())), TwinSet("pool", 1.0, pool=(20, 21))]
    measured = []

    def measure(rows):
        measured.append(list(rows))
        return np.ones(len(rows))

    assert choose_stage(sets, 2, measure, tolerance=0.1) == 1
    assert measured == [[0, 1], [20, 21]]
