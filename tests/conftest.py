"""Offline, one thread, tiny networks in memory."""

import os

# Read when the libraries are imported; a test that needs a Hub starts its own process.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start, too
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import pytest
import torch

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.records import Sample
from scribblegen.tiny.random_weights import random_diffusion

NUM_SCENE_CHANNELS = 13  # 12 classes and "unlabelled"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz_inputs", type=int, default=2000, help="Bad files that tests/test_fuzz.py tries."
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    cache = str(tmp_path_factory.getbasetemp() / "datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)


@pytest.fixture(scope="session")
def diffusion() -> StableDiffusion:
    """A random pipeline that fits the scenes."""
    return random_diffusion(NUM_SCENE_CHANNELS)


@pytest.fixture(scope="session")
def scenes() -> list[Sample]:
    """The first eight scenes, with simulated scribbles."""
    source = open_source(ScenesConfig(ids="0:8", scene_size=64))
    assert source is not None
    samples = [source.read(i) for i in range(8)]
    return [s for s in samples if isinstance(s, Sample)]
