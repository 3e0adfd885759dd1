"""An independent segmentor of scenes: it says what a generated picture shows.

It is trained on the exact masks of scenes that the pipeline never saw, and is only asked after it
has proved itself on real scenes.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch

from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.scenes.source import SceneSource
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from scribblegen.trainers.segmentation.small_segmentor import (
    SmallSegmentorForSemanticSegmentation as SmallSegmentor,
)
from tests.benchmarks.judge_training import segment, train_small_segmentor
from tests.benchmarks.studio import SIZE

TRAINED_ON = (200_000, 208_000)
TESTED_ON = (30_000, 30_500)
WANTED = 0.9  # mean class accuracy on real scenes, below which its word is worth nothing
_NUM_LABELS = len(SCENE_CLASSES)


def masked_scenes(start: int, stop: int, processes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 64, 64, 3) and exact masks (N, 64, 64), both uint8."""
    with ProcessPoolExecutor(processes) as pool:
        drawn = list(pool.map(_scene, range(start, stop), chunksize=100))
    images, masks = zip(*drawn, strict=True)
    return np.stack(images), np.stack(masks)


def _scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    sample = SceneSource(number, number + 1, size=SIZE, scribble=_whole_mask).load(0)
    assert sample.mask is not None
    return sample.image, sample.mask


def _whole_mask(mask: np.ndarray, source_id: str) -> np.ndarray:
    return mask


def train_judge(steps: int = 3000, seed: int = 7) -> tuple[SmallSegmentor, dict[str, float]]:
    """The judge, and how well it does on real scenes that it has not seen.

    Raises:
        RuntimeError: it is not good enough to judge.
    """
    images, masks = masked_scenes(*TRAINED_ON)
    share = np.bincount(masks.ravel(), minlength=_NUM_LABELS)[:_NUM_LABELS] / masks.size
    weights = share**-0.5
    judge = train_small_segmentor(
        len(images),
        partial(_pick, images, masks),
        _NUM_LABELS,
        steps=steps,
        class_weights=weights / (weights * share).sum(),
        seed=seed,
        description="train the judge",
    )
    images, masks = masked_scenes(*TESTED_ON)
    found = scores(confusion_matrix(segment(judge, images), masks, _NUM_LABELS))
    quality = {key: found[key] for key in ("overall_accuracy", "mean_accuracy", "mean_iou")}
    if quality["mean_accuracy"] < WANTED:
        raise RuntimeError(f"the judge must reach a class accuracy of {WANTED}. Got {quality}.")
    return judge, quality


def _pick(images: np.ndarray, masks: np.ndarray, i: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images[i], masks[i]


def agreement(judge: SmallSegmentor, images: np.ndarray, scribbles: np.ndarray) -> dict[str, float]:
    """Shares of scribbled pixels on which the judge sees the scribble's class.

    Args:
        images: (N, 64, 64, 3) uint8.
        scribbles: (N, 64, 64) uint8.

    Returns:
        `pixels`, over all scribbled pixels; `classes`, the mean over the classes.
    """
    found = scores(confusion_matrix(segment(judge, images), scribbles, _NUM_LABELS))
    return {"pixels": found["overall_accuracy"], "classes": found["mean_accuracy"]}


@torch.inference_mode()
def judge_features(judge: SmallSegmentor, images: np.ndarray) -> np.ndarray:
    """(N, C) float64 features of (N, 64, 64, 3) uint8 images, for Frechet distances."""
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(64)
    found = [judge.features(batch.float() / 127.5 - 1) for batch in batches]
    return torch.cat(found).double().numpy()


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between the normal distributions fitted to two sets of features (arXiv 1706.08500)."""
    shift = one.mean(axis=0) - other.mean(axis=0)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # The trace of the root of a product of covariances is the sum of its eigenvalues' roots.
    eigenvalues = np.linalg.eigvals(first @ second).real.clip(min=0)
    return float(shift @ shift + np.trace(first + second) - 2 * np.sqrt(eigenvalues).sum())
