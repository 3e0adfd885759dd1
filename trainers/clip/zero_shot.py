"""Whether class names find their objects, and their places, in photographs of no training."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from scribblegen.classes import IGNORE_INDEX, present_classes
from scribblegen.images import image_to_tensor, resize_image, resize_label
from scribblegen.prompts import class_prompt
from scribblegen.records import Sample
from scribblegen.sources import Source
from scribblegen.trainers.clip.model import image_and_patch_features, text_features
from scribblegen.trainers.small_pipeline.grounding import labels_of_cells
from scribblegen.trainers.small_pipeline.tokenizer import tokens_of

_LEAST_SIDE = 6  # pixels of an object's box
_LEAST_SHARE = 0.5  # of a box's labelled pixels that are of its class
_AT_ONCE = 64


@torch.no_grad()
def zero_shot_figures(
    clip: CLIPModel, tokenizer: CLIPTokenizer, source: Source, prompt_stem: str
) -> dict[str, float]:
    """How often the name of the right class is the most similar of all.

    Args:
        clip: in its evaluation mode, on its device.
        tokenizer: of its texts.
        source: photographs with labels; those that cannot be used are left out.
        prompt_stem: first words of the texts, before "of" and the name.

    Returns:
        `zero_shot_accuracy`, of the boxes of classes that are most of their box: the mean over
        classes; `zero_shot_boxes`, how many; `patch_accuracy`, of the patches of whole photographs:
        the mean over classes. A figure of nothing is left out.
    """
    names = source.classes.names
    side, patch = clip.config.vision_config.image_size, clip.config.vision_config.patch_size
    texts = [class_prompt([name], prompt_stem) for name in names]
    named = text_features(clip, tokens_of(tokenizer, texts).to(clip.device))  # (K, D)
    boxes, cells = (_Counts(len(names)) for _ in range(2))
    for samples in _batches(source):
        whole = _shown([sample.image for sample in samples], side).to(clip.device)
        _, patches = image_and_patch_features(clip, whole)
        grid = (side // patch, side // patch)
        labels = [
            labels_of_cells(resize_label(_label(s), side, side), grid, len(names)) for s in samples
        ]
        cells.add(
            F.normalize(patches, dim=-1) @ named.T, np.stack(labels).reshape(len(samples), -1)
        )
        objects = [found for sample in samples for found in objects_in(sample)]
        if objects:
            crops = _shown([crop for crop, _ in objects], side).to(clip.device)
            image, _ = image_and_patch_features(clip, crops)
            boxes.add(image @ named.T, np.array([class_id for _, class_id in objects], np.uint8))
    shares = {"zero_shot_accuracy": boxes.accuracy(), "patch_accuracy": cells.accuracy()}
    figures = {key: round(share, 4) for key, share in shares.items() if math.isfinite(share)}
    return figures | {"zero_shot_boxes": int(boxes.total.sum())}


def objects_in(sample: Sample) -> Iterator[tuple[np.ndarray, int]]:
    """(h, w, 3) uint8 and class id, for every class that is most of the box around it."""
    label = _label(sample)
    for class_id in present_classes(label):
        found = label == class_id
        rows, columns = (np.flatnonzero(found.any(axis=axis)) for axis in (1, 0))
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        share = found[part].sum() / (label[part] != IGNORE_INDEX).sum()
        if min(found[part].shape) >= _LEAST_SIDE and share >= _LEAST_SHARE:
            yield sample.image[part], class_id


class _Counts:
    """Right answers, and all, of each class."""

    def __init__(self, num_classes: int) -> None:
        self.right, self.total = np.zeros(num_classes), np.zeros(num_classes)

    def add(self, similarities: Tensor, labels: np.ndarray) -> None:
        """(..., K) and (...) uint8; what is `IGNORE_INDEX` does not count."""
        answers = similarities.argmax(dim=-1).cpu().numpy()
        known = labels != IGNORE_INDEX
        np.add.at(self.total, labels[known], 1)
        np.add.at(self.right, labels[known & (answers == labels)], 1)

    def accuracy(self) -> float:
        """The mean over classes that occur; NaN without any."""
        occurs = self.total > 0
        return float((self.right[occurs] / self.total[occurs]).mean()) if occurs.any() else np.nan


def _label(sample: Sample) -> np.ndarray:
    return sample.scribble if sample.mask is None else sample.mask


def _batches(source: Source) -> Iterator[list[Sample]]:
    for start in range(0, len(source), _AT_ONCE):
        read = [source.read(i) for i in range(start, min(start + _AT_ONCE, len(source)))]
        if samples := [item for item in read if isinstance(item, Sample)]:
            yield samples


def _shown(images: Sequence[np.ndarray], side: int) -> Tensor:
    squares = [resize_image(np.ascontiguousarray(image), side, side) for image in images]
    return torch.stack([image_to_tensor(square) for square in squares])
