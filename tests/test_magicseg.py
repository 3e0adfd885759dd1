"""MagicSeg: from descriptions to pairs of images with masks, as a dataset like any other."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import load_dataset

from scribblegen.builders.descriptions_config import DescriptionsConfig
from scribblegen.builders.sources import SOURCE
from scribblegen.configs import parse_configs
from scribblegen.counterfactual_text import CF_MODES as TEXT_MODES
from scribblegen.descriptions import MASK_CLASSES, description_of
from scribblegen.engine.jobs import Finished, Job
from scribblegen.engine.stage_times import StageTimes
from scribblegen.engine.transfers import HostCopy
from scribblegen.methods.base import Place
from scribblegen.methods.magicseg_config import CF_MODES, MASK_CHOICES, MagicSegConfig
from scribblegen.methods.magicseg_jobs import HalfKey, PairJobs
from scribblegen.methods.table import method_choice
from scribblegen.runs.config import OutputConfig, RunConfig
from scribblegen.segmenting.instances import decode_rle
from scribblegen.segmenting.segmenters import MASK_CHOICES as SEGMENTER_CHOICES
from scribblegen.tiny import words_not_drawn
from scribblegen.tiny.random_weights import random_diffusion
from scribblegen.vocabulary import Vocabulary, Word
from tests.described import CONFIG, WORDS, Described, build_pairs, described, opened
from tests.forks import run_ranks
from tests.tiny_detectors import save_owlv2, save_sam

TEXTS = ("a cat by a tree", "a dog and a cat on grass", "two ships in water", "a small dog")
PLACE = Place("train", 0, 0)


@pytest.fixture(scope="module")
def family():
    return random_diffusion(1)


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    path = tmp_path_factory.mktemp("magicseg") / "out"
    build_pairs(Described(TEXTS), path, family=family)
    return path


def rows_of(folder):
    return load_dataset(str(folder), "magicseg", split="train")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rejections(folder):
    manifest = json.loads((folder / "run" / "manifest.json").read_text("utf-8"))
    return {r["source_id"]: r["reason"] for unit in manifest["units"] for r in unit["rejections"]}


def test_every_description_gets_a_pair_and_a_mask(folder):
    rows = rows_of(folder)
    assert len(rows) + len(rejections(folder)) == len(TEXTS) and len(rows) >= 3
    for row in rows:
        mask = np.asarray(row["mask"])
        image, other = (np.asarray(row[name]) for name in ("image", "counterfactual_image"))
        assert mask.shape == (64, 64) and image.shape == other.shape == (64, 64, 3)
        assert (image != other).any()
        words = description_of(row)
        assert words == described(TEXTS[int(row["source_id"][2:])], row["source_id"])
        assert {m.local for m in words.mentions} <= set(np.unique(mask)) <= {0, 1, 2, 255}
        for mention in words.mentions:
            parts = [i for i in row["instances"] if i["local"] == mention.local]
            together = np.any([decode_rle(part["rle"]) for part in parts], axis=0)
            assert (together == (mask == mention.local)).all()
            assert {part["phrase"] for part in parts} == {mention.name}
        for part in row["instances"]:
            left, top, right, bottom = part["box"]
            ys, xs = np.nonzero(decode_rle(part["rle"]))
            assert (left, top, right, bottom) == (
                xs.min(),
                ys.min(),
                xs.max() + 1,
                ys.max() + 1,
            )
            assert 0 < part["score"] <= 1
        assert "nothing" in row["counterfactual_prompt"] and row["negative_prompt"] is None
        assert (row["cf_mode"], row["cf_noise"]) == ("nothing", "shared")
        assert row["seed"] == row["cf_seed"] and row["encode_ratio"] is None
        assert 0 <= row["cf_absent_score"] <= 1
        assert row["cf_passed"] == (row["cf_absent_score"] >= np.float32(0.5))
        scores = row["scores"]
        assert 0 < scores["area"] <= 1 and 0 <= scores["background_distance"] <= 1
        assert scores["presence"] is scores["agreement"] is scores["detection"] is None
    assert len(set(rows["seed"])) == len(rows)


def test_the_card_counts_failures_and_names_the_words(folder):
    card = " ".join((folder / "README.md").read_text("utf-8").split())
    failed = sum(not passed for passed in rows_of(folder)["cf_passed"])
    assert f"Of {len(rows_of(folder))} pairs that were tested {failed} failed" in card
    assert "random weights: they show the format" in card and "2603.19575" in card
    assert "Both start from the same noise, bit for bit" in card
    names = json.loads((folder / "id2label.json").read_text("utf-8"))
    assert names == {"1": "cat", "7": "boat", "2000": "dog"}
    assert (folder / "assets" / "grid.png").is_file()


def test_ten_descriptions_of_one_word_are_ten_pairs(family, tmp_path):
    build_pairs(Described(["a cat"] * 10), tmp_path / "out", per_shard=4, family=family)
    rows = rows_of(tmp_path / "out")
    assert len(set(rows["source_id"])) == len(set(rows["seed"])) == len(rows) == 10
    assert len({np.asarray(row["image"]).tobytes() for row in rows}) == 10


def jobs_of(family, text="a cat by a tree", **options) -> list[Job]:
    jobs = PairJobs(replace(CONFIG, **options), family, WORDS, StageTimes(family.device))
    pair = jobs.pair(PLACE, described(text))
    return list(jobs.begin(pair))


def test_noise_is_shared_bit_for_bit_or_independent(family):
    (shared,) = jobs_of(family)
    assert [t.key.is_counterfactual for t in shared.trajectories] == [False, True]
    positive, counterfactual = jobs_of(family, cf_noise="independent")
    assert torch.equal(positive.noise, shared.noise)
    assert not torch.equal(counterfactual.noise, shared.noise)
    pair = counterfactual.trajectories[0].key.pair
    generator = torch.Generator().manual_seed(pair.cf_seed)
    drawn = torch.randn(counterfactual.noise.shape, generator=generator)
    assert torch.equal(counterfactual.noise, drawn), "its seed alone makes it"
    (alone,) = jobs_of(family, cf_encode_ratio=0.5)
    assert [t.key.is_counterfactual for t in alone.trajectories] == [False]
    assert torch.equal(alone.noise, shared.noise)


def test_a_negative_prompt_is_guided_away_from(family):
    (job,) = jobs_of(family, cf_mode="negative_prompt")
    positive, counterfactual = job.trajectories
    assert torch.equal(positive.conditional["prompt"], counterfactual.conditional["prompt"])
    assert torch.equal(positive.null["prompt"], family.prompt("")["prompt"])
    assert torch.equal(counterfactual.null["prompt"], family.prompt("cat")["prompt"])
    assert counterfactual.key.pair.negative_prompt == "cat"


def test_modes_and_choices_are_those_that_there_are():
    assert CF_MODES == TEXT_MODES and MASK_CHOICES == SEGMENTER_CHOICES


def test_the_positive_images_do_not_depend_on_their_counterfactuals(folder, family, tmp_path):
    config = replace(CONFIG, cf_noise="independent", cf_mode="delete")
    build_pairs(Described(TEXTS), tmp_path / "out", config, family=family)
    before = {row["source_id"]: row for row in rows_of(folder)}
    for row in rows_of(tmp_path / "out"):
        assert row["cf_seed"] != row["seed"] == before[row["source_id"]]["seed"]
        for column in ("image", "mask"):
            assert row[column] == before[row["source_id"]][column]


def test_from_the_positive_image_the_rest_stays(folder, family, tmp_path):
    config = replace(CONFIG, cf_encode_ratio=0.34)
    build_pairs(Described(TEXTS), tmp_path / "out", config, family=family)
    rows = rows_of(tmp_path / "out")
    for row in rows:
        assert row["encode_ratio"] == np.float32(0.34)
        apart = np.abs(
            np.asarray(row["image"]).astype(int) - np.asarray(row["counterfactual_image"])
        )
        assert 0 < apart.mean() < 60
    assert "0.34 of the noise schedule was added" in (tmp_path / "out" / "README.md").read_text()
    lose_and_make_again(tmp_path / "out", family, config)


@pytest.mark.parametrize("ratio", [None, 0.67])
def test_no_more_pairs_wait_than_calls_have_room_for(family, ratio):
    config = replace(CONFIG, num_inference_steps=2, rows=2, decode_rows=2, cf_encode_ratio=ratio)
    source, begun, most = Described(["a cat"] * 24), 0, 0
    method = opened(source, config, family=family)

    def items():
        nonlocal begun
        for position in range(len(source)):
            begun += 1
            yield Place("train", 0, position), source.load(position)

    for ended, _ in enumerate(method.generate(items())):
        most = max(most, begun - ended)
    assert ended == 23 and most <= 10 and not method._waiting


def test_nothing_is_made_from_an_image_that_is_none(family):
    method = opened(Described(["a cat"]), replace(CONFIG, cf_encode_ratio=0.5), family=family)
    pair = method.jobs.pair(PLACE, described("a cat"))
    broken = HostCopy(torch.full((1, 3, 64, 64), float("nan")), None)
    (record,) = method._end(Finished(HalfKey(pair, False), broken, 0))
    assert record.row() == "the output holds NaN or infinity"
    assert method.pool.is_empty and not method._waiting


def test_what_was_lost_is_made_again_as_it_was(folder, family):
    lose_and_make_again(folder, family, CONFIG)


def test_any_number_of_processes_writes_the_same(folder, tmp_path):
    out = tmp_path / "out"
    run_ranks(tmp_path / "said", 2, build_pairs, Described(TEXTS), out)
    assert digests(out) == digests(folder)


def lose_and_make_again(folder, family, config):
    """In another order, with other batch-mates: a shard of a run that was killed."""
    before = digests(folder)
    (lost,) = folder.rglob("train-00000-*.parquet")
    lost.unlink()
    build_pairs(Described(TEXTS), folder, config, family=family)
    assert digests(folder) == before


def test_a_detector_and_a_segmenter_are_asked(family, tmp_path):
    config = replace(
        CONFIG,
        masks="detector",
        cf_check="detector",
        detector=save_owlv2(tmp_path / "detector"),
        segmenter=save_sam(tmp_path / "segmenter"),
        box_threshold=0.0,
        text_threshold=0.0,
        mask_mode="union",
    )
    out = tmp_path / "out"
    build_pairs(Described(TEXTS), out, config, family=family)
    rows, reasons = rows_of(out), rejections(out)
    assert len(rows) + len(reasons) == len(TEXTS) and len(rows) >= 1
    for row in rows:
        assert set(np.unique(np.asarray(row["mask"]))) <= {0, 1}
        names = {mention["name"] for mention in row["classes"]} | {"ship"}
        for found in row["instances"]:
            left, top, right, bottom = found["box"]
            assert 0 <= left < right <= 64 and 0 <= top < bottom <= 64
            assert found["phrase"] in names and decode_rle(found["rle"]).any()
        assert 0 <= row["scores"]["detection"] <= 1 and row["scores"]["margin"] is None
        assert row["cf_passed"] is (row["cf_absent_score"] >= 1)
    identity = json.loads((out / "run" / "manifest.json").read_text("utf-8"))["identity"]
    assert identity["detector"] and identity["segmenter"]
    card = (out / "README.md").read_text("utf-8")
    assert str(tmp_path) not in card and "what the detector found" in card


def test_a_text_that_still_names_its_word_is_a_rejection(family, tmp_path):
    words = Vocabulary((Word(0, "hound", parents=("hound dog",)), Word(1, "cat", parents=("pet",))))
    source = Described(["a hound", "a cat", "two hounds"], words)
    build_pairs(source, tmp_path / "out", replace(CONFIG, cf_mode="hypernym"), family=family)
    assert rows_of(tmp_path / "out")["counterfactual_prompt"] == ["a pet"]
    assert set(rejections(tmp_path / "out").values()) == {
        "the counterfactual prompt must not name its words. It names hound"
    }


def test_a_word_that_is_cut_off_is_a_rejection(family, tmp_path):
    long = f"{'very ' * 40}small cat"
    build_pairs(Described(["a cat", long]), tmp_path / "out", family=family)
    assert rejections(tmp_path / "out") == {"t-001": "no token stands for cat in the prompt"}


def test_another_detector_or_vocabulary_is_another_run(folder, family):
    words = (*WORDS.words[:2], replace(WORDS.words[2], synonyms=("hound",)))
    with pytest.raises(ValueError, match="holds another run: train files"):
        build_pairs(Described(TEXTS, Vocabulary(words)), folder, family=family)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cf_mode": "remove"}, "`cf_mode` must be one of"),
        ({"cf_noise": "same"}, "`cf_noise` must be one of"),
        ({"cf_encode_ratio": 0.0}, r"`cf_encode_ratio` must be in \(0, 1\]"),
        ({"cf_encode_ratio": 0.1}, "`encode_ratio` 0.1 runs no step of 3"),
        ({"masks": "detector"}, "`detector` must be given with `masks` detector"),
        ({"masks": "detector", "detector": "d"}, "`segmenter` must be given"),
        ({"segmenter": "s"}, "`segmenter` has no effect without `masks` detector"),
        ({"detector": "d"}, "`detector` has no effect without `masks` or `cf_check` detector"),
        ({"cf_check": "clip"}, "`clip_model` must be given with `cf_check` clip"),
        ({"clip_model": "c"}, "`clip_model` has no effect without `cf_check` clip"),
        ({"cf_check": "eyes"}, "`cf_check` must be one of"),
        ({"cf_check": "none", "cf_failures": "reject"}, "must be left out with `cf_check` none"),
        ({"cf_check": "none", "cf_threshold": 0.5}, "must be left out with `cf_check` none"),
        ({"cf_threshold": 1.5}, r"`cf_threshold` must be in \[0, 1\]"),
        ({"box_threshold": -1}, r"`box_threshold` must be in \[0, 1\]"),
        ({"cf_failures": "hide"}, "`cf_failures` must be one of"),
        ({"mask_mode": "classes"}, "`mask_mode` must be one of"),
        ({"cf_mode": "negative_prompt", "guidance_scale": 1.0}, "`guidance_scale` must be above 1"),
        ({"guidance_scale": 0.5}, "`guidance_scale` must be 1 or more"),
        ({"sampler": "lcm"}, "`sampler` must be one of"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(ValueError, match=said):
        replace(CONFIG, **options)


def test_thresholds_follow_the_check():
    assert MagicSegConfig().threshold == 0.5
    assert MagicSegConfig(cf_check="clip", clip_model="c").threshold == 0.5
    assert MagicSegConfig(cf_check="detector", detector="d").threshold == 0.7
    assert MagicSegConfig(cf_threshold=0.4).threshold == 0.4
    assert MagicSegConfig(cf_check="none").threshold is None


def test_modes_that_fit_no_word_are_refused_before_any_work(family):
    alone = Vocabulary((Word(0, "cat"),))
    for mode, said in (("hypernym", "no word .* has `parents`"), ("swap", "has one word")):
        with pytest.raises(ValueError, match=f"`cf_mode` must not be {mode} where .*{said}"):
            opened(Described(["a cat"], alone), replace(CONFIG, cf_mode=mode), family=family)


def test_words_that_the_shipped_pipeline_does_not_know_need_another():
    assert words_not_drawn(["hot air balloon", "Beach ball", "zebra"]) == ["zebra"]
    with pytest.raises(ValueError, match="`pipeline` must be given: .* draws cat, dog"):
        opened(Described(["a cat"]), replace(CONFIG, pipeline=None))


def test_a_resolution_that_the_networks_lack_is_refused(family):
    with pytest.raises(ValueError, match="`resolution` must be a multiple of"):
        opened(Described(["a cat"]), replace(CONFIG, resolution=65), family=family)


def test_masks_count_to_as_many_words_as_rows_keep_maps_of():
    from scribblegen.vocabulary import MOST_WORDS

    assert len(MASK_CLASSES) == MOST_WORDS + 1


def test_the_recipe_is_what_the_reference_does():
    types = (method_choice(), SOURCE, OutputConfig, RunConfig)
    options = ["--config", "paper-magicseg", "--descriptions", "texts"]
    config, source, *_ = parse_configs(types, options, program="p", description="d")
    assert source == DescriptionsConfig(descriptions="texts")
    assert (config.resolution, config.num_inference_steps, config.guidance_scale) == (512, 20, 7.5)
    assert (config.cf_mode, config.cf_noise, config.cf_encode_ratio) == (
        "nothing",
        "independent",
        None,
    )
    assert (config.box_threshold, config.text_threshold) == (0.3, 0.25)
    assert (config.masks, config.mask_choice, config.cf_check) == ("detector", "single", "detector")
    assert not config.reads_attention, "no probe is attached"
