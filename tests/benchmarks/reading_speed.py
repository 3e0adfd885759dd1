"""Reading a source: what it takes to know that a file is whole, holds ids, and tells nothing else.

    python -m tests.benchmarks.reading_speed --data_dir PHOTOGRAPHS

`PHOTOGRAPHS` is a folder for `--source folder` with masks; drawn scenes are written where none is
given. In turns: the source; Pillow alone, which decodes the same files and asks nothing; and the
checks of the files alone. Writes `results/reading_speed.json`.
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.images import encode_image, encode_label
from scribblegen.label_files import altered_values, png_damage
from scribblegen.photograph_files import is_bare
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster

ROUNDS = 7


def write_scenes(folder: Path, count: int) -> None:
    """Scenes as JPEG, with masks."""
    source: Any = open_source(ScenesConfig(ids=f"0:{count}", scene_size=256))
    for name in ("images", "masks"):
        (folder / name).mkdir()
    (folder / "classes.txt").write_text("\n".join(source.classes.names))
    for index in range(count):
        sample = source.load(index)
        (folder / "images" / f"{index}.jpg").write_bytes(encode_image(sample.image, "jpeg"))
        mask = encode_label(sample.mask, source.classes)
        (folder / "masks" / f"{index}.png").write_bytes(mask)


def reading_speed(folder: Path, count: int) -> dict[str, Any]:
    """Seconds of reading `count` photographs with their masks, and of what that is made of."""
    config = FolderConfig(data_dir=str(folder), scribbles="mask", max_samples=count)
    source: Any = open_source(config)
    files = [
        (source.photographs[source_id].read_bytes(), source.label_files(index)["mask"])
        for index, source_id in enumerate(source.source_ids)
    ]

    def read() -> int:
        return sum(hasattr(source.read(i), "image") for i in range(len(source)))

    def decode() -> None:
        for photograph, label in files:
            np.asarray(Image.open(io.BytesIO(photograph)).convert("RGB"))
            np.asarray(Image.open(io.BytesIO(label)))

    opened = [(Image.open(io.BytesIO(p)), Image.open(io.BytesIO(m))) for p, m in files]

    def check() -> None:
        for (photograph, label), (picture, mask) in zip(files, opened, strict=True):
            is_bare(photograph, picture.format)
            png_damage(label)
            altered_values(mask, label)

    ways: dict[str, Callable[[], Any]] = {"source": read, "Pillow alone": decode, "checks": check}
    assert read() > 0
    taken = in_turns(ways, rounds=ROUNDS)
    return {
        "photographs": len(files),
        "read": read(),
        "seconds": {name: spread(seconds) for name, seconds in taken.items()},
        "source, as many times Pillow alone": times_faster(taken, "source", "Pillow alone"),
        "source, as many times its checks": times_faster(taken, "source", "checks"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", type=Path)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.data_dir or Path(made)
        if arguments.data_dir is None:
            write_scenes(folder, arguments.count)
        found = reading_speed(folder, arguments.count)
    save("reading_speed", {"environment": environment(), **found})
    print(found)


if __name__ == "__main__":
    main()
