"""Photographs and scribbles -> a repository with pseudo labels, the whole way."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import load_dataset
from PIL import Image
from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    pipeline,
)

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.builders.pseudo_label_folder import PseudoLabelFolder
from scribblegen.builders.run_gallery import write_gallery
from scribblegen.builders.sources import open_source
from scribblegen.classes import Classes
from scribblegen.commands.build import build
from scribblegen.images import BadImageError
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.runs.folder import RunError
from scribblegen.segmenting.pseudo_labels import pseudo_label
from scribblegen.trainers.classifier.models import open_classifier
from scribblegen.trainers.segmentation.class_probabilities import ClassProbabilities
from tests.subset_files import encoded

SOURCE = ScenesConfig(ids="0:4", test_ids="50:52", scene_size=32)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """One that was taught nothing, of the scenes' classes in another order."""
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
    assert classifier not in card and "activation maps" in card
    build(SOURCE, config, output_dir=tmp_path / "again")
    assert files(tmp_path / "out") == files(tmp_path / "again")
    grids = [tmp_path / f / "assets" / "grid.png" for f in ("out", "again")]
    assert grids[0].read_bytes() == grids[1].read_bytes()
    write_gallery(tmp_path / "again")  # of no method: what is no column is left out
    whole, columns = (Image.open(grid).width for grid in grids)
    assert whole == 2 * columns - 4, "maps and two distances beside three columns"


def test_it_is_a_subset_that_a_segmentor_learns_from(classifier, tmp_path):
    from scribblegen.trainers.segmentation.data import open_rows
    from scribblegen.trainers.segmentation.maps import ONLY_LABEL, LabelMap

    build(SOURCE, CdspConfig(classifier=classifier, refine="none"), output_dir=tmp_path / "out")
    maps = {**ONLY_LABEL, "pseudo_label": LabelMap()}
    rows = open_rows(f"{tmp_path / 'out'}:cdsp", [], maps=maps)
    assert rows.read(0)["pseudo_label"].shape == (32, 32)


def test_strokes_alone_make_labels_without_a_classifier(tmp_path):
    config = CdspConfig(from_strokes=True)
    build(SOURCE, config, output_dir=tmp_path / "out")
    right = []
    for row in load_dataset(str(tmp_path / "out"), "cdsp", split="train"):
        scribble, label, mask = (np.asarray(row[c]) for c in ("label", "pseudo_label", "mask"))
        drawn = scribble != 255
        assert (label[drawn] == scribble[drawn]).all()
        assert set(np.unique(label)) - {255} <= set(row["classes"])
        assert row["pseudo_source"].startswith("strokes, spread")
        right.append((label == mask)[label != 255].mean())
    assert np.mean(right) > 0.6
    card = (tmp_path / "out" / "README.md").read_text()
    assert "from the strokes alone" in card and "activation maps" not in card
    sure = CdspConfig(from_strokes=True, background_threshold=0.5, ignore_band=0.49)
    build(SOURCE, sure, output_dir=tmp_path / "sure")
    said = [
        np.mean(
            [np.asarray(r["pseudo_label"]) != 255 for r in load_dataset(str(f), "cdsp")["train"]]
        )
        for f in (tmp_path / "out", tmp_path / "sure")
    ]
    assert said[1] < said[0] <= 1


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
    open_classifier(["cat", "dog"]).save_pretrained(tmp_path / "c")
    SegformerImageProcessor().save_pretrained(tmp_path / "c")
    config = CdspConfig(classifier=str(tmp_path / "c"), refine="none")
    with pytest.raises(ValueError, match="`classifier` must know every class"):
        build(SOURCE, config, output_dir=tmp_path / "out")


def test_a_classifier_is_asked_by_the_names_of_classes(classifier, tmp_path):
    """One that has them in another order, with the same weights for each, says the same."""
    from transformers import AutoModelForImageClassification

    from scribblegen.builders.scenes.kinds import SCENE_CLASSES

    model = AutoModelForImageClassification.from_pretrained(classifier)
    (head,) = (m for m in model.modules() if getattr(m, "out_features", 0) == len(SCENE_CLASSES))
    head.weight.data = head.weight.data.flip(0)
    model.config.id2label = dict(enumerate(SCENE_CLASSES.names))
    model.config.label2id = {name: k for k, name in enumerate(SCENE_CLASSES.names)}
    model.save_pretrained(tmp_path / "turned")
    (tmp_path / "turned" / "preprocessor_config.json").write_bytes(
        (Path(classifier) / "preprocessor_config.json").read_bytes()
    )
    labels = []
    for name in (classifier, str(tmp_path / "turned")):
        out = tmp_path / Path(name).name / "out"
        build(SOURCE, CdspConfig(classifier=name, refine="none"), output_dir=out)
        rows = load_dataset(str(out), "cdsp", split="train")
        labels.append([np.asarray(row["pseudo_label"]) for row in rows])
    assert all((a == b).all() for a, b in zip(*labels, strict=True))


