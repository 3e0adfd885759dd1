"""A method in one file goes the whole way: nothing else in the house has to know it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from datasets import ClassLabel, Features, Image, List, Value, load_dataset

from scribblegen.configs import option
from scribblegen.images import encode_image, encode_label
from scribblegen.methods.base import Record, Subset
from scribblegen.methods.table import Entry
from scribblegen.records import image_cell
from scribblegen.runs.manifest import read_manifest
from tests.hub.fixtures import run_python, scribblegen
from tests.hub.server import LoopbackHub

ROOT = Path(__file__).parents[1]
REPO = "me/discs"


@dataclass(frozen=True, kw_only=True)
class DiscsConfig:
    """Discs in the colours of their classes: from words alone, the mask comes for free."""

    side: int = option(32, "Side of the pictures in pixels.")
    delay: float = option(0.0, "Seconds that a picture takes.")


class Discs:
    """One disc for each prompt: in bright colours, and in dark ones with a noisy mask."""

    def __init__(self, config, opening):
        self.config, self.classes = config, opening.sources["train"].classes
        labels = List(ClassLabel(names=list(self.classes.names)))
        columns = {"image": Image(), "label": Image(), "classes": labels}
        features = Features({**columns, "source_id": Value("string"), "prompt": Value("string")})
        self.subsets = [
            Subset(
                name=f"discs-{light}",
                features=features,
                settings={"light": light, "level": level},
                pictures={"image": light, "label": "mask"},
            )
            for light, level in (("bright", 255), ("dark", 90))
        ]

    def identity(self):
        return {"discs": "1"}

    def generate(self, items):
        for place, prompt in items:
            time.sleep(self.config.delay)
            for subset in self.subsets:
                row = partial(self.row, prompt, subset.settings["level"])
                yield Record(place, subset.name, 0, row)

    def row(self, prompt, level):
        if prompt.source_id == "cat-000002" and level < 100:
            return "too dark to see"
        rng = np.random.default_rng(len(prompt.source_id) + level)
        y, x = np.indices((self.config.side, self.config.side)) - self.config.side // 2
        label = np.where(y**2 + x**2 < rng.integers(40, 140), prompt.class_ids[0], 255)
        image = self.classes.colours()[label] // 2 + rng.integers(0, level // 2, (*label.shape, 3))
        return {
            "image": image_cell(encode_image(image.astype(np.uint8), "webp")),
            "label": image_cell(encode_label(label.astype(np.uint8), self.classes)),
            "classes": list(prompt.class_ids),
            "source_id": prompt.source_id,
            "prompt": prompt.text,
        }

    def remarks(self):
        return {}

    def profile(self, seconds, wall):
        return ""


ENTRY = Entry(
    config="tests.test_a_new_method:DiscsConfig",
    open="tests.test_a_new_method:Discs",
    item="scribblegen.prompts:Prompt",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """As if a package with this method were installed: its metadata name the entry point."""
    site = tmp_path_factory.mktemp("site")
    package = site / "discs-0.1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: discs\nVersion: 0.1\n")
    (package / "entry_points.txt").write_text(
        "[scribblegen.methods]\ndiscs = tests.test_a_new_method:ENTRY\n"
    )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}


def command(folder: Path, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "scribblegen", "build", "--method", "discs", "--source", "prompts"),
        *("--classes", "cat,dog,sea", "--num_samples", "8", "--sources_per_shard", "2"),
        *("--license", "cc0-1.0", "--output_dir", str(folder), *flags),
    ]


def digests(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "delay" not in path.name
    }


@pytest.fixture(scope="module")
def dataset(environment, tmp_path_factory) -> Path:
    """Made by two processes."""
    folder = tmp_path_factory.mktemp("discs") / "discs"
    done = subprocess.run(
        command(folder, "--num_processes", "2"), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "discs-bright 8 0" in said and "discs-dark 7 1" in said
    assert "16 images in" in said and "(8 + 8 by 2 processes)" in said
    return folder


def test_the_subsets_load_and_the_rejected_record_is_listed(dataset):
    bright = load_dataset(str(dataset), split="train")
    assert (
        bright["source_id"]
        == load_dataset(str(dataset), "discs-bright", split="train")["source_id"]
    ), "the first subset is the default"
    dark = load_dataset(str(dataset), "discs-dark", split="train")
    (rejected,) = (r for u in read_manifest(dataset)["units"] for r in u["rejections"])
    assert rejected["reason"] == "too dark to see" and rejected["subset"] == "discs-dark"
    assert set(bright["source_id"]) - set(dark["source_id"]) == {rejected["source_id"]}
    for row in bright:
        assert set(np.unique(row["label"])) == {255, *row["classes"]}


def test_the_card_has_its_settings_and_the_gallery_its_pictures(dataset):
    card = (dataset / "README.md").read_text()
    assert "| subset | light | level | rows | rejected | MB |" in card
    assert "| `discs-dark` | dark | 90 | 7 | 1 |" in card
    assert "too dark to see" in card and "| `prompt` | string |" in card
    assert 'load_dataset("discs", "discs-bright")' in card
    from PIL import Image as Picture

    assert Picture.open(dataset / "assets" / "grid.png").width == 4 * 124 + 4


def test_killed_and_resumed_it_is_the_same(dataset, environment, tmp_path):
    folder = tmp_path / "discs"
    # Slow enough to be caught at work; how long a picture took is told nowhere but in the options.
    slow = subprocess.Popen(
        command(folder, "--delay", "0.5", "--num_processes", "2"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    units = folder / "run" / "units"
    while not list(units.glob("*.json")):
        assert slow.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    for process in [psutil.Process(slow.pid), *psutil.Process(slow.pid).children(recursive=True)]:
        process.kill()
    slow.wait()
    assert 0 < len(read_manifest(folder)["units"]) < 4
    again = subprocess.run(command(folder, "--delay", "0.5"), env=environment, check=False)
    assert again.returncode == 0
    made, expected = digests(folder), digests(dataset)
    parquet = [name for name in expected if name.endswith(".parquet")]
    assert len(parquet) == 8 and all(made[name] == expected[name] for name in parquet)
    assert made["assets/grid.png"] == expected["assets/grid.png"]


def test_published_it_trains_a_segmentor_from_the_hub(dataset, tmp_path):
    with LoopbackHub(tmp_path / "blobs") as hub:
        said = scribblegen(hub, tmp_path / "home", "publish", str(dataset), "--repo_id", REPO)
        assert 'load_dataset("me/discs", "discs-dark")' in said
        flags = [
            *("--real", f"{REPO}:discs-bright", "--synthetic", f"{REPO}:discs-dark"),
            *("--scheme", "uniform", "--crop_size", "32", "--max_steps", "2"),
            *("--per_device_train_batch_size", "2", "--eval_split", "train"),
            *("--eval_labels", "scribble", "--report_to", "none"),
            *("--output_dir", str(tmp_path / "segmentor")),
        ]
        trained = run_python(
            hub, tmp_path / "home", "-m", "scribblegen", "train-segmentation", *flags
        )
    assert "eval_mean_iou" in trained.stdout
    assert (tmp_path / "segmentor" / "model.safetensors").is_file()
