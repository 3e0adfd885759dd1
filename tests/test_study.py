"""A small study: every arm, resumed, and its report."""

import json
import shutil
from pathlib import Path

import pytest
from datasets import load_dataset

from scribblegen.cli import main
from scribblegen.commands.study.arms import in_waves, shipped_arms
from scribblegen.commands.study.plan import read_study
from scribblegen.commands.study.report import class_table, study_table
from scribblegen.commands.study.trainings import trainings

STUDY = """
study:
  fractions: [1.0, 0.5]
  seeds: [0]
  arms: [real, ratio-1, uniform+agreed, masks]
arms:
  ratio-1: {scheme: append, synthetic: [guidance1-encode1]}
  uniform+agreed: {scheme: uniform, synthetic: all, min_agreement: 5e-2, agreement_model: real}
source: {source: scenes, ids: "0:4", test_ids: "50:52"}
controlnet:
  pretrained_model_name_or_path: tiny
  train_batch_size: 2
  max_train_steps: 1
  both_dropout: 0.1
  conditioning_dropout: 0.0
twins:
  guidance_scales: [1]
  encode_ratios: [0.5, 1.0]
  num_inference_steps: 2
  output_size: model
segmentation:
  crop_size: 64
  max_steps: 12
  per_device_train_batch_size: 4
  learning_rate: 0.005
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(STUDY)
    main(["study", "--config", str(folder / "study.yaml"), "--output_dir", str(folder / "out")])
    return folder


def test_flags_reach_the_section_that_they_name(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    others = ["--source.ids", "0:9", "--segmentation.max_steps=7", "--twins.replicates", "2"]
    flags = ["--output_dir", "o", "--seeds", "3", "4", *others]
    plan, run_config = read_study(["--config", str(tmp_path / "study.yaml"), *flags])
    assert plan.study.seeds == [3, 4] and plan.source.ids == "0:9" and plan.twins.replicates == 2
    assert plan.segmentation["max_steps"] == 7 and plan.segmentation["crop_size"] == 64
    assert run_config.output_dir == "o"


def test_a_study_whose_twins_need_no_controlnet_trains_none(tmp_path):
    before, rest = STUDY.split("controlnet:\n")
    (tmp_path / "study.yaml").write_text(before + rest[rest.index("twins:\n") :])
    plan, _ = read_study(["--config", str(tmp_path / "study.yaml"), "--output_dir", "o"])
    assert plan.controlnet is None


def run(folder, *flags, study=STUDY):
    (folder / "other.yaml").write_text(study)
    config, output_dir = str(folder / "other.yaml"), str(folder / "out")
    main(["study", "--config", config, "--output_dir", output_dir, *flags])


def test_every_arm_fraction_and_seed_is_measured(study):
    results = json.loads((study / "out/results.json").read_text())
    assert len(results) == 2 * 4
    assert {r["photographs"] for r in results} == {4, 2}
    for r in results:
        segmentor = f"out/fraction-{r['fraction']:g}/segmentors/{r['arm']}-seed{r['seed']}"
        measured = json.loads((study / segmentor / "eval_results.json").read_text())
        assert r["eval_mean_iou"] == measured["eval_mean_iou"]
    assert len((study / "out/results.csv").read_text().splitlines()) == 1 + 8
    table = study_table(results, ["real", "ratio-1", "uniform+agreed", "masks"])
    written = (study / "out/results.md").read_text()
    assert written.startswith(f"{table}\n\n| IoU of | real | ratio-1 | uniform+agreed | masks |\n")
    sky = 100 * next(r["eval_iou_sky"] for r in results if r["fraction"] == 1)
    assert f"\n| sky | {sky:.1f} | " in written
    run_of = study / "out/fraction-0.5/segmentors"
    assert json.loads((run_of / "masks-seed0/run.json").read_text())["labels"] == "mask"
    agreed = json.loads((run_of / "uniform+agreed-seed0/run.json").read_text())
    assert agreed["scheme"] == "uniform" and 0 < agreed["twins"] <= 2 * 2
    assert json.loads((run_of / "ratio-1-seed0/run.json").read_text())["twins"] == 2


def test_what_is_finished_is_kept_and_what_is_asked_for_in_addition_is_made(study):
    done = study / "out/fraction-1/segmentors/real-seed0/eval_results.json"
    before = done.stat().st_mtime_ns
    run(study, "--arms", "real", "masks", "--seeds", "0", "1", "--fractions", "1.0")
    assert done.stat().st_mtime_ns == before
    results = json.loads((study / "out/results.json").read_text())
    order = [(arm, seed) for seed in (0, 1) for arm in ("real", "masks")]
    assert [(r["arm"], r["seed"]) for r in results] == order


def test_a_study_that_is_interrupted_leaves_the_table_of_what_it_has(study, monkeypatch):
    done = study / "out/fraction-1/segmentors/masks-seed0"

    def interrupted(pending, num_processes):
        assert [(t.arm, t.seed) for t in pending] == [("real", 7), ("masks", 7)]
        shutil.copytree(done, pending[1].result_file.parent)
        yield pending[1]
        raise KeyboardInterrupt

    monkeypatch.setattr("scribblegen.commands.study.run.train_all", interrupted)
    with pytest.raises(SystemExit):
        run(study, "--arms", "real", "masks", "--seeds", "0", "7", "--fractions", "1.0")
    table = (study / "out/results.md").read_text()
    assert table.endswith("\n\n3 of 4 segmentors are trained so far.\n")
    assert "| masks |" in table and len(json.loads((study / "out/results.json").read_text())) == 3
    shutil.rmtree(study / "out/fraction-1/segmentors/masks-seed7")


def test_another_study_does_not_mix_into_the_folder(study):
    with pytest.raises(SystemExit, match="holds another study: segmentation max_steps: 12 .* 13"):
        run(study, study=STUDY.replace("max_steps: 12", "max_steps: 13"))
    with pytest.raises(SystemExit, match="another study: arm ratio-1 scheme: 'append' .* 'uniform"):
        run(study, study=STUDY.replace("scheme: append", "scheme: uniform"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("real, ratio-1", "real, fixed-1"), "hold subsets .*'guidance2-encode1'. Did you mean"),
        (("[guidance1-encode1]", "[nowhere]"), "or REPO:subset of other datasets. Got 'nowhere'"),
        (("real, ratio-1", "real, rat-1"), "`arms` must name .* Got 'rat-1'. Did you mean `ratio"),
        (("real, ratio-1", "ratio-1"), "`arms` must hold real: it judges the twins of uniform"),
        (("real, ratio-1", "real, real"), "`arms` must differ"),
        (("[1.0, 0.5]", "[2.0]"), "`fractions` must be numbers"),
        (('test_ids: "50:52"', "scene_size: 64"), "`test_ids` must be given"),
        (("seeds: [0]", "seeds: [0]\n  folds: 2"), "`test_ids` must be given"),
        (("seeds: [0]", "seeds: [0]\n  folds: 1"), "`folds` must be 2 or more, or 0. Got 1"),
        (("max_steps", "max_stepz"), "`max_stepz`, which is no option. Did you mean `max_steps`"),
        (("{scheme: append", "{schema: append"), "arm ratio-1 holds `schema`.* mean `scheme`"),
        (("{scheme: append", "{scheme: appended"), "arm ratio-1: `scheme` must be one of"),
        (("{scheme: append", "{seed: 3, scheme: append"), "`seed` in .* arm ratio-1 must be left"),
        (
            ("agreement_model: real", "agreement_model: rael"),
            "be an arm.* Did you mean `real`",
        ),
        (("agreement_model: real", "agreement_model: uniform+agreed"), "must not lead back"),
        (("segmentation:", "segmentor:"), "must hold the sections"),
    ],
)
def test_studies_that_do_not_fit_are_refused_before_any_work(tmp_path, change, message):
    with pytest.raises(SystemExit, match=message):
        run(tmp_path, study=STUDY.replace(*change))
    assert not (tmp_path / "out").exists()


def test_arms_that_judge_twins_are_trained_before_those_that_they_judge_for():
    arms = {"c": {"agreement_model": "b"}, "b": {"agreement_model": "a"}, "a": {}, "d": {}}
    assert in_waves(arms) == [["a", "d"], ["b"], ["c"]]


def test_a_training_is_ready_when_the_segmentor_that_judges_its_twins_is_trained(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    plan, _ = read_study(["--config", str(tmp_path / "study.yaml"), "--output_dir", "o"])
    asked = {(t.arm, t.fraction): t for t in trainings(plan, tmp_path)}
    judge, judged = asked["real", 0.5], asked["uniform+agreed", 0.5]
    assert judged.options["agreement_model"] == str(judge.result_file.parent)
    assert judge.is_ready and asked["masks", 1.0].is_ready and not judged.is_ready
    judge.result_file.parent.mkdir(parents=True)
    judge.result_file.write_text("{}")
    assert judged.is_ready and not asked["uniform+agreed", 1.0].is_ready, "of another fraction"


def test_seeds_come_one_after_the_other_with_all_arms(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    flags = ["--config", str(tmp_path / "study.yaml"), "--output_dir", "o", "--seeds", "0", "1"]
    plan, _ = read_study(flags)
    assert [t.seed for t in trainings(plan, tmp_path)] == [0] * 8 + [1] * 8


def added(config, *flags):
    """What each arm of a shipped study adds to its segmentation, at one fraction and seed."""
    plan, _ = read_study(["--config", config, "--output_dir", "out", *flags])
    everywhere = {"real", "seed", "eval_split", "output_dir", *plan.segmentation}
    return {
        (t.arm, t.fraction, t.seed): {k: v for k, v in t.options.items() if k not in everywhere}
        for t in trainings(plan, Path("out"))
    }


def test_the_arms_of_the_shipped_studies_are_what_they_were():
    twins = "out/fraction-0.25/twins:guidance2-encode"
    scenes = added("study-scenes")
    every = [f"{twins}{ratio}" for ratio in ("0.4", "0.6", "0.8", "1")]
    assert len(scenes) == 9 * 4 * 3
    assert {
        arm: found
        for (arm, fraction, seed), found in scenes.items()
        if (fraction, seed) == (0.25, 2)
    } == {
        "real": {"scheme": "none", "labels": "scribble"},
        "fixed-0.6": {"scheme": "append", "synthetic": [f"{twins}0.6"]},
        "fixed-1": {"scheme": "append", "synthetic": [f"{twins}1"]},
        "uniform": {"scheme": "uniform", "synthetic": every},
        "curriculum": {"scheme": "curriculum", "synthetic": every},
        "adaptive": {"scheme": "adaptive", "synthetic": every},
        "uniform+agreed": {
            "scheme": "uniform",
            "synthetic": every,
            "min_agreement": 0.7,
            "agreement_model": "out/fraction-0.25/segmentors/real-seed2",
        },
        "synthetic_only": {"scheme": "synthetic_only", "synthetic": every},
        "masks": {"scheme": "none", "labels": "mask"},
    }
    daylight = added("study-daylight")
    assert len(daylight) == 8 * 3 * 3
    assert daylight["uniform", 0.25, 0]["synthetic"] == every[1:]
    small = added("study-facade-small")
    assert len(small) == 10 * 4 * 3
    assert small["fixed-0.2", 0.25, 1]["synthetic"] == [f"{twins}0.2"]
    assert small["uniform+agreed", 0.25, 1]["synthetic"] == [
        f"{twins}{ratio}" for ratio in ("0.2", "0.4", "0.6")
    ]
    facade = added("study-facade")
    assert len(facade) == 10 * 2 * 3
    twins = "out/fraction-0.125/twins:guidance2-encode"
    for arm, backbone in (("uniform+agreed", "efficientnet-lite0"), ("small-agreed", None)):
        assert facade[arm, 0.125, 1]["synthetic"] == [f"{twins}{r}" for r in ("0.2", "0.4", "0.6")]
        assert facade[arm, 0.125, 1].get("backbone") == backbone
        judge = facade[arm, 0.125, 1]["agreement_model"]
        assert judge == "out/fraction-0.125/segmentors/real-seed1", "the pretrained one judges both"
    grabcut = added("study-grabcut")
    assert len(grabcut) == 7 * 3, "the same in every fold"


def test_an_arm_learns_from_a_dataset_that_is_there_already():
    found = added("study-diffumask")
    assert found["kept", 1.0, 2] == {
        "scheme": "synthetic_only",
        "synthetic": ["out/diffumask:diffumask-kept"],
    }
    assert found["real+diffumask", 1.0, 0]["synthetic"] == ["out/diffumask:diffumask"]


def test_what_every_segmentor_of_a_study_is_given():
    plan, _ = read_study(["--config", "study-daylight", "--output_dir", "out"])
    first = next(trainings(plan, Path("out")))
    assert (first.arm, first.fraction, first.seed) == ("real", 1.0, 0)
    assert first.options == {
        "architecture": "small",
        "crop_size": 64,
        "scale_min": 0.75,
        "scale_max": 1.5,
        "jitter": 0.2,
        "max_steps": 400,
        "per_device_train_batch_size": 16,
        "learning_rate": 0.002,
        "lr_scheduler_type": "cosine",
        "weight_decay": 0.01,
        "bf16": True,
        "scheme": "none",
        "labels": "scribble",
        "real": "out/fraction-1/twins:real",
        "seed": 0,
        "eval_split": "test",
        "output_dir": "out/fraction-1/segmentors/real-seed0",
    }


def test_every_shipped_arm_fits():
    ratios = ["--twins.encode_ratios", "0.2", "0.4", "0.6", "0.8", "1"]
    arms = {arm for arm, _, _ in added("study-scenes", "--arms", *shipped_arms(), *ratios)}
    assert arms == shipped_arms().keys()


def test_the_iou_of_each_class_is_the_mean_over_seeds_at_the_largest_fraction():
    results = [
        {"arm": arm, "fraction": fraction, "eval_iou_cat": cat, "eval_iou_dog": cat / 2}
        for arm, fraction, cat in (
            ("real", 1.0, 0.4),
            ("real", 1.0, 0.6),
            ("real", 0.5, 0.1),
            ("masks", 1.0, 0.8),
        )
    ]
    assert class_table(results, ["real", "masks", "none yet"]).splitlines() == [
        "| IoU of | real | masks | none yet |",
        "|---|---|---|---|",
        "| cat | 50.0 | 80.0 | |",
        "| dog | 25.0 | 40.0 | |",
    ]


def test_the_table_pairs_arms_with_the_scribbles_alone_by_seed():
    results = [
        {
            "arm": arm,
            "variant": "",
            "fraction": 0.5,
            "fold": "",
            "seed": seed,
            "photographs": 64,
            "eval_mean_iou": value,
        }
        for arm, values in {"real": (0.40, 0.50), "uniform": (0.42, 0.56)}.items()
        for seed, value in enumerate(values)
    ]
    assert study_table(results, ["real", "uniform"]).splitlines() == [
        "| | 64 photographs |",
        "|---|---|",
        "| real | 45.0 ± 7.1 |",
        "| uniform | 49.0 ± 9.9 (+4.0 ± 2.8) |",
    ]


def test_folds_are_pooled_by_seed_and_compared_where_both_arms_have_them():
    measured = {
        ("real", 0, "fold-1"): 0.40,
        ("real", 0, "fold-2"): 0.60,
        ("real", 1, "fold-1"): 0.44,
        ("absent", 0, "fold-1"): 0.46,
        ("absent", 1, "fold-1"): 0.48,
    }
    results = [
        {
            "arm": arm,
            "variant": "",
            "fraction": 1.0,
            "fold": fold,
            "seed": seed,
            "photographs": 9,
            "eval_mean_iou": value,
        }
        for (arm, seed, fold), value in measured.items()
    ]
    assert study_table(results, ["real", "absent"]).splitlines()[2:] == [
        "| real | 47.0 ± 4.2 |",
        "| absent | 47.0 ± 1.4 (+5.0 ± 1.4) |",
    ]


def test_a_study_with_folds_holds_each_part_out_in_turn(tmp_path):
    study = STUDY.replace(', test_ids: "50:52"', "").replace("seeds: [0]", "seeds: [0]\n  folds: 2")
    study = study.replace("[1.0, 0.5]", "[1.0]")
    study = study.replace("real, ratio-1, uniform+agreed, masks", "real")
    study = study.replace("max_steps: 12", "max_steps: 2")
    before, rest = study.split("controlnet:\n")
    run(tmp_path, study=before + rest[rest.index("twins:\n") :])
    held_out = []
    for fold in ("fold-1", "fold-2"):
        train, test = (
            load_dataset(str(tmp_path / "out" / fold / "fraction-1" / "twins"), "real", split=split)
            for split in ("train", "test")
        )
        assert not set(train["source_id"]) & set(test["source_id"])
        assert len(train) == len(test) == 2
        held_out += test["source_id"]
    assert len(set(held_out)) == 4, "every photograph once"
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert [r["fold"] for r in results] == ["fold-1", "fold-2"]
    with pytest.raises(SystemExit, match="holds another study: folds: 2 there, 3 here"):
        run(tmp_path, "--folds", "3", study=before + rest[rest.index("twins:\n") :])