def save_segmentor(folder, names):
    """One that was taught nothing."""
    config = SegformerConfig(
        depths=[1] * 4,
        hidden_sizes=[8, 16, 16, 16],
        num_attention_heads=[1] * 4,
        decoder_hidden_size=16,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    torch.manual_seed(0)
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


def test_any_segmentor_s_probabilities_stand_for_maps(tmp_path):
    from scribblegen.builders.scenes.kinds import SCENE_CLASSES

    name = save_segmentor(tmp_path / "model", ("poem", *SCENE_CLASSES.names[::-1], "song"))
    config = CdspConfig(
        pseudo_label_model=name, refine="none", background_threshold=0.05, ignore_band=0.01
    )
    build(SOURCE, config, output_dir=tmp_path / "out")
    rows = load_dataset(str(tmp_path / "out"), "cdsp", split="train")
    model = ClassProbabilities(name, SCENE_CLASSES, None, torch.device("cpu"))
    stock = pipeline("image-segmentation", model=name)
    for row in rows:
        present = row["classes"]
        maps = model.maps(np.asarray(row["image"]), present)
        assert (maps[[k for k in range(12) if k not in present]] == 0).all()
        expected = pseudo_label(
            maps,
            background=None,
            background_threshold=0.05,
            ignore_band=0.01,
            scribble=np.asarray(row["label"]),
        )
        assert (np.asarray(row["pseudo_label"]) == expected).all()
        assert row["pseudo_source"].startswith("class probabilities ")
        everything = model.maps(np.asarray(row["image"]), range(12)).argmax(dim=0).numpy()
        for found in stock(row["image"]):
            if found["label"] in SCENE_CLASSES.names:
                where = np.asarray(found["mask"]) > 0
                assert (everything[where] == SCENE_CLASSES.names.index(found["label"])).all()
    few = save_segmentor(tmp_path / "few", ("dog", "cat"))  # the threshold stands for background
    maps = ClassProbabilities(few, Classes(("background", "cat")), 0, torch.device("cpu")).maps(
        np.zeros((8, 9, 3), np.uint8), [0, 1]
    )
    assert maps.shape == (2, 8, 9) and (maps[0] == 0).all() and (maps[1] > 0).all()
    lacking = save_segmentor(tmp_path / "lacking", SCENE_CLASSES.names[1:])
    with pytest.raises(ValueError, match="`pseudo_label_model` must know every class"):
        build(
            SOURCE,
            CdspConfig(pseudo_label_model=lacking, refine="none"),
            output_dir=tmp_path / "none",
        )


@pytest.fixture
def made_elsewhere(tmp_path):
    """The masks of the training scenes, as another program would have saved them."""
    folder = tmp_path / "bmp"
    source = open_source(SOURCE)
    for index in range(len(source)):
        sample = source.read(index)
        save(folder / "val" / f"{sample.source_id}.png", sample.mask)
    return folder


def save(path, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(label)["bytes"])


def test_labels_made_elsewhere_are_matched_by_id(made_elsewhere, tmp_path, caplog):
    save(made_elsewhere / "other.png", np.zeros((4, 4), np.uint8))
    config = CdspConfig(pseudo_label_dir=str(made_elsewhere))
    build(SOURCE, config, output_dir=tmp_path / "out")
    assert "belongs to no photograph: other.png" in caplog.text
    rows = load_dataset(str(tmp_path / "out"), "cdsp", split="train")
    assert len(rows) == 4
    for row in rows:
        scribble, mask, label = (np.asarray(row[c]) for c in ("label", "mask", "pseudo_label"))
        assert (label == np.where(scribble != 255, scribble, mask)).all()
        assert row["pseudo_source"].startswith("labels of bmp, ")
    tests = load_dataset(str(tmp_path / "out"), "cdsp", split="test")
    assert len(tests) == 2 and tests["pseudo_label"] == [None, None], "measured on, not learned"
    assert str(made_elsewhere.parent) not in (tmp_path / "out" / "run/manifest.json").read_text()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "made elsewhere" in card and "A classifier is trained" not in card
    plain = replace(config, write_strokes=False)
    build(SOURCE, plain, output_dir=tmp_path / "plain")
    for row in load_dataset(str(tmp_path / "plain"), "cdsp", split="train"):
        assert (np.asarray(row["pseudo_label"]) == np.asarray(row["mask"])).all()
    save(made_elsewhere / "val" / f"{rows[0]['source_id']}.png", np.zeros((32, 32), np.uint8))
    with pytest.raises(RunError, match="pseudo labels: "):
        build(SOURCE, config, output_dir=tmp_path / "out")


def test_labels_that_do_not_fit_are_left_out_and_listed(made_elsewhere, tmp_path):
    ids = open_source(SOURCE).source_ids
    save(made_elsewhere / "val" / f"{ids[0]}.png", np.zeros((30, 32), np.uint8))
    save(made_elsewhere / "val" / f"{ids[1]}.png", np.full((32, 32), 77, np.uint8))
    (made_elsewhere / "val" / f"{ids[2]}.png").unlink()
    config = CdspConfig(pseudo_label_dir=str(made_elsewhere))
    build(SOURCE, config, output_dir=tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "run/manifest.json").read_text())
    reasons = {r["source_id"]: r["reason"] for u in manifest["units"] for r in u["rejections"]}
    assert reasons == {
        ids[0]: f"pseudo_label {ids[0]}.png is 32x30 but image is 32x32 (width x height, after "
        "EXIF rotation)",
        ids[1]: f"pseudo_label {ids[1]}.png holds [77], outside the 12 classes",
        ids[2]: "no pseudo label",
    }
    assert f"{ids[1]}.png holds" in (tmp_path / "out" / "README.md").read_text()


