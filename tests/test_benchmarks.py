"""The benchmarks run and check what they compare; their timings are not asserted."""

import torch

from tests.benchmarks.engine_speed import Bench, grid_cells, grid_speed, prefix_speed, random_cells
from tests.benchmarks.gpu_speed import gpu_benchmarks
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
    assert found["G6-G7 order"]["images that differ"] == 0
    assert 0 < found["G1-G3 G4"]["share of the matmul rate"] < 1
    assert found["G5 writer"]["share lost"] < 1


def test_balance_and_what_a_kill_costs():
    assert all(found["ours"] <= 1.02 for found in balance().values())
    assert redone_after_a_kill()["most units' worth unfinished"] <= 2


def test_every_codec_is_told():
    assert all(found["kilobytes"] > 0 for found in codecs(crops(None, count=1)).values())
