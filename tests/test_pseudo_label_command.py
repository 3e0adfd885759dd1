"""`scribblegen pseudo-label`: one command from any source to a dataset, and what learns of it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from scribblegen.builders.config import ScenesConfig, SubsetConfig
from scribblegen.builders.subset import SubsetSource
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.photographs_config import PhotographsMethodConfig
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from tests.subset_files import encoded
from tests.test_packaged_backbones import installed

FAST = ["--refine", "none", "--classifier_steps", "2"]
SOURCE = ScenesConfig(ids="0:4", test_ids="50:52", scene_size=32)
TWINS = ScribbleGenConfig(
    pipeline="random",
    guidance_scales=[1],
    encode_ratios=[0.5],
    num_inference_steps=2,
    replicates=2,
    rows=4,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs and scribbles of a user: one is no 8-bit RGB, one cannot be read."""
    data = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for number, name in enumerate(("a", "b", "c", "d")):
        image = random.integers(0, 256, (24, 32) if name == "b" else (24, 32, 3), np.uint8)
        scribble = np.full((24, 32), 255, np.uint8)
        scribble[4], scribble[12] = 0, 1 + number % 2
        for kind, picture in (("images", image), ("scribbles", scribble)):
            (data / kind).mkdir(exist_ok=True)
            (data / kind / f"{name}.png").write_bytes(encoded(picture)["bytes"])
    (data / "images" / "e.png").write_bytes(b"no picture")
    (data / "test.txt").write_text("d\n")
    (data / "train.txt").write_text("a\nb\nc\ne\n")
    lists = ["--ids", "train.txt", "--test_ids", "test.txt"]
    return ["--source", "folder", "--data_dir", str(data), "--classes", "ground,x,y", *lists]


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_any_source_is_taken_and_the_same_command_goes_on(folder, tmp_path, capsys):
    out = tmp_path / "out"
    flags = [*folder, *FAST, "--background", "ground", "--output_dir", str(out)]
    main(["pseudo-label", *flags])
    assert f'load_dataset("{out}", "cdsp")' in capsys.readouterr().out
    assert (tmp_path / "out-classifier" / "model.safetensors").is_file()
    first = {name: digests(tmp_path / name) for name in ("out", "out-photographs")}
    for split, ids in (("train", ["a", "b", "c"]), ("test", ["d"])):
        rows = load_dataset(str(out), "cdsp", split=split)
        photographs = load_dataset(str(tmp_path / "out-photographs"), "real", split=split)
        assert rows["source_id"] == photographs["source_id"] == ids
        for row, photograph in zip(rows, photographs, strict=True):
            assert (np.asarray(row["image"]) == np.asarray(photograph["image"])).all()
            assert (np.asarray(row["label"]) == np.asarray(photograph["label"])).all()
    manifest = json.loads((tmp_path / "out-photographs/run/manifest.json").read_text())
    (rejection,) = [r for unit in manifest["units"] for r in unit["rejections"]]
    assert rejection["source_id"] == "e"
    for shard in out.rglob("*.parquet"):  # as after a kill
        shard.unlink()
    main(["pseudo-label", *flags])
    assert {name: digests(tmp_path / name) for name in first} == first
    main(["pseudo-label", *flags])
    assert "nothing was left to generate" in capsys.readouterr().out


def test_several_processes_write_the_same(folder, tmp_path):
    """The classifier is trained in one; each process then labels its share."""
    flags = [*folder, *FAST, "--background", "ground", "--sources_per_shard", "1"]
    for number in (1, 2):
        out = ["--output_dir", str(tmp_path / str(number) / "out")]
        main(["pseudo-label", *flags, *out, "--num_processes", str(number)])
    assert digests(tmp_path / "1" / "out") == digests(tmp_path / "2" / "out")


def test_a_finished_subset_needs_no_photographs_beside_it(tmp_path):
    build(SOURCE, PhotographsMethodConfig(), output_dir=tmp_path / "mine")
    subset = ["--source", "subset", "--subset", f"{tmp_path / 'mine'}:real"]
    main(["pseudo-label", *subset, *FAST, "--output_dir", str(tmp_path / "out")])
    assert len(load_dataset(str(tmp_path / "out"), "cdsp", split="train")) == 4
    assert not (tmp_path / "out-photographs").exists()
    # Of a part of it the classifier sees that part alone.
    part = [*subset, "--held_out", "1/2"]
    main(["pseudo-label", *part, *FAST, "--output_dir", str(tmp_path / "part")])
    seen = load_dataset(str(tmp_path / "part-photographs"), "real")
    made = load_dataset(str(tmp_path / "part"), "cdsp")
    assert {split: rows["source_id"] for split, rows in seen.items()} == {
        split: rows["source_id"] for split, rows in made.items()
    }
    assert {split: len(rows) for split, rows in made.items()} == {"train": 2, "test": 2}


