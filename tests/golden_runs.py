"""Three small runs whose files are kept, so that no change to the house changes a pixel unseen.

    python -m tests.golden_runs        makes the kept files anew, where a change is meant

Rounding differs between machines and library versions, so the files are kept with what made them.
"""

import json
import platform
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.classes import Classes
from scribblegen.commands.build import build
from scribblegen.images import encode_label
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig

GOLDEN = Path(__file__).parent / "golden"
MADE_ON = GOLDEN / "made_on.json"
_LIBRARIES = ("torch", "diffusers", "transformers", "datasets", "numpy", "pillow", "pyarrow")


def scenes(folder: Path) -> None:
    """The pipeline that ships, guided and not, one process."""
    build(
        ScenesConfig(ids="0:4", validation_ids="100:102", scene_size=48),
        ScribbleGenConfig(
            guidance_scales=[1, 2], encode_ratios=[0.4, 1.0], num_inference_steps=5, rows=8
        ),
        OutputConfig(sources_per_shard=2),
        output_dir=folder,
    )


def photographs(folder: Path) -> None:
    """A folder with masks; one photograph cannot be read, one has a class that does not exist."""
    with tempfile.TemporaryDirectory() as made:
        _write_photographs(Path(made))
        build(
            FolderConfig(data_dir=made, scribble_error_rate=0.02),
            ScribbleGenConfig(
                guidance_scales=[2],
                encode_ratios=[0.5],
                num_inference_steps=4,
                rows=4,
                pipeline="random",
            ),
            OutputConfig(image_format="png"),
            output_dir=folder,
        )


def replicates(folder: Path) -> None:
    """Replicates, words behind the prompt, and steps that reuse deep features."""
    build(
        ScenesConfig(ids="4:6", scene_size=64),
        ScribbleGenConfig(
            guidance_scales=[1, 3],
            encode_ratios=[0.6],
            num_inference_steps=6,
            rows=6,
            replicates=2,
            prompt_suffixes=["under a dusk sky", "under a day sky"],
            deep_cache_interval=2,
            control_guidance_end=0.7,
        ),
        OutputConfig(),
        output_dir=folder,
    )


RUNS: dict[str, Callable[[Path], None]] = {
    "scenes": scenes,
    "photographs": photographs,
    "replicates": replicates,
}


def environment() -> dict[str, str]:
    """What decides the last bits of a run's files."""
    import torch

    processor = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text().splitlines()
        names = ("model name", "cpu family", "model\t", "cache size")
        processor = "; ".join(
            dict.fromkeys(" ".join(line.split()) for line in lines if line.startswith(names))
        )
    return {
        "processor": processor,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **{library: version(library) for library in _LIBRARIES},
    }


def _write_photographs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    classes = Classes(("sky", "wall", "door"))
    for name in ("images", "masks"):
        (folder / name).mkdir()
    (folder / "classes.json").write_text(json.dumps(list(classes.names)))
    for number in range(4):
        height, width = 40 + 8 * number, 56
        mask = np.zeros((height, width), np.uint8)
        mask[height // 3 :] = 1
        mask[height // 2 :, 20:34] = 3 if number == 2 else 2
        noise = rng.integers(0, 40, (height, width, 3))
        image = np.array([(90, 140, 210), (170, 120, 90), (60, 40, 30), (0, 0, 0)])[mask] + noise
        Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        (folder / "masks" / f"{number}.png").write_bytes(encode_label(mask, classes))
    (folder / "images" / "broken.jpg").write_bytes(b"no photograph")
    shutil.copy(folder / "masks" / "0.png", folder / "masks" / "broken.png")


def main() -> None:
    for name, make in RUNS.items():
        with tempfile.TemporaryDirectory() as made:
            run = Path(made) / "run"
            make(run)
            shutil.rmtree(GOLDEN / name, ignore_errors=True)
            for file in run.rglob("*.parquet"):
                kept = GOLDEN / name / file.relative_to(run)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, kept)
    MADE_ON.write_text(json.dumps(environment(), indent=1) + "\n")


if __name__ == "__main__":
    main()
