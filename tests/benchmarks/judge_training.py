"""The shortest way from arrays to a trained small segmentor: for judges."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from scribblegen.classes import IGNORE_INDEX
from scribblegen.seeds import numpy_generator
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorConfig,
    SmallSegmentorForSemanticSegmentation,
)


def train_small_segmentor(
    num_images: int,
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    num_labels: int,
    *,
    steps: int,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    class_weights: np.ndarray | None = None,
    seed: int = 0,
    description: str | None = None,
) -> SmallSegmentorForSemanticSegmentation:
    """Cross-entropy over the labelled pixels, cosine schedule, random mirroring.

    Args:
        num_images: to draw from, each as often as the others.
        read: of (B,) positions, images (B, H, W, 3) and labels (B, H, W), both uint8; label
            pixels of `IGNORE_INDEX` do not count.
        num_labels: classes.
        steps: how many the optimiser takes, however many images there are.
        class_weights: (num_labels,) of the loss; all alike if None.
        seed: of weights, order and mirroring.
        description: what a progress bar is called; there is none if None.

    Returns:
        The segmentor, in evaluation mode; it takes images in [-1, 1].
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SmallSegmentorForSemanticSegmentation(SmallSegmentorConfig(num_labels=num_labels))
    optimiser = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    weights = None if class_weights is None else torch.from_numpy(class_weights).float()
    generator = numpy_generator(seed, "small segmentor")
    for _ in tqdm(range(steps), desc=description, unit="step", disable=description is None):
        images, labels = read(generator.integers(num_images, size=batch_size))
        mirrored = generator.random(batch_size) < 0.5
        images, labels = (
            np.stack([a[:, ::-1] if m else a for a, m in zip(arrays, mirrored, strict=True)])
            for arrays in (images, labels)
        )
        logits = model(_network_input(images)).logits
        loss = F.cross_entropy(
            logits,
            torch.from_numpy(labels).long(),
            weights,
            ignore_index=IGNORE_INDEX,
            reduction="sum",
        )
        # The sum over few labelled pixels is few: a batch without one is a loss of zero.
        (loss / max(1, int((labels != IGNORE_INDEX).sum()))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    return model.eval()


@torch.inference_mode()
def segment(
    model: SmallSegmentorForSemanticSegmentation, images: np.ndarray, batch_size: int = 64
) -> np.ndarray:
    """(N, H, W, 3) uint8 -> class ids (N, H, W) uint8."""
    found = [
        model(_network_input(images[i : i + batch_size]))
        .logits.argmax(dim=1)
        .to(torch.uint8)
        .numpy()
        for i in range(0, len(images), batch_size)
    ]
    return np.concatenate(found)


def _network_input(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
