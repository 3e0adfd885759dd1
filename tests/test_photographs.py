"""Photographs alone, as a dataset: no network is asked."""

import numpy as np
import pytest
from datasets import load_dataset

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.source import open_scenes
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.photographs_config import PhotographsMethodConfig

SOURCE = ScenesConfig(ids="0:5", test_ids="50:52", scene_size=32)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs") / "out"
    build(SOURCE, PhotographsMethodConfig(), output_dir=folder)
    return folder


def test_every_photograph_is_there_as_it_is(repository):
    for split, ids, count in (("train", "0:5", 5), ("test", "50:52", 2)):
        rows = load_dataset(str(repository), "real", split=split)
        source = open_scenes(SOURCE, ids)
        assert len(rows) == len(source) == count
        for row, sample in zip(rows, (source.read(i) for i in range(count)), strict=True):
            assert (np.asarray(row["image"]) == sample.image).all()
            assert (np.asarray(row["label"]) == sample.scribble).all()
            assert (np.asarray(row["mask"]) == sample.mask).all()
            assert row["source_id"] == sample.source_id
    card = (repository / "README.md").read_text()
    assert "Photographs with scribbles" in card and "--eval_split test" in card
    assert '"synthetic"' not in card and "- synthetic" not in card and "- scribbles" in card
    assert (repository / "assets" / "grid.png").is_file()


def test_rows_are_those_that_scribblegen_passes_on(repository, tmp_path):
    from scribblegen.methods.scribblegen_config import ScribbleGenConfig

    config = ScribbleGenConfig(
        pipeline="random", guidance_scales=[1], encode_ratios=[0.5], num_inference_steps=2
    )
    build(SOURCE, config, output_dir=tmp_path / "out")
    for split in ("train", "test"):
        ours, theirs = (
            load_dataset(str(f), "real", split=split).remove_columns("prompt")
            for f in (repository, tmp_path / "out")
        )
        assert ours.features == theirs.features
        assert [r["source_id"] for r in ours] == [r["source_id"] for r in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert (np.asarray(a["image"]) == np.asarray(b["image"])).all()
            assert (np.asarray(a["label"]) == np.asarray(b["label"])).all()


def test_one_command(tmp_path, capsys):
    flags = ["--ids", "0:3", "--scene_size", "32", "--output_dir", str(tmp_path / "out")]
    main(["build", "--method", "photographs", *flags])
    said = capsys.readouterr().out
    assert f'load_dataset("{tmp_path / "out"}", "real")' in said and "3 images" in said
    main(["build", "--method", "photographs", *flags])
    assert "nothing was left to generate" in capsys.readouterr().out
