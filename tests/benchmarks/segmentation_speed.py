"""P14 to P16 and training: mean IoU, what evaluation keeps, the loader, beside the stock ways.

    python -m tests.benchmarks.segmentation_speed

Ours and the stock way take turns in one process with one thread; medians, and the spread as the
quartiles. Writes `results/segmentation_speed.json`. The stock `mean_iou` is a script on the Hub;
its formulas are repeated here, under the real machinery of `evaluate.Metric`.
"""

import contextlib
import io
import json
import shutil
import tempfile
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
from transformers import AutoModelForSemanticSegmentation, SegformerImageProcessor

from scribblegen.builders.config import ScenesConfig
from scribblegen.classes import Classes
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.confusion import confusion_matrix
from scribblegen.trainers.segmentation.data import SegmentationRows
from scribblegen.trainers.segmentation.metrics import MeanIoU
from scribblegen.trainers.segmentation.run import train_segmentation
from scribblegen.trainers.segmentation.views import View, Views
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster

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

    taken = in_turns(
        {
            "evaluate.compute": through_evaluate,
            "its _compute": lambda: stock._compute(predictions, references, NUM_LABELS),
            "ours": through_ours,
        },
        rounds=ROUNDS,
    )
    assert abs(found["stock"] - found["ours"]) <= 1e-12
    return {
        "milliseconds_per_image": {k: spread(v, per=count / 1000) for k, v in taken.items()},
        "times_faster_than_evaluate": times_faster(taken, "evaluate.compute", "ours"),
        "times_faster_than_its_compute": times_faster(taken, "its _compute", "ours"),
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
                np.array(row["image"]),
                segmentation_maps=np.array(row["label"]),
                return_tensors="pt",
            )

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
    taken = in_turns(ways, rounds=ROUNDS)
    return {
        "milliseconds_per_sample": {k: spread(v, per=count / 1000) for k, v in taken.items()},
        "times_faster": {
            name: times_faster(taken, stock_name, name) for name in ways if name != stock_name
        },
    }


def _encoded(array: np.ndarray, format: str) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(array).save(buffer, format, quality=95)
    return buffer.getvalue()


def training() -> dict[str, Any]:
    """Steps of the whole trainer over steps of a bare loop whose batches lie ready in memory."""
    crop, batch, steps = 64, 8, 60
    with tempfile.TemporaryDirectory() as scratch:
        source = ScenesConfig(ids="0:64", test_ids="100:101", scene_size=96)
        method = ScribbleGenConfig(encode_ratios=[0.5, 1.0], num_inference_steps=2)
        build(source, method, output_dir=f"{scratch}/twins")

        def ours() -> float:
            shutil.rmtree(f"{scratch}/model", ignore_errors=True)
            config = SegmentationConfig(
                real=f"{scratch}/twins",
                synthetic=[f"{scratch}/twins:guidance2-encode{r}" for r in ("0.5", "1")],
                scheme="uniform",
                output_dir=f"{scratch}/model",
                eval_split="test",
                crop_size=crop,
                max_steps=steps,
                per_device_train_batch_size=batch,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            with contextlib.redirect_stdout(io.StringIO()):
                train_segmentation(config)
            metrics = json.loads(Path(f"{scratch}/model/train_results.json").read_text("utf-8"))
            return float(metrics["train_runtime"])

        def bare() -> float:
            model = AutoModelForSemanticSegmentation.from_pretrained(f"{scratch}/model").train()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
            pixels = torch.rand(batch, 3, crop, crop)
            labels = torch.randint(0, 12, (batch, crop, crop))
            started = time.perf_counter()
            for _ in range(steps):
                logits = model(pixel_values=pixels).logits
                logits = torch.nn.functional.interpolate(logits, size=(crop, crop), mode="bilinear")
                torch.nn.functional.cross_entropy(logits, labels).backward()
                optimizer.step()
                optimizer.zero_grad()
            return time.perf_counter() - started

        rounds = [(ours(), bare()) for _ in range(3)]
    return {
        "seconds_of_the_trainer": spread([a for a, _ in rounds]),
        "seconds_of_a_bare_loop": spread([b for _, b in rounds]),
        "throughput_to_the_bare_loop": spread([b / a for a, b in rounds]),
    }


def main() -> None:
    """The command."""
    torch.set_num_threads(1)
    result = {
        "environment": environment(),
        "P14 mean IoU": mean_iou(),
        "P15 evaluation memory": evaluation_memory(),
        "P16 loader": loader(),
        "training throughput": training(),
    }
    save("segmentation_speed", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
