"""The benchmarks run and check what they compare; their timings are not asserted."""

import pytest
import torch

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.classes import present_classes
from scribblegen.commands.build import build
from scribblegen.images import IMAGE_FORMATS, encode_image
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.segmenting.pseudo_labels import pseudo_label
from scribblegen.trainers.classifier.models import open_classifier
from tests.benchmarks import backbone_speed as backbone_module
from tests.benchmarks.crf_speed import crf_speed
from tests.benchmarks.engine_speed import (
    SCALES,
    Bench,
    grid_cells,
    grid_speed,
    prefix_speed,
    random_cells,
)
from tests.benchmarks.gpu_speed import gpu_benchmarks
from tests.benchmarks.pruning_quality import pruning_quality
from tests.benchmarks.pseudo_label_quality import pseudo_label_quality, table
from tests.benchmarks.pseudo_label_ways import Seen, stages, without_a_classifier
from tests.benchmarks.reading_speed import reading_speed, write_scenes
from tests.benchmarks.scale import balance, redone_after_a_kill
from tests.benchmarks.writing_speed import codecs, crops


def test_ours_and_the_stock_pipeline_make_the_same_images():
    bench = Bench("tiny", 3, steps=10)
    for cells in (grid_cells(1, (0.2, 0.5)), random_cells(3)):
        found = grid_speed(bench, cells, 2)
        assert found["images"] == len(cells)
        assert found["largest_difference_to_per_sample"] < 1e-4
        assert bench.largest_difference("per sample", "batched") < 1e-4


def test_the_prefix_s_difference_is_nothing():
    assert prefix_speed("tiny", 2)["difference"] == 0


def test_what_runs_on_a_gpu_runs_here_too():
    grids = {"G4": (4, (0.5, 1.0))}
    found = gpu_benchmarks(
        "tiny", "cpu", torch.float32, sources=2, rounds=2, compiled=False, grids=grids
    )
    assert found["G6-G7 order"] == {
        "images": 2 * 2 * len(SCALES),
        "images that differ": 0,
        "compiled after warm-up": 0,
    }
    grid = found["G1-G3 G4"]
    # Ratios 0.5 and 1 of 4 steps: the first step once, a pair, for all scales; in each of the 1 + 3
    # that follow a pair for every scale but 1, which needs no null row.
    assert grid["rows"] == 2 * (2 * 2 + (1 + 3) * 7)
    useful = grid["share of the matmul rate"] * found["dense matmul, TFLOP/s"]
    assert useful == pytest.approx(grid["useful TFLOP/s"])
    writer = found["G5 writer"]
    kept = writer["seconds without"]["median"] / writer["seconds with encoding"]["median"]
    assert writer["share lost"] == pytest.approx(1 - kept, abs=1e-3)


def test_balance_and_what_a_kill_costs():
    assert all(found["ours"] <= 1.02 for found in balance().values())
    assert redone_after_a_kill(24)["most units' worth unfinished"] <= 2


def test_every_codec_is_told_with_the_size_that_its_files_have():
    images = crops(None, count=1)
    kilobytes = {name: found["kilobytes"] for name, found in codecs(images).items()}
    assert kilobytes == {
        name: round(len(encode_image(images[0], name)) / 1000, 1) for name in IMAGE_FORMATS
    }
    assert kilobytes["jpeg"] < kilobytes["webp"] < kilobytes["png"]


def test_reading_a_source_is_measured_beside_pillow(tmp_path):
    write_scenes(tmp_path, 3)
    found = reading_speed(tmp_path, 3)
    assert found["photographs"] == found["read"] == 3
    assert set(found["seconds"]) == {"source", "Pillow alone", "checks"}


def test_the_random_field_is_timed():
    found = crf_speed(32, 16, rounds=2)
    assert found["2 labels, times faster than 21"]["median"] > 0


