"""P14, P15, P16: mean IoU, what evaluation keeps, and the loader, beside the stock ways.

    python -m tests.benchmarks.segmentation_speed

Ours and the stock way take turns in one process with one thread; medians, and the spread as the
quartiles. Writes `results/segmentation_speed.json`. The stock `mean_iou` is a script on the Hub;
its formulas are repeated here, under the real machinery of `evaluate.Metric`.
"""

import io
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import evaluate
import numpy as np
import torch
from datasets import Dataset, Features, Image
from PIL import Image as PILImage
from transformers import SegformerImageProcessor

from scribblegen.classes import Classes
from scribblegen.trainers.augmentation import Augmentation
from scribblegen.trainers.confusion import confusion_matrix
from scribblegen.trainers.metrics import MeanIoU
from scribblegen.trainers.segmentation_data import SegmentationRows, View, Views

RESULTS = Path(__file__).parent / "results"
SIZE, NUM_LABELS = 512, 21
ROUNDS = 7


class StockMeanIoU(evaluate.Metric):
    """The stock metric: three histograms for every image, over float64 edges."""

    def _info(self) -> evaluate.MetricInfo:
        maps = datasets.Sequence(datasets.Sequence(datasets.Value("uint16")))
        features = Features({"predictions": maps, "references": maps})
        return evaluate.MetricInfo(
            description="stock", citation="", inputs_description="maps", features=features
        )

    def _compute(self, predictions: Any, references: Any, num_labels: int) -> dict[str, Any]:
        """Mean IoU."""
        intersections = np.zeros(num_labels, np.float64)
        unions = np.zeros(num_labels, np.float64)
        for prediction, reference in zip(predictions, references, strict=True):
            prediction, reference = np.array(prediction), np.array(reference)
            kept = reference != 255
            prediction, reference = prediction[kept], reference[kept]
            bins = {"bins": num_labels, "range": (0, num_labels - 1)}
            both = np.histogram(prediction[prediction == reference], **bins)[0]
            found, wanted = (np.histogram(v, **bins)[0] for v in (prediction, reference))
            intersections += both
            unions += found + wanted - both
        with np.errstate(invalid="ignore"):
            return {"mean_iou": float(np.nanmean(intersections / unions))}


