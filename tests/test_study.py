"""A small study: every arm, resumed, and its report."""

import json

import pytest

from scribblegen.cli import main
from scribblegen.commands.study.plan import read_study
from scribblegen.commands.study.report import study_table

STUDY = """
study:
  fractions: [1.0, 0.5]
  seeds: [0]
  arms: [real, fixed-1, uniform+agreed, masks]
  min_agreement: 0.05
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
    plan, run_config = read_study(["--config", str(tmp_path / "study.yaml"), "--output_dir", "o",
                                   "--seeds", "3", "4", *others])  # fmt: skip
    assert plan.study.seeds == [3, 4] and plan.source.ids == "0:9" and plan.twins.replicates == 2
    assert plan.segmentation["max_steps"] == 7 and plan.segmentation["crop_size"] == 64
    assert run_config.output_dir == "o"


def run(folder, *flags, study=STUDY):
    (folder / "other.yaml").write_text(study)
    main(["study", "--config", str(folder / "other.yaml"), "--output_dir", str(folder / "out"),
          *flags])  # fmt: skip


def test_every_arm_fraction_and_seed_is_measured(study):
    results = json.loads((study / "out/results.json").read_text())
    assert len(results) == 2 * 4
    assert {r["photographs"] for r in results} == {4, 2}
    assert all(0 <= r["eval_mean_iou"] <= 1 for r in results)
    assert len((study / "out/results.csv").read_text().splitlines()) == 1 + 8
    assert "| masks | " in (study / "out/results.md").read_text()
    run_of = study / "out/fraction-0.5/segmentors"
    assert json.loads((run_of / "masks-seed0/run.json").read_text())["labels"] == "mask"
    agreed = json.loads((run_of / "uniform+agreed-seed0/run.json").read_text())
    assert agreed["scheme"] == "uniform" and 0 < agreed["twins"] <= 2 * 2
    assert json.loads((run_of / "fixed-1-seed0/run.json").read_text())["twins"] == 2


def test_what_is_finished_is_kept_and_what_is_asked_for_in_addition_is_made(study):
    done = study / "out/fraction-1/segmentors/real-seed0/eval_results.json"
    before = done.stat().st_mtime_ns
    run(study, "--arms", "real", "masks", "--seeds", "0", "1", "--fractions", "1.0")
    assert done.stat().st_mtime_ns == before
    results = json.loads((study / "out/results.json").read_text())
    assert [(r["arm"], r["seed"]) for r in results] == [
        ("real", 0), ("masks", 0), ("real", 1), ("masks", 1)]  # fmt: skip


def test_another_study_does_not_mix_into_the_folder(study):
    with pytest.raises(SystemExit, match="holds another study: segmentation max_steps: 12 .* 13"):
        run(study, study=STUDY.replace("max_steps: 12", "max_steps: 13"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("real, fixed-1", "real, fixed-0.7"), "fixed-0.7 must be one of the encode ratios"),
        (("real, fixed-1", "real, poem"), "`arms` must be of .* Got 'poem'"),
        (("real, fixed-1", "fixed-1"), "`arms` must hold real"),
        (("[1.0, 0.5]", "[2.0]"), "`fractions` must be numbers"),
        (('test_ids: "50:52"', "scene_size: 64"), "`test_ids` must be given"),
        (("guidance_scales: [1]", "guidance_scales: [1, 2]"), "`guidance_scales` of a study"),
        (("max_steps", "max_stepz"), "`max_stepz`, which is no option. Did you mean `max_steps`"),
        (("segmentation:", "segmentor:"), "must hold the sections"),
    ],
)
def test_studies_that_do_not_fit_are_refused(tmp_path, change, message):
    with pytest.raises(SystemExit, match=message):
        run(tmp_path, study=STUDY.replace(*change))


def test_the_table_pairs_arms_with_the_scribbles_alone_by_seed():
    results = [
        {"arm": arm, "fraction": 0.5, "seed": seed, "photographs": 64, "eval_mean_iou": value}
        for arm, values in {"real": (0.40, 0.50), "uniform": (0.42, 0.56)}.items()
        for seed, value in enumerate(values)
    ]
    assert study_table(results, ["real", "uniform"]).splitlines() == [
        "| | 64 photographs |",
        "|---|---|",
        "| real | 45.0 ± 7.1 |",
        "| uniform | 49.0 ± 9.9 (+4.0 ± 2.8) |",
    ]
