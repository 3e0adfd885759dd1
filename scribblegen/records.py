"""What goes in and what comes out: `Sample`, `Rejection`, and the columns of each record kind."""

from dataclasses import dataclass

import numpy as np
from datasets import ClassLabel, Features, Image, List, Value

from scribblegen.classes import Classes, present_classes

REAL = "real"  # the subset of photographs; every other one holds twins


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
    """

    source_id: str
    image: np.ndarray
    scribble: np.ndarray
    mask: np.ndarray | None = None
    prompt: str | None = None
    image_file: bytes | None = None


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
        if label.shape != (height, width):
            return (
                f"{name} is {label.shape[1]}x{label.shape[0]} but image is {width}x{height} "
                "(width x height, after EXIF rotation)"
            )
        stray = classes.stray_ids(label)
        if stray:
            return f"{name} holds {stray}, outside the {len(classes)} classes"
    if not present_classes(sample.scribble):
        return "label has no labelled pixel"
    return None


def subset_features(subset: str, classes: Classes) -> Features:
    """Columns of a subset."""
    return real_features(classes) if subset == REAL else synthetic_features(classes)


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


def synthetic_features(classes: Classes) -> Features:
    """Columns of one grid cell's subset; `label` is the source's scribble, unchanged.

    `agreement` is null where no segmentor judged.
    """
    return Features(
        {
            "image": Image(),
            "label": Image(),
            "classes": List(ClassLabel(names=list(classes.names))),
            "source_id": Value("string"),
            "replicate": Value("int32"),
            "prompt": Value("string"),
            "guidance_scale": Value("float64"),
            "encode_ratio": Value("float64"),
            "num_inference_steps": Value("int32"),
            "seed": Value("int64"),
            "scores": {"source_distance": Value("float32"), "agreement": Value("float32")},
        }
    )