def test_a_network_trains_where_its_memory_is_measured(monkeypatch):
    name = "fpn over efficientnet-lite0"
    monkeypatch.setattr(backbone_module, "NETWORKS", {name: backbone_module.NETWORKS[name]})
    found = backbone_module.backbone_speed(2, 64, rounds=2, steps=1, threads=1)
    assert found[name]["photographs/s"]["median"] > 0 and found[name]["MB"]["median"] >= 0
    assert 3_000_000 < found[name]["parameters"] < 3_100_000, "neither its classifier nor its top"


@pytest.fixture(scope="module")
def labelled_scenes(tmp_path_factory):
    """A subset of four scenes with masks, and a classifier that was taught nothing."""
    from transformers import SegformerImageProcessor

    folder = tmp_path_factory.mktemp("labelled")
    open_classifier(SCENE_CLASSES.names).save_pretrained(folder / "classifier")
    SegformerImageProcessor(size={"shortest_edge": 32}).save_pretrained(folder / "classifier")
    config = CdspConfig(classifier=str(folder / "classifier"), refine="none")
    build(ScenesConfig(ids="0:4", scene_size=32), config, output_dir=folder / "out")
    return str(folder / "classifier"), f"{folder / 'out'}:cdsp"


@pytest.mark.parametrize("background", [None, "sky"])
def test_every_stage_of_a_pseudo_label_is_measured(labelled_scenes, background):
    found = pseudo_label_quality(*labelled_scenes, background=background)
    assert found["photographs"] == 4 and found["background"] == background
    stages = found["stages"]
    assert ("field two_label" in stages) == (background is not None)
    kinds = ["mean IoU, unsaid is wrong", "mean IoU, unsaid left out"]
    for label in found["without a classifier"].values():
        assert label["labelled"] == 100 and label[kinds[0]] == label[kinds[1]] > 30
    for label in stages.values():
        assert label[kinds[0]] <= label[kinds[1]] and label["seconds an image"] > 0
    assert stages["absent classes left out"][kinds[0]] > stages["maps of all classes"][kinds[0]]
    assert list(found["thresholds"]) == ["0.3", "0.45", "0.6"]
    wanted = "field all_labels"
    assert found["thresholds"]["0.45"][wanted] == stages[wanted]
    whole = "field all_labels, no " + ("threshold" if background is None else "band")
    assert stages[whole]["labelled"] == 100
    assert f"| {whole} |" in table(found)


def test_a_field_without_a_background_is_cut_as_the_pseudo_label_cuts_it(scenes):
    random = torch.Generator().manual_seed(0)
    sample = scenes[0]
    maps = torch.rand(len(SCENE_CLASSES), *sample.scribble.shape, generator=random)
    maps[[k for k in range(len(maps)) if k not in present_classes(sample.scribble)]] = 0
    seen = Seen(sample, maps, maps, None)
    expected = pseudo_label(
        maps,
        background=None,
        background_threshold=0.8,
        scribble=sample.scribble,
        image=sample.image,
        refine="all_labels",
    )
    assert 0.05 < (expected == 255).mean() < 0.95
    assert (stages(None, 0.8, 0.1)["field all_labels"](seen) == expected).all()


def test_strokes_alone_label_every_pixel_and_keep_themselves(scenes):
    for way in without_a_classifier().values():
        right = []
        for sample in scenes:
            nothing = torch.zeros(len(SCENE_CLASSES), *sample.scribble.shape)
            label = way(Seen(sample, nothing, nothing, None))
            drawn = sample.scribble != 255
            assert label.dtype == "uint8" and (label[drawn] == sample.scribble[drawn]).all()
            assert set(label.ravel()) == set(present_classes(sample.scribble))
            right.append((label == sample.mask).mean())
        assert sum(right) / len(right) > 0.6


def test_as_many_rows_are_dropped_as_were_planted(tmp_path):
    found = pruning_quality(tmp_path, scenes=10, size=32, folds=2, steps=1)
    assert found["planted"] == found["dropped"] == 2
    assert 0 <= found["auroc of 1 - cv_iou"] <= 1
