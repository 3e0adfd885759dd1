"""P11 to P13: encoding beside the device, writing bytes, and what each codec costs.

    python -m tests.benchmarks.writing_speed [--photographs DIR]

P13 takes 512 x 512 crops of your photographs; of drawn scenes where none are given. Writes
`results/writing_speed.json`.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Features, Image, Value
from datasets.arrow_writer import ArrowWriter
from PIL import Image as PILImage

from scribblegen.images import IMAGE_FORMATS, decode_image, encode_image
from scribblegen.runs.patient_executor import PatientExecutor
from scribblegen.runs.shards import write_shard
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster

SIDE = 512
SUFFIXES = (".jpg", ".jpeg", ".png")
ROUNDS = 5
DEVICE_SECONDS = 0.063  # of an image on an imagined GPU


def crops(folder: Path | None, count: int = 8) -> list[np.ndarray]:
    """(512, 512, 3) uint8, from the middle of photographs, which are enlarged where needed."""
    found = []
    if folder is None:
        from scribblegen.builders.config import ScenesConfig
        from scribblegen.builders.sources import open_source

        source = open_source(ScenesConfig(ids=f"0:{count}", scene_size=96))
        assert source is not None
        images = [source.read(i).image for i in range(count)]  # type: ignore[union-attr]
    else:
        files = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png")
        )
        step = max(1, len(files) // count)
        images = [decode_image(path.read_bytes())[0] for path in files[::step][:count]]
    for image in images:
        picture = PILImage.fromarray(image)
        scale = SIDE / min(picture.size)
        picture = picture.resize([round(s * scale) + 1 for s in picture.size])
        left, top = ((s - SIDE) // 2 for s in picture.size)
        found.append(np.asarray(picture.crop((left, top, left + SIDE, top + SIDE))))
    return found


def background_encoding(images: list[np.ndarray]) -> dict[str, Any]:
    """P11: pictures of a device that takes 63 ms each, encoded in turn with it, and beside it."""

    def encode(image: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        PILImage.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue()

    idle: list[float] = []

    def inline() -> None:
        for image in images:
            time.sleep(DEVICE_SECONDS)
            encode(image)

    def beside() -> None:
        started, busy = time.perf_counter(), 0.0
        with PatientExecutor(2, 64) as executor:
            for image in images:
                before = time.perf_counter()
                time.sleep(DEVICE_SECONDS)
                busy += time.perf_counter() - before
                executor.submit(encode, image)
            idle.append(1 - busy / (time.perf_counter() - started))

    ways: dict[str, Callable[[], None]] = {"inline": inline, "beside": beside}
    taken = in_turns(ways, rounds=ROUNDS, clock=time.perf_counter)
    return {
        "images_per_second": {
            way: spread([len(images) / s for s in seconds]) for way, seconds in taken.items()
        },
        "times_faster": times_faster(taken, "inline", "beside"),
        "device_idle": spread(idle),
    }


def writing(images: list[np.ndarray]) -> dict[str, Any]:
    """P12: rows whose pictures are bytes already, and rows of PIL pictures through `datasets`."""
    features = Features({"image": Image(), "source_id": Value("string")})
    encoded = [encode_image(image, "webp") for image in images] * 8  # of a shard of usual size
    with tempfile.TemporaryDirectory() as scratch:

        def of_pictures() -> None:
            path = str(Path(scratch) / "pictures.arrow")
            with ArrowWriter(features=features, path=path) as writer:
                for number, image in enumerate(images):
                    writer.write({"image": PILImage.fromarray(image), "source_id": str(number)})
                writer.finalize()

        def of_bytes() -> None:
            rows = [
                {"image": {"bytes": data, "path": None}, "source_id": str(number)}
                for number, data in enumerate(encoded)
            ]
            write_shard(Path(scratch) / "bytes.parquet", rows, features)

        of_all = in_turns(
            {"datasets, PIL pictures": of_pictures, "ours, bytes": of_bytes}, rounds=ROUNDS
        )
    counts = {"datasets, PIL pictures": len(images), "ours, bytes": len(encoded)}
    taken = {way: [s / counts[way] for s in seconds] for way, seconds in of_all.items()}
    megabytes = sum(map(len, encoded)) / len(encoded) / 1e6
    return {
        "milliseconds_per_image": {way: spread(s, per=1 / 1000) for way, s in taken.items()},
        "times_faster": times_faster(taken, "datasets, PIL pictures", "ours, bytes"),
        "megabytes_per_second": spread([megabytes / s for s in taken["ours, bytes"]]),
    }


def codecs(images: list[np.ndarray]) -> dict[str, Any]:
    """P13: milliseconds and kilobytes of an image, for each format that a run can store."""
    sizes: dict[str, float] = {}

    def encode_all(name: str) -> None:
        sizes[name] = sum(len(encode_image(image, name)) for image in images) / len(images)

    taken = in_turns(
        {name: (lambda name=name: encode_all(name)) for name in IMAGE_FORMATS}, rounds=ROUNDS
    )
    return {
        name: {
            "milliseconds": spread(taken[name], per=len(images) / 1000),
            "kilobytes": round(sizes[name] / 1000, 1),
        }
        for name in IMAGE_FORMATS
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, help="Folder of photographs.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = crops(options.photographs)
    result = {
        "environment": environment(),
        "crops": "photographs" if options.photographs else "scenes",
        "P11 encoding beside the device": background_encoding(images * 3),
        "P12 writer": writing(images),
        "P13 codecs": codecs(images),
    }
    save("writing_speed", result)
    print(result)


if __name__ == "__main__":
    main()
