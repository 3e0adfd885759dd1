"""`scribblegen prune`: segmentors of all parts but one, scores of that one, the rows that stay."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from scribblegen.builders.config import ScenesConfig, SubsetConfig
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.methods.photographs_config import PhotographsMethodConfig
from scribblegen.methods.prune_config import PruneConfig
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.segmenting.quality_files import read_qualities
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.opening import open_data
from scribblegen.trainers.segmentation.row_selection import num_twins, num_unpaired
from tests.test_packaged_backbones import installed
from tests.test_synthetic_only import PARTS, write

FAST = ["--folds", "2", "--fold_steps", "2"]
TWINS = ScribbleGenConfig(
    pipeline="random",
    guidance_scales=[1],
    encode_ratios=[0.5],
    num_inference_steps=2,
    replicates=2,
    rows=4,
)
DIFFUMASK = DiffuMaskConfig(
    pipeline="random",
    num_inference_steps=3,
    rows=6,
    spread_width=1,
    max_unsure=1.0,
    ignore_band=0.0,
    normalise="min_max",
)
CELL = "guidance1-encode0.5"


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Twelve scenes whose labels are their masks."""
    folder = tmp_path_factory.mktemp("prune") / "mine"
    scenes = ScenesConfig(ids="0:12", scene_size=32, scribbles="mask")
    build(scenes, PhotographsMethodConfig(), output_dir=folder)
    return folder


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two twins of each of four scenes."""
    folder = tmp_path_factory.mktemp("prune") / "twins"
    build(ScenesConfig(ids="0:4", scene_size=32), TWINS, output_dir=folder)
    return folder


@pytest.fixture(scope="module")
def pruned(masks):
    """Half of the twelve, beside them."""
    main(["prune", str(masks), *FAST, "--keep", "0.5"])
    return masks.with_name("mine-kept")


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def rejections(folder):
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    return {r["source_id"]: r["reason"] for unit in manifest["units"] for r in unit["rejections"]}


def scores_of(folder, folds=2):
    return [folder / f"fold-{k + 1}" / "held_out_scores.json" for k in range(folds)]


def table(folder, subset):
    paths = sorted((folder / subset).glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_the_best_rows_stay_as_they_are_and_the_others_are_listed(masks, pruned):
    rows = {row["source_id"]: row for row in table(masks, "real")}
    kept, dropped = table(pruned, "real-kept"), rejections(pruned)
    assert len(kept) == len(dropped) == 6
    assert [r["source_id"] for r in kept] == [i for i in rows if i not in dropped], "their order"
    scores = read_qualities(scores_of(masks.with_name("mine-kept-folds")))
    assert list(sorted(scores)) == sorted(rows)
    for row in kept:
        found = row.pop("scores")
        assert row == rows[row["source_id"]], "to the last byte"
        ious = [q.iou for q in scores[row["source_id"]].classes.values()]
        assert found == {"cv_iou": pytest.approx(np.mean(ious))}
        assert set(scores[row["source_id"]].classes) == {
            load_dataset(str(pruned), "real-kept", split="train")
            .features["classes"]
            .feature.names[k]
            for k in row["classes"]
        }
    assert all(reason.startswith("among the worst 50 %: cv_iou 0.") for reason in dropped.values())
    card = (pruned / "README.md").read_text()
    assert "Of 12 rows 6 were kept; by class:" in card and "wu2023diffumask" in card
    assert "| among the worst 50 % | 6 |" in card
    assert all(f"| {source_id} | {reason} |" in card for source_id, reason in dropped.items())


def test_the_same_command_goes_on_where_it_was_killed(masks, pruned, capsys):
    folds = masks.with_name("mine-kept-folds")
    before = [digests(pruned), digests(folds)]
    command = ["prune", str(masks), *FAST, "--keep", "0.5"]
    main(command)
    assert "nothing was left to generate" in capsys.readouterr().out
    assert [digests(pruned), digests(folds)] == before
    # Killed in the second training: its last checkpoint is there, no model yet, no repository.
    for name in ("model.safetensors", "held_out_scores.json", "all_results.json", "README.md"):
        (folds / "fold-2" / name).unlink()
    shutil.rmtree(folds / "fold-2" / "checkpoint-2")
    shutil.rmtree(pruned)
    main(command)
    assert "fold 1/2" not in capsys.readouterr().out
    assert digests(pruned) == before[0]
    weights = "fold-2/model.safetensors"
    assert digests(folds)[weights] == before[1][weights]


def test_several_processes_keep_the_same(masks, pruned, tmp_path):
    """The segmentors are there: each process reads their scores, and writes its share."""
    scores = [*map(str, scores_of(masks.with_name("mine-kept-folds")))]
    for number in (1, 2):
        out = ["--output_dir", str(tmp_path / str(number) / "out"), "--sources_per_shard", "3"]
        flags = ["--held_out_scores", *scores, "--keep", "0.5", "--num_processes", str(number)]
        main(["prune", f"{masks}:real", *flags, *out])
    made = digests(tmp_path / "1" / "out")
    assert made == digests(tmp_path / "2" / "out")
    assert not list(tmp_path.glob("*/*-folds")), "nothing was trained"
    rows, again = (table(f, "real-kept") for f in (pruned, tmp_path / "1" / "out"))
    assert rows == again


def test_another_pruning_of_the_same_scores(masks, pruned, tmp_path):
    scores = [*map(str, scores_of(masks.with_name("mine-kept-folds")))]
    rules = tmp_path / "rules.yaml"
    rules.write_text("sky: {max_area: 0.1}\n")
    source = SubsetConfig(subset=f"{masks}:real")
    config = PruneConfig(held_out_scores=scores, min_cv_iou=0, mask_rules=str(rules))
    build(source, config, output_dir=tmp_path / "out", progress_bar=False)
    names = load_dataset(str(masks), "real").get("train").features["classes"].feature.names
    sky = {
        row["source_id"]
        for row in load_dataset(str(masks), "real", split="train")
        if (np.asarray(row["label"]) == names.index("sky")).mean() > 0.1
    }
    dropped = rejections(tmp_path / "out")
    assert set(dropped) == sky and sky
    assert {r.partition(": ")[0] for r in dropped.values()} == {
        "mask of sky covers more than 10 % of the image"
    }
    with pytest.raises(ValueError, match="holds another run: .*keep: None there, 0.5 here"):
        config = PruneConfig(held_out_scores=scores, keep=0.5)
        build(source, config, output_dir=tmp_path / "out", progress_bar=False)
    with pytest.raises(ValueError, match="6 have none, such as scene-.*Give the files of all"):
        config = PruneConfig(held_out_scores=scores[:1])
        build(source, config, output_dir=tmp_path / "half", progress_bar=False)
    with pytest.raises(ValueError, match="`source` must be subset for method prune"):
        scenes = ScenesConfig(ids="0:2", scene_size=32)
        build(scenes, PruneConfig(held_out_scores=scores), output_dir=tmp_path / "scenes")


def test_that_most_rows_go_is_no_warning(masks, pruned, tmp_path, capsys):
    scores = [*map(str, scores_of(masks.with_name("mine-kept-folds")))]
    out = ["--output_dir", str(tmp_path / "out")]
    main(["prune", str(masks), "--held_out_scores", *scores, "--keep", "0.25", *out])
    assert len(table(tmp_path / "out", "real-kept")) == 3
    assert "warning" not in capsys.readouterr().out


def test_twins_are_parted_by_photograph_and_keep_their_columns(twins, tmp_path):
    """The one subset that was generated is found; scribbles are labels like any."""
    main(["prune", str(twins), *FAST, "--output_dir", str(tmp_path / "out")])
    rows = {(r["source_id"], r["replicate"]): r for r in table(twins, CELL)}
    kept = table(tmp_path / "out", f"{CELL}-kept")
    assert len(kept) == round(0.7 * len(rows)) == 6
    there, here = (
        pq.read_schema(next((folder / subset).glob("*.parquet")))
        for folder, subset in ((twins, CELL), (tmp_path / "out", f"{CELL}-kept"))
    )
    assert here.names == there.names
    for row in kept:
        twin = rows[row["source_id"], row["replicate"]]
        assert row["scores"].pop("cv_iou") is not None
        assert row == twin
    folds = [read_qualities([path]) for path in scores_of(tmp_path / "out-folds")]
    photographs = [{i.removesuffix("-r1") for i in fold} for fold in folds]
    assert [len(fold) for fold in folds] == [4, 4] and not photographs[0] & photographs[1]
    # Segmentors learn of kept twins beside their photographs as of any.
    data = open_data(
        SegmentationConfig(
            real=str(twins),
            synthetic=[f"{tmp_path / 'out'}:{CELL}-kept"],
            scheme="uniform",
            eval_split="",
            output_dir=str(tmp_path / "model"),
        )
    )
    assert num_twins(data.training) == 6


def test_images_of_words_keep_what_was_said_of_them_and_gain_a_score(tmp_path):
    build(
        PromptsConfig(classes="background,cat,dog", images_per_class=4),
        DIFFUMASK,
        output_dir=tmp_path / "words",
        progress_bar=False,
    )
    main(["prune", str(tmp_path / "words"), *FAST, "--crop_size", "32", "--keep", "0.5"])
    rows = {row["source_id"]: row for row in table(tmp_path / "words", "diffumask")}
    kept = table(tmp_path / "words-kept", "diffumask-kept")
    assert 0 < len(kept) == round(len(rows) / 2)
    qualities = read_qualities(scores_of(tmp_path / "words-kept-folds"))
    for row in kept:
        ious = {n: q.iou for n, q in qualities[row["source_id"]].classes.items()}
        things = [iou for name, iou in ious.items() if name != "background"]
        assert row["scores"].pop("cv_iou") == pytest.approx(np.mean(things), abs=1e-6)
        there = rows[row["source_id"]]
        assert there["scores"].pop("cv_iou") is None
        assert list(row) == list(there) and row == there
    assert {"prompt_source", "thresholds", "seed"} <= kept[0].keys()


def test_a_part_that_is_held_out_is_not_trained_on(twins, tmp_path):
    """Of pools and of twins, whichever subset they are of; photographs all stay."""
    pools = write(tmp_path / "pools", PARTS)

    def opened(part, **options):
        config = SegmentationConfig(
            held_out=part, eval_split="", output_dir=str(tmp_path / "model"), **options
        )
        return open_data(config).training

    synthetic = [f"{pools}:{subset}" for subset in PARTS]
    drawn = [opened(f"{k}/4", synthetic=synthetic) for k in (1, 2, 3, 4)]
    assert [num_unpaired(rows) for rows in drawn] == [9 - 3, 9 - 2, 9 - 2, 9 - 2]
    left_out = [set(range(9)) - {r for s in rows.twin_sets for r in s.pool} for rows in drawn]
    assert sorted(row for part in left_out for row in part) == list(range(9))
    rows = opened("1/4", real=str(twins), synthetic=[f"{twins}:{CELL}"], scheme="append")
    assert rows.num_real == 4 and num_twins(rows) == 6
    assert sorted(map(len, rows.twin_sets[0].rows)) == [0, 2, 2, 2]
    with pytest.raises(ValueError, match="as many parts as there are items, 9. Got 10"):
        opened("1/10", synthetic=synthetic)
    with pytest.raises(ValueError, match="`held_out` has no effect without `synthetic`"):
        opened("1/2", real=str(twins))
    with pytest.raises(ValueError, match="`held_out` must be a part of two or more"):
        opened("2", synthetic=synthetic)


@installed
def test_segmentors_over_a_packaged_backbone(masks, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "architecture: fpn\nbackbone: efficientnet-lite0\ncrop_size: 32\nmax_steps: 9\n"
        "per_device_train_batch_size: 2\n"
    )
    out = ["--fold_recipe", str(recipe), "--output_dir", str(tmp_path / "out")]
    main(["prune", str(masks), "--folds", "2", "--fold_steps", "1", *out])
    said = json.loads((tmp_path / "out-folds" / "fold-1" / "config.json").read_text())
    assert "efficientnet" in json.dumps(said).lower()
    assert len(table(tmp_path / "out", "real-kept")) == 8


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("{masks} --folds 1", "`folds` must be at least 2"),
        ("{masks} --folds 13", "`folds` must be at most the number of images, 12 .* Got 13"),
        ("{twins} --folds 5", "`folds` must be at most the number of images, 4 .* Got 5"),
        ("{masks} --keep 0", r"`keep` must be a share, in \(0, 1\]. Got 0.0"),
        ("{masks} --keep 1.1", r"`keep` must be a share, in \(0, 1\]. Got 1.1"),
        ("{masks} --keep 0.5 --min_cv_iou 0.5", "`min_cv_iou` must be left out where `keep`"),
        ("{masks} --min_cv_iou 2", r"`min_cv_iou` must be in \[0, 1\]. Got 2.0"),
        ("{masks}:other", "`subset` must be one with a finished shard, of real"),
        ("{masks} --mask_rules voxel", "`mask_rules` must be none, voc or a YAML file"),
        ("{masks} --held_out_scores x --folds 4", "`folds` and how they are trained must be left"),
        ("{masks} --fold_steps 0", "`fold_steps` must be at least 1"),
        ("{masks} --fold_recipe demo", "`config` demo holds `source`, which is no option"),
        ("{several}", r"`subset` must name one of \['diffumask', 'more'\], as REPO:subset"),
        ("{several}:none", "`subset` must be one of several. Got 'none'"),
        ("{unlabelled}", "must have the columns image, label and source_id. .* lacks label"),
        ("nowhere", "Couldn't reach 'nowhere' on the Hub"),
        ("", "`subset` must be given, as in `scribblegen prune REPO:subset`"),
        ("me/nowhere:x", "`output_dir` must be given"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    masks, twins, tmp_path, monkeypatch, flags, said
):
    write(tmp_path / "several", PARTS)
    write(tmp_path / "unlabelled", {"one": 3}, columns=())
    monkeypatch.chdir(tmp_path)
    there = {"masks": masks, "twins": twins, "several": "several", "unlabelled": "unlabelled"}
    arguments = flags.format(**there).split()
    out = [] if "me/" in flags else ["--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=said):
        main(["prune", *arguments, *out])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["several", "unlabelled"]


def test_folders_of_something_else_are_left_alone(masks, pruned, tmp_path):
    with pytest.raises(SystemExit, match="`output_dir` .*mine holds something else"):
        main(["prune", str(masks), *FAST, "--output_dir", str(masks)])
    with pytest.raises(SystemExit, match="holds segmentors of something else: folds: 2 there, 3"):
        main(["prune", str(masks), "--fold_steps", "2", "--keep", "0.5"])