@installed
def test_a_classifier_over_a_packaged_backbone(tmp_path):
    flags = ["--ids", "0:3", "--scene_size", "32", *FAST, "--backbone", "efficientnet-lite0"]
    main(["pseudo-label", *flags, "--output_dir", str(tmp_path / "out")])
    said = json.loads((tmp_path / "out-classifier" / "config.json").read_text())
    assert "EfficientNetLite" in json.dumps(said)
    assert len(load_dataset(str(tmp_path / "out"), "cdsp", split="train")) == 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--refine", "two_label"],
            "`refine` must be all_labels or none where no class is `background`",
        ),
        (["--refine", "none", "--classifier_steps", "0"], "`classifier_steps` must be at least 1"),
        (["--classifier", "x", "--backbone", "y"], "must be left out where `classifier` is given"),
        (["--pseudo_label_dir", "x", "--pseudo_label_model", "y"], "`pseudo_label_dir` must be"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(tmp_path, flags, said):
    scenes = ["--ids", "0:2", "--scene_size", "32", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=said):
        main(["pseudo-label", *scenes, *flags])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Photographs, their twins, and pseudo labels of both by one classifier."""
    root = tmp_path_factory.mktemp("twins")
    build(SOURCE, TWINS, output_dir=root / "mine")
    main(
        ["pseudo-label", "--source", "subset", "--subset", f"{root / 'mine'}:real", *FAST]
        + ["--output_dir", str(root / "mine-cdsp")]
    )
    main(
        ["pseudo-label", "--source", "subset", "--subset", f"{root / 'mine'}:guidance1-encode0.5"]
        + ["--refine", "none", "--classifier", str(root / "mine-cdsp-classifier")]
        + ["--output_dir", str(root / "mine-twins-cdsp")]
    )
    return root


def test_twins_keep_what_was_said_of_them(labelled):
    twins = load_dataset(str(labelled / "mine"), "guidance1-encode0.5", split="train")
    rows = load_dataset(str(labelled / "mine-twins-cdsp"), "cdsp", split="train")
    assert len(rows) == len(twins) == 8
    for name in set(twins.column_names) - {"image", "label"}:
        assert rows.features[name] == twins.features[name]
        assert rows[name] == twins[name], name
    cards = [(labelled / f / "README.md").read_text() for f in ("mine-cdsp", "mine-twins-cdsp")]
    assert ["- synthetic\n" in card for card in cards] == [False, True]
    for row, twin in zip(rows, twins, strict=True):
        assert (np.asarray(row["image"]) == np.asarray(twin["image"])).all()
        label, scribble = (np.asarray(row[c]) for c in ("pseudo_label", "label"))
        assert set(np.unique(label)) - {255} <= set(row["classes"])
        assert (label == scribble)[scribble != 255].all()
    one, other = (np.asarray(rows[i]["pseudo_label"]) for i in (0, 1))
    assert rows[0]["source_id"] == rows[1]["source_id"] and (one != other).any(), "each its own"


def test_twins_with_pseudo_labels_are_learned_beside_their_photographs(labelled, tmp_path):
    from scribblegen.trainers.segmentation.config import SegmentationConfig
    from scribblegen.trainers.segmentation.data import open_rows
    from scribblegen.trainers.segmentation.row_selection import recorded_scores
    from scribblegen.trainers.segmentation.run import train_segmentation

    real, synthetic = f"{labelled / 'mine-cdsp'}:cdsp", f"{labelled / 'mine-twins-cdsp'}:cdsp"
    rows = open_rows(real, [synthetic])
    (twins,) = rows.twin_sets
    assert [len(of_one) for of_one in twins.rows] == [2] * 4 and twins.order == 0.5
    distances = recorded_scores(rows, "source_distance")
    assert len(distances) == 8
    config = SegmentationConfig(
        real=real,
        synthetic=[synthetic],
        scheme="uniform",
        max_source_distance=max(distances.values()),
        pseudo_label_weight=1.0,
        distance_entropy_weight=1.0,
        eval_split="",
        output_dir=str(tmp_path / "model"),
        crop_size=32,
        max_steps=2,
        per_device_train_batch_size=2,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        report_to="none",
    )
    train_segmentation(config)
    assert json.loads(Path(tmp_path / "model" / "run.json").read_text())["twins"] == 8


def test_another_score_of_a_twin_is_another_source(labelled):
    source = SubsetSource(SubsetConfig(subset=f"{labelled / 'mine'}:guidance1-encode0.5"), None)
    assert source.carried["encode_ratio"].dtype == "float64"
    assert source.read(1).carried["replicate"] == 1
    plain = SubsetSource(SubsetConfig(subset=f"{labelled / 'mine'}:real"), None)
    assert not plain.carried and not plain.read(0).carried
