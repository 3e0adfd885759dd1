"""Subsets as the trainer reads them."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.data import SubsetName, open_rows
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.views import SchemeSampler, Views

GRID = ScribbleGenConfig(
    guidance_scales=[1.0],
    encode_ratios=[0.5, 1.0],
    num_inference_steps=2,
    replicates=2,
    rows=4,
    pipeline="random",
)
TWINS = ("guidance1-encode0.5", "guidance1-encode1")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository") / "scenes"
    source = ScenesConfig(ids="0:5", test_ids="50:53", scene_size=48)
    build(source, GRID, output_dir=folder)
    return str(folder)


def rows_of(repository, **options):
    return open_rows(repository, [f"{repository}:{name}" for name in TWINS], **options)


def test_rows_are_the_real_ones_and_then_the_twins(repository):
    rows = rows_of(repository)
    assert rows.num_real == 5 and len(rows) == 5 + 2 * 10
    assert [s.order for s in rows.twin_sets] == [0.5, 1.0]
    scribble = rows.read(3)["label"]
    for twin_set in rows.twin_sets:
        assert len(twin_set.rows[3]) == 2
        for row in twin_set.rows[3]:
            read = rows.read(row)
            assert np.array_equal(read["label"], scribble), "a twin keeps its scribble"
            assert read["image"].shape == (48, 48, 3) and len(read) == 2


def test_masks_or_scribbles(repository):
    assert (rows_of(repository).read(0)["label"] == 255).any()
    assert (rows_of(repository, labels="mask").read(0)["label"] != 255).all()
    assert open_rows(repository, [], labels="mask", split="test").num_real == 3


def loader(rows, **options):
    scheme = Scheme(name="curriculum", num_real=5, twin_sets=rows.twin_sets, num_epochs=4)
    sampler = SchemeSampler(scheme)
    views = Views(rows, Augmentation(crop_size=32), seed=0)
    return sampler, DataLoader(views, batch_size=2, sampler=sampler, **options)


def epoch_of(sampler, batches, epoch):
    sampler.set_epoch(epoch)
    return torch.cat([batch["pixel_values"] for batch in batches])


def test_the_schedule_advances_whatever_workers_read(repository):
    rows = rows_of(repository)
    plain = loader(rows)
    working = loader(rows, num_workers=2, persistent_workers=True)
    epochs = [epoch_of(*plain, e) for e in range(4)]
    assert all(torch.equal(epoch_of(*working, e), epochs[e]) for e in range(4))
    assert not torch.equal(epochs[0], epochs[1])


def test_a_view_knows_what_lies_outside(repository):
    rows = rows_of(repository)
    views = Views(rows, Augmentation(crop_size=64, scale=(0.5, 0.5)), seed=0)
    view = next(iter(SchemeSampler(Scheme(name="none", num_real=5))))
    item = views[view]
    assert item["inside"].sum() == 32 * 32
    assert (item["labels"][~item["inside"]] == 255).all()
    assert item["pixel_values"].dtype == torch.uint8


def test_a_view_knows_the_classes_of_the_whole_image(repository):
    rows = rows_of(repository)
    views = Views(rows, Augmentation(crop_size=16, scale=(4.0, 4.0)), seed=0)
    cut_off = 0
    for view in SchemeSampler(Scheme(name="none", num_real=5)):
        item = views[view]
        whole = set(np.unique(rows.read(view.row)["label"]).tolist()) - {255}
        assert set(item["drawn"].nonzero()[:, 0].tolist()) == whole
        cut_off += len(whole - set(item["labels"].unique().tolist()))
    assert cut_off > 0, "a crop of a sixteenth shows not all strokes"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me/voc:guidance2-encode0.5", ("me/voc", "guidance2-encode0.5")),
        ("me/voc", ("me/voc", "real")),
    ],
)
def test_names_of_subsets(text, expected):
    name = SubsetName.parse(text, "real")
    assert (name.repository, name.subset) == expected


def test_what_is_missing_is_named(repository, tmp_path):
    with pytest.raises(ValueError, match="must name subsets as REPO:subset"):
        open_rows(repository, [repository])
    with pytest.raises(ValueError, match="guidance1-encode0.5"):
        open_rows(repository, [f"{repository}:guidance9-encode9"])
    with pytest.raises(ValueError, match="no split validation"):
        open_rows(repository, [], split="validation")
    with pytest.raises(ValueError, match="`labels` must be one of"):
        open_rows(repository, [], labels="boxes")
    with pytest.raises(ValueError, match="needs a `mask` in every row"):
        open_rows(f"{repository}:{TWINS[0]}", [], labels="mask")


def test_classes_that_disagree_are_refused(repository, tmp_path):
    from PIL import Image

    folder = tmp_path / "photographs"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (48, 48)).save(folder / "images/a.png")
    Image.fromarray(np.ones((48, 48), np.uint8)).save(folder / "masks/a.png")
    (folder / "classes.json").write_text('{"0": "cat", "1": "dog"}')
    source = FolderConfig(data_dir=str(folder))
    build(source, GRID, output_dir=tmp_path / "other")
    with pytest.raises(ValueError, match="must have the same classes.*cat.*sky"):
        open_rows(repository, [f"{tmp_path / 'other'}:{TWINS[0]}"])