def test_labels_of_nothing_are_refused_before_any_work(made_elsewhere, tmp_path):
    for folder in (made_elsewhere / "val", tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.rename(folder / f"x{path.name}")
        config = CdspConfig(pseudo_label_dir=str(folder))
        with pytest.raises(ValueError, match="`pseudo_label_dir` must hold labels called by"):
            build(SOURCE, config, output_dir=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="`pseudo_label_dir` must be a folder"):
        build(
            SOURCE, CdspConfig(pseudo_label_dir=str(tmp_path / "no")), output_dir=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_the_last_part_of_a_name_is_enough_where_it_is_clear(tmp_path):
    for name in ("a", "b_mask", "deep/c", "deep/twice", "twice", "x/d"):
        save(tmp_path / "made" / f"{name}.png", np.full((2, 2), 1, np.uint8))
    classes, ids = Classes(("ground", "thing")), ["cat/a", "cat/b", "dog/c", "d", "y/twice"]
    folder = PseudoLabelFolder(str(tmp_path / "made"), classes, [*ids, "cat/e"], None)
    assert folder.source_ids == tuple(ids)
    assert folder.read("cat/b")[0] == "b_mask.png" and folder.read("cat/e") is None
    with pytest.raises(BadImageError, match="several files for its label"):
        folder.read("y/twice")


def test_pseudo_labels_of_another_convention_are_refused_until_it_is_given(tmp_path):
    made = str(tmp_path / "made")
    save(tmp_path / "made" / "a.png", np.array([[0, 1, 2]], np.uint8))
    classes = Classes(("ground", "thing"))
    with pytest.raises(ValueError, match="`pseudo_label_convention` must be given.*one_based"):
        PseudoLabelFolder(made, classes, ["a"], None)
    _, label = PseudoLabelFolder(made, classes, ["a"], "one_based").read("a")
    assert label.tolist() == [[255, 0, 1]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classifier": "a", "pseudo_label_dir": "b"}, "`classifier` must be left out where"),
        ({"pseudo_label_model": "a", "pseudo_label_dir": "b"}, "`pseudo_label_dir` must be left"),
        ({"pseudo_label_convention": "ids"}, "must be left out without `pseudo_label_dir`"),
        ({"pseudo_label_dir": "b", "pseudo_label_convention": "x"}, "must be one of"),
        ({"from_strokes": True, "write_strokes": False}, "`write_strokes` must be True with"),
    ],
)
def test_options_that_contradict_each_other(options, said):
    with pytest.raises(ValueError, match=said):
        CdspConfig(**options)


def test_strokes_of_one_class_or_without_background_are_labelled_and_told(tmp_path):
    """A scribble names every class of its image: what no class is seen in is background."""
    names = ("background", "cat", "dog")
    open_classifier(names[1:]).save_pretrained(tmp_path / "c")
    SegformerImageProcessor(size={"shortest_edge": 32}).save_pretrained(tmp_path / "c")
    random = np.random.default_rng(0)
    for name, strokes in (("thing", [1]), ("ground", [0]), ("both", [0, 2])):
        save(
            tmp_path / "data/images" / f"{name}.png", random.integers(0, 256, (32, 32, 3), np.uint8)
        )
        scribble = np.full((32, 32), 255, np.uint8)
        for number in strokes:
            scribble[2 + 8 * number] = number
        save(tmp_path / "data/scribbles" / f"{name}.png", scribble)
    source = FolderConfig(data_dir=str(tmp_path / "data"), classes=",".join(names))
    progress = build(
        source,
        CdspConfig(classifier=str(tmp_path / "c"), refine="none"),
        output_dir=tmp_path / "out",
    )
    assert progress.remarks == {
        "photographs with strokes of one class alone": 2,
        "photographs without a stroke of the background": 1,
    }
    rows = load_dataset(str(tmp_path / "out"), "cdsp", split="train")
    found = {r["source_id"]: set(np.unique(np.asarray(r["pseudo_label"]))) for r in rows}
    assert found["ground"] == {0} and found["thing"] <= {0, 1, 255} and 1 in found["thing"]
    assert 0 in found["thing"], "the threshold is the background's map, drawn or not"
