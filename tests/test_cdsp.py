"""Photographs and scribbles -> a repository with pseudo labels, the whole way."""

import numpy as np
import pytest
from datasets import load_dataset

from scribblegen.builders.config import ScenesConfig
from scribblegen.cli import main
from scribblegen.commands.build import build
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.trainers.classifier.models import open_classifier

SOURCE = ScenesConfig(ids="0:4", test_ids="50:52", scene_size=32)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """One that was taught nothing, of the scenes' classes in another order."""
    from transformers import SegformerImageProcessor

    from scribblegen.builders.scenes.kinds import SCENE_CLASSES

    folder = tmp_path_factory.mktemp("classifier")
    open_classifier(SCENE_CLASSES.names[::-1]).save_pretrained(folder)
    SegformerImageProcessor(size={"shortest_edge": 32}).save_pretrained(folder)
    return str(folder)


def files(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "cdsp").glob("*.parquet"))}


def test_every_photograph_gets_a_label_of_its_own_classes(classifier, tmp_path):
    config = CdspConfig(classifier=classifier, refine="all_labels")
    build(SOURCE, config, output_dir=tmp_path / "out")
    for split, count in (("train", 4), ("test", 2)):
        rows = load_dataset(str(tmp_path / "out"), "cdsp", split=split)
        assert len(rows) == count
        for row in rows:
            scribble, label = (np.asarray(row[c]) for c in ("label", "pseudo_label"))
            drawn = scribble != 255
            assert (label[drawn] == scribble[drawn]).all()
            assert set(np.unique(label)) - {255} == set(row["classes"]) == set(row["tags"])
            assert row["pseudo_source"].endswith("refine all_labels") and row["mask"] is not None
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`pseudo_label`" in card and "Scribble Hides Class" in card
    assert classifier not in card and (tmp_path / "out" / "assets" / "grid.png").is_file()
    build(SOURCE, config, output_dir=tmp_path / "again")
    assert files(tmp_path / "out") == files(tmp_path / "again")


def test_it_is_a_subset_that_a_segmentor_learns_from(classifier, tmp_path):
    from scribblegen.trainers.segmentation.data import open_rows
    from scribblegen.trainers.segmentation.maps import ONLY_LABEL, LabelMap

    build(SOURCE, CdspConfig(classifier=classifier, refine="none"), output_dir=tmp_path / "out")
    maps = {**ONLY_LABEL, "pseudo_label": LabelMap()}
    rows = open_rows(f"{tmp_path / 'out'}:cdsp", [], maps=maps)
    assert rows.read(0)["pseudo_label"].shape == (32, 32)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classifier": None}, "`classifier` must be given"),
        ({"refine": "two_label"}, "`refine` must be all_labels or none"),
        ({"background": "poem"}, "`background` must be one of"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(classifier, tmp_path, options, said):
    config = CdspConfig(**{"classifier": classifier, "refine": "none", **options})
    with pytest.raises(ValueError, match=said):
        build(SOURCE, config, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_classifier_of_other_classes_is_refused(tmp_path):
    from transformers import SegformerImageProcessor

    open_classifier(["cat", "dog"]).save_pretrained(tmp_path / "c")
    SegformerImageProcessor().save_pretrained(tmp_path / "c")
    config = CdspConfig(classifier=str(tmp_path / "c"), refine="none")
    with pytest.raises(ValueError, match="`classifier` must know every class"):
        build(SOURCE, config, output_dir=tmp_path / "out")


def test_one_command_trains_what_is_missing_and_labels(classifier, tmp_path, monkeypatch, capsys):
    from scribblegen.commands import pseudo_label

    monkeypatch.setattr(pseudo_label, "_STEPS", 5)
    first, out = tmp_path / "first", tmp_path / "out"
    build(SOURCE, CdspConfig(classifier=classifier, refine="none"), output_dir=first)
    flags = ["--source", "subset", "--subset", f"{first}:cdsp", "--refine", "none"]
    main(["pseudo-label", *flags, "--output_dir", str(out)])
    assert (tmp_path / "out-classifier" / "model.safetensors").is_file()
    assert len(load_dataset(str(out), "cdsp", split="train")) == 4
    assert f'load_dataset("{out}", "cdsp")' in capsys.readouterr().out
    main(["pseudo-label", *flags, "--output_dir", str(out)])  # nothing is left to do
    with pytest.raises(SystemExit, match="`classifier` must be given for this source"):
        main(["pseudo-label", "--ids", "0:2", "--output_dir", str(tmp_path / "other")])
