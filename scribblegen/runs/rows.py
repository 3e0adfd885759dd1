"""Samples and twins -> rows: what a Parquet file holds for each."""

from typing import Any

import numpy as np

from scribblegen.classes import Classes, present_classes
from scribblegen.images import encode_image, encode_label
from scribblegen.records import Sample


def image_cell(data: bytes) -> dict[str, Any]:
    """An encoded picture as `datasets.Image` stores it; no path, which could tell of a disk."""
    return {"bytes": data, "path": None}


def real_row(
    sample: Sample, classes: Classes, *, prompt: str | None = None, image_format: str = "webp"
) -> dict[str, Any]:
    """A row of the `real` subset.

    Args:
        sample: a checked sample.
        classes: of its labels.
        prompt: that its twins are generated with; the sample's own where None.
        image_format: for a photograph whose file cannot be stored as it is. Its pixels must stay
            as they are, so `jpeg` stands for `png` here.
    """
    image_file = sample.image_file
    if image_file is None:
        lossless = "png" if image_format == "jpeg" else image_format
        image_file = encode_image(sample.image, lossless)
    mask = None if sample.mask is None else image_cell(encode_label(sample.mask, classes))
    return {
        "image": image_cell(image_file),
        "label": image_cell(encode_label(sample.scribble, classes)),
        "mask": mask,
        "classes": present_classes(sample.scribble),
        "source_id": sample.source_id,
        "prompt": sample.prompt if prompt is None else prompt,
    }


def source_distance(image: np.ndarray, source: np.ndarray) -> float:
    """Mean absolute difference of two (H, W, 3) uint8 images, in [0, 1]."""
    return float(np.abs(image.astype(np.int16) - source).mean() / 255)
