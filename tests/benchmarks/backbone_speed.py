"""Training photographs per second and memory: our segmentors beside SegFormer's smallest.

    python -m tests.benchmarks.backbone_speed

Batches of eight at 256 pixels, forward, backward and AdamW, on random pixels: what the networks
cost, not the loader. Each network trains in a process of its own, whose memory is measured, and
they take turns. Writes `results/backbone_speed.json`.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel, SegformerConfig, SegformerForSemanticSegmentation

from scribblegen.trainers.segmentation.backbone_training import freeze_batch_statistics
from scribblegen.trainers.segmentation.efficientnet_lite import EfficientNetLiteConfig
from scribblegen.trainers.segmentation.fpn import FPNConfig, FPNForSemanticSegmentation
from scribblegen.trainers.segmentation.losses import at_size_of, partial_cross_entropy
from scribblegen.trainers.segmentation.models import open_model
from tests.benchmarks.timing import environment, save, spread

NAMES = tuple(f"class {i}" for i in range(21))
BATCH, SIDE, ROUNDS, STEPS = 8, 256, 5, 4


def _fpn() -> PreTrainedModel:
    model = FPNForSemanticSegmentation(
        FPNConfig(EfficientNetLiteConfig(), id2label=dict(enumerate(NAMES)))
    )
    freeze_batch_statistics(model)
    return model


NETWORKS: dict[str, Callable[[], PreTrainedModel]] = {
    "small": lambda: open_model(NAMES),
    "fpn over efficientnet-lite0": _fpn,
    "segformer-b0": lambda: SegformerForSemanticSegmentation(
        SegformerConfig(num_labels=len(NAMES))
    ),
}


def train(name: str, batch: int, side: int, steps: int, threads: int) -> tuple[float, float]:
    """(seconds of a step, megabytes that training took at most), after a step that warms up."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = NETWORKS[name]().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    pixels = torch.rand(batch, 3, side, side)
    labels = torch.randint(0, len(NAMES), (batch, side, side))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = 0.0
    for step in range(steps + 1):
        if step == 1:
            started = time.perf_counter()
        logits = at_size_of(labels, model(pixel_values=pixels).logits)
        partial_cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    seconds = (time.perf_counter() - started) / steps
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def backbone_speed(
    batch: int = BATCH,
    side: int = SIDE,
    *,
    rounds: int = ROUNDS,
    steps: int = STEPS,
    threads: int = 2,
) -> dict[str, Any]:
    """Photographs per second and memory of every network."""
    seconds: dict[str, list[float]] = {name: [] for name in NETWORKS}
    megabytes: dict[str, list[float]] = {name: [] for name in NETWORKS}
    context = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for name in NETWORKS:
            with context.Pool(1) as pool:
                taken, held = pool.apply(train, (name, batch, side, steps, threads))
            seconds[name].append(taken)
            megabytes[name].append(held)
    return {
        name: {
            "photographs/s": spread([batch / s for s in seconds[name]]),
            "MB": spread(megabytes[name]),
            "parameters": sum(p.numel() for p in NETWORKS[name]().parameters()),
        }
        for name in NETWORKS
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = backbone_speed()
    save("backbone_speed", {"environment": environment(), "networks": found})
    print(found)


if __name__ == "__main__":
    main()
