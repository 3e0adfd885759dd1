"""A photograph with its labels on the way in, and its row in the default subset."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import ClassLabel, Features, Image, List, Value

from scribblegen.classes import Classes, present_classes
from scribblegen.images import encode_image, encode_label

DEFAULT_SUBSET = "real"  # of photographs, where a dataset has any


@dataclass(frozen=True, eq=False)
class Sample:
    """One source: a photograph and what is known of its classes.

    Args:
        source_id: unique within the source.
        image: (H, W, 3) uint8, RGB, upright.
        scribble: (H, W) uint8 class ids, `IGNORE_INDEX` where nobody drew.
        mask: (H, W) uint8 class ids and `IGNORE_INDEX`, dense, where the source has one.
        prompt: the source's own caption, where it has one.
        image_file: the file that `image` was decoded from, if its pixels can be stored as they
            are (8-bit RGB, upright, no metadata); None where it has to be encoded anew.
        carried: what the row of a twin says of it, by column, where it was read from one.
    """

    source_id: str
    image: np.ndarray
    scribble: np.ndarray
    mask: np.ndarray | None = None
    prompt: str | None = None
    image_file: bytes | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejection:
    """A sample that was left out, and why. `subset` is None where the whole source is out."""

    source_id: str
    reason: str
    subset: str | None = None


def check_sample(sample: Sample, classes: Classes) -> str | None:
    """Why `sample` cannot be used, or None if it can."""
    height, width = sample.image.shape[:2]
    # The mask first: a scribble simulated from it shares its fault.
    labels = [("mask", sample.mask), ("label", sample.scribble)]
    for name, label in labels:
        if label is None:
            continue
        if fault := label_size_fault(name, label, (height, width)):
            return fault
        stray = classes.stray_ids(label)
        if stray:
            return f"{name} holds {stray}, outside the {len(classes)} classes"
    if not present_classes(sample.scribble):
        return "label has no labelled pixel"
    return None


def label_size_fault(name: str, label: np.ndarray, size: tuple[int, int]) -> str | None:
    """Why a label is not as large as its photograph, or None if it is.

    Args:
        name: `mask` or `label`, for the reason.
        label: (H, W).
        size: height and width of the photograph.
    """
    if label.shape == size:
        return None
    return (
        f"{name} is {label.shape[1]}x{label.shape[0]} but image is {size[1]}x{size[0]} "
        "(width x height, after EXIF rotation)"
    )


def real_features(classes: Classes) -> Features:
    """Columns of the `real` subset. `mask` is null where the source has none."""
    return Features(
        {
            "image": Image(),
            "label": Image(),
            "mask": Image(),
            "classes": List(ClassLabel(names=list(classes.names))),
            "source_id": Value("string"),
            "prompt": Value("string"),
        }
    )


def row_id(source_id: str, replicate: int | None) -> str:
    """The id of a row of a subset: several may be of one source.

    Args:
        source_id: as the row has it.
        replicate: the number of a twin among those of its photograph; None where it has none.
    """
    return f"{source_id}-r{replicate}" if replicate else source_id


def image_cell(data: bytes) -> dict[str, Any]:
    """An encoded picture as `datasets.Image` stores it; no path, which could tell of a disk."""
    return {"bytes": data, "path": None}


def real_row(
    sample: Sample, classes: Classes, *, prompt: str | None = None, image_format: str = "webp"
) -> dict[str, Any]:
    """A row of the `real` subset.

    Args:
        sample: a checked sample.
        classes: the classes of its labels.
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
