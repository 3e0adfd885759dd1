"""Studies over other strokes, without twins, and with pseudo labels."""

import json

import numpy as np
import pytest
from datasets import load_dataset

from scribblegen.cli import main
from scribblegen.commands.study.plan import read_study
from scribblegen.commands.study.report import study_table

STUDY = """
study:
  fractions: [1.0]
  seeds: [0, 1]
  arms: [real, pseudo]
  scribbles_by_seed: true
arms:
  pseudo: {scheme: none, pseudo_label_weight: 1.0}
source: {source: scenes, ids: "0:4", test_ids: "50:52", scene_size: 32}
variants:
  whole: {}
  shrink-1: {scribble_shrink: 1.0}
twins: {method: photographs}
classifier: {max_steps: 2, per_device_train_batch_size: 2, crop_size: 32}
pseudo_labels: {refine: none}
segmentation:
  crop_size: 32
  max_steps: 2
  per_device_train_batch_size: 2
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(STUDY)
    main(["study", "--config", str(folder / "study.yaml"), "--output_dir", str(folder / "out")])
    return folder


def strokes(repository):
    rows = load_dataset(str(repository), "real", split="train")
    return {row["source_id"]: np.asarray(row["label"]) for row in rows}


def test_every_variant_has_strokes_of_its_own_for_every_seed(study):
    drawn = {
        (variant, seed): strokes(study / f"out/{variant}/scribbles-{seed}/fraction-1/twins")
        for variant in ("whole", "shrink-1")
        for seed in (0, 1)
    }
    for seed in (0, 1):
        for name, whole in drawn["whole", seed].items():
            shrunk = drawn["shrink-1", seed][name]
            assert 0 < (shrunk != 255).sum() < (whole != 255).sum()
            assert set(np.unique(shrunk)) == set(np.unique(whole)), "no stroke is lost"
    assert any(
        (drawn["whole", 0][name] != drawn["whole", 1][name]).any() for name in drawn["whole", 0]
    )


def test_all_arms_learn_from_the_photographs_with_pseudo_labels(study):
    results = json.loads((study / "out/results.json").read_text())
    assert {(r["arm"], r["variant"], r["seed"]) for r in results} == {
        (arm, variant, seed)
        for arm in ("real", "pseudo")
        for variant in ("whole", "shrink-1")
        for seed in (0, 1)
    }
    inside = study / "out/whole/scribbles-1/fraction-1"
    assert not (study / "out/whole/scribbles-1/fraction-1/segmentors/real-seed0").exists()
    rows = load_dataset(str(inside / "pseudo-labels-real"), "cdsp")
    assert list(rows) == ["train"] and len(rows["train"]) == 4, "of test photographs none is needed"
    ran = json.loads((inside / "segmentors/pseudo-seed1/run.json").read_text())
    assert ran["pseudo_label_weight"] == 1 and ran["photographs"] == 4
    measured = json.loads((inside / "segmentors/pseudo-seed1/eval_results.json").read_text())
    assert measured["eval_images"] == 2
    assert (inside / "classifier/README.md").is_file()


def test_what_is_finished_is_kept_and_another_classifier_is_another_study(study):
    flags = ["--config", str(study / "study.yaml"), "--output_dir", str(study / "out")]
    classifier = study / "out/whole/scribbles-0/fraction-1/classifier/model.safetensors"
    before = classifier.stat().st_mtime_ns
    main(["study", *flags, "--variants", "whole", "--arms", "real"])
    assert classifier.stat().st_mtime_ns == before
    for flag, said in (
        ("--classifier.max_steps=3", "classifier max_steps: 2 .* 3"),
        ("--pseudo_labels.background_threshold=0.5", "pseudo_labels background_threshold"),
        ("--scribbles_by_seed=False", "scribbles_by_seed"),
    ):
        with pytest.raises(SystemExit, match=f"holds another study: .*{said}"):
            main(["study", *flags, flag])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("scribble_shrink: 1.0", "scribble_shrink: 2"),
            "variant shrink-1: `scribble_shrink` must",
        ),
        (("scribble_shrink", "scribble_shrunk"), "variant shrink-1 holds `scribble_shrunk`.*mean"),
        (("whole: {}", "wh/ole: {}"), "`variants` must have names of letters"),
        (
            ("fractions", "variants: [hole]\n  fractions"),
            "`variants` must name.*Did you mean `whole",
        ),
        (("pseudo_labels: {refine: none}", ""), "`pseudo_labels` must be a section too"),
        (
            ("refine: none", "pseudo_label_model: reel"),
            "`pseudo_label_model` of a study must be an",
        ),
        (
            ("classifier: {max_steps: 2, per_device_train_batch_size: 2, crop_size: 32}", ""),
            "`classifier` must be a section",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(tmp_path, change, said):
    (tmp_path / "study.yaml").write_text(STUDY.replace(*change))
    with pytest.raises(SystemExit, match=said):
        main(
            ["study", "--config", str(tmp_path / "study.yaml"), "--output_dir", str(tmp_path / "o")]
        )
    assert not (tmp_path / "o").exists()


def test_twins_have_pseudo_labels_of_their_own(tmp_path):
    from scribblegen.commands.study.trainings import trainings

    study = STUDY.replace("method: photographs", "encode_ratios: [0.5, 1.0], guidance_scales: [2]")
    study = study.replace("  pseudo: {scheme: none,", "  pseudo: {scheme: uniform, synthetic: all,")
    (tmp_path / "study.yaml").write_text(study)
    plan, _ = read_study(["--config", str(tmp_path / "study.yaml"), "--output_dir", "o"])
    asked = {(t.arm, t.variant, t.seed): t.options for t in trainings(plan, tmp_path)}
    inside = tmp_path / "whole/scribbles-1/fraction-1"
    assert asked["pseudo", "whole", 1]["synthetic"] == [
        f"{inside}/pseudo-labels-guidance2-encode{ratio}:cdsp" for ratio in ("0.5", "1")
    ]
    assert asked["pseudo", "whole", 1]["real"] == f"{inside}/pseudo-labels-real:cdsp"
    assert asked["pseudo", "whole", 1]["eval_data"] == f"{inside}/twins"


def test_an_arm_makes_the_labels_that_the_others_learn_from(tmp_path):
    study = STUDY.replace("refine: none", "refine: none, pseudo_label_model: real")
    study = study.replace("  shrink-1: {scribble_shrink: 1.0}\n", "").replace("  whole: {}\n", "")
    study = study.replace("variants:\n", "").replace("scribbles_by_seed: true", "folds: 0")
    (tmp_path / "study.yaml").write_text(study)
    main(["study", "--config", str(tmp_path / "study.yaml"), "--output_dir", str(tmp_path / "out")])
    inside = tmp_path / "out/fraction-1"
    assert not (inside / "classifier").exists(), "none is needed"
    ran = {
        (arm, seed): json.loads((inside / f"segmentors/{arm}-seed{seed}/run.json").read_text())
        for arm in ("real", "pseudo")
        for seed in (0, 1)
    }
    said = []
    for seed in (0, 1):
        assert ran["real", seed]["real"].endswith("twins:real")
        assert ran["pseudo", seed]["real"].endswith(f"pseudo-labels-real-seed{seed}:cdsp")
        rows = load_dataset(str(inside / f"pseudo-labels-real-seed{seed}"), "cdsp", split="train")
        said.append(set(rows["pseudo_source"]))
    assert not said[0] & said[1], "each seed has a segmentor of its own"
    assert len(json.loads((tmp_path / "out/results.json").read_text())) == 4


def test_variants_stand_in_rows_with_their_mean_and_the_worst_of_them():
    measured = {
        ("real", "whole"): (0.50, 0.60),
        ("real", "drop"): (0.30, 0.40),
        ("full", "whole"): (0.52, 0.62),
        ("full", "drop"): (0.40, 0.48),
    }
    results = [
        {
            "arm": arm,
            "variant": variant,
            "fraction": 1.0,
            "fold": "",
            "seed": seed,
            "photographs": 9,
            "eval_mean_iou": value,
        }
        for (arm, variant), values in measured.items()
        for seed, value in enumerate(values)
    ]
    assert study_table(results, ["real", "full"]).splitlines() == [
        "| 9 photographs | real | full |",
        "|---|---|---|",
        "| whole | 55.0 ± 7.1 | 57.0 ± 7.1 (+2.0 ± 0.0) |",
        "| drop | 35.0 ± 7.1 | 44.0 ± 5.7 (+9.0 ± 1.4) |",
        "| mean | 45.0 | 50.5 |",
        "| worst | 35.0 | 44.0 |",
    ]