def maps(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and references of blocks, (N, 512, 512) uint8; a tenth of a map is ignored."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, NUM_LABELS, (count, SIZE // 32, SIZE // 32)).astype(np.uint8)
    references = blocks.repeat(32, axis=1).repeat(32, axis=2)
    predictions = np.roll(references, 5, axis=2).copy()
    references = references.copy()
    references[:, : SIZE // 10] = 255
    return predictions, references


def interleaved(ways: dict[str, Callable[[], Any]]) -> dict[str, dict[str, float]]:
    """Seconds of each way: median and quartiles of rounds in which they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn:  # the first warms up
                taken[name].append(time.perf_counter() - started)
    return {
        name: dict(zip(("low", "median", "high"), np.percentile(t, (25, 50, 75)), strict=True))
        for name, t in taken.items()
    }


def mean_iou() -> dict[str, Any]:
    """P14."""
    count = 8
    predictions, references = maps(count)
    stock, ours = StockMeanIoU(), MeanIoU(num_labels=NUM_LABELS)
    found: dict[str, float] = {}

    def through_evaluate() -> None:
        result = stock.compute(
            predictions=predictions, references=references, num_labels=NUM_LABELS
        )
        found["stock"] = result["mean_iou"]

    def through_ours() -> None:
        ours.add_batch(predictions=predictions, references=references)
        found["ours"] = ours.compute()["mean_iou"]

    taken = interleaved(
        {
            "evaluate.compute": through_evaluate,
            "its _compute": lambda: stock._compute(predictions, references, NUM_LABELS),
            "ours": through_ours,
        }
    )
    assert abs(found["stock"] - found["ours"]) <= 1e-12
    return {
        "milliseconds_per_image": _per(taken, count),
        "times_faster_than_evaluate": _ratio(taken, "evaluate.compute", "ours"),
        "times_faster_than_its_compute": _ratio(taken, "its _compute", "ours"),
        "difference": abs(found["stock"] - found["ours"]),
    }


def evaluation_memory(num_labels: int = 150) -> dict[str, Any]:
    """P15: what the Trainer keeps of one image, and what ours does."""
    stock = num_labels * (SIZE // 4) ** 2 * 4  # SegFormer's logits
    label = np.zeros((SIZE, SIZE), np.uint8)
    ours = confusion_matrix(label, label, num_labels).astype(np.int32).nbytes
    return {"stock_bytes": stock, "our_bytes": ours, "ratio": stock / ours}


def loader() -> dict[str, Any]:
    """P16: a sample from a file in memory to the network's input."""
    count = 12
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        waves = np.add.outer(np.arange(SIZE), np.arange(SIZE)) / (8 + number)
        picture = 127 + 90 * np.sin(waves)[..., None] + rng.normal(0, 12, (SIZE, SIZE, 3))
        records.append(
            {
                "image": {"bytes": _encoded(picture.clip(0, 255).astype(np.uint8), "JPEG")},
                "label": {"bytes": _encoded(maps(1)[1][0], "PNG")},
                "source_id": str(number),
            }
        )
    features = Features({"image": Image(), "label": Image(), "source_id": datasets.Value("string")})
    table = Dataset.from_list(records, features=features)
    encoded = table.cast_column("image", Image(decode=False))
    encoded = encoded.cast_column("label", Image(decode=False))
    rows = SegmentationRows(
        Classes(tuple(f"class {i}" for i in range(NUM_LABELS))), (encoded,), ("label",), ()
    )
    processor = SegformerImageProcessor(size={"height": SIZE, "width": SIZE})
    plain, augmented = (
        Augmentation(crop_size=SIZE, scale=(1, 1), flip=0),
        Augmentation(crop_size=SIZE),
    )
    stock_name = "datasets + SegformerImageProcessor"
    ways: dict[str, Callable[[], None]] = {}

    def stock() -> None:
        for number in range(count):
            row = table[number]
            processor(
                np.array(row["image"]), segmentation_maps=np.array(row["label"]),
                return_tensors="pt",
            )  # fmt: skip

    def read(views: Views) -> None:
        for number in range(count):
            views[View(number, 0, number)]

    ways[stock_name] = stock
    for name, augmentation, size in (
        ("ours, the same work", plain, 0),
        ("ours, the same work, decoded before", plain, 1 << 30),
        ("ours, augmented", augmented, 0),
        ("ours, augmented, decoded before", augmented, 1 << 30),
    ):
        ways[name] = partial(read, Views(rows, augmentation, seed=0, cache_bytes=size))
    taken = interleaved(ways)
    return {
        "milliseconds_per_sample": _per(taken, count),
        "times_faster": {n: _ratio(taken, stock_name, n) for n in ways if n != stock_name},
    }


def _encoded(array: np.ndarray, format: str) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(array).save(buffer, format, quality=95)
    return buffer.getvalue()


def _per(taken: dict[str, dict[str, float]], count: int) -> dict[str, dict[str, float]]:
    return {
        name: {k: round(1000 * v / count, 3) for k, v in t.items()} for name, t in taken.items()
    }


def _ratio(taken: dict[str, dict[str, float]], stock: str, ours: str) -> float:
    return round(taken[stock]["median"] / taken[ours]["median"], 2)


def main() -> None:
    """The command."""
    torch.set_num_threads(1)
    result = {
        "environment": {
            "processor": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "datasets": datasets.__version__,
            "evaluate": evaluate.__version__,
            "threads": 1,
        },
        "P14 mean IoU": mean_iou(),
        "P15 evaluation memory": evaluation_memory(),
        "P16 loader": loader(),
    }
    (RESULTS / "segmentation_speed.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
