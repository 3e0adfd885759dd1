"""The rows that ScribbleGen makes of one photograph: itself, and its twins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Features, Image, List, Value

from scribblegen.classes import Classes, present_classes
from scribblegen.engine.jobs import Finished
from scribblegen.images import (
    encode_image,
    encode_label,
    resize_image,
    resize_label,
    tensor_to_image,
)
from scribblegen.methods.base import Place, Record, Shared, Subset
from scribblegen.methods.scribblegen_config import Cell
from scribblegen.records import DEFAULT_SUBSET, Sample, image_cell, real_features, real_row

# How much of a label (H, W) a segmentor finds in a picture (H, W, 3), both uint8: 0 to 1.
Agreement = Callable[[np.ndarray, np.ndarray], float]

TWIN_SPLIT = "train"  # the other splits of the photographs are for evaluation and get no twins


def subsets(
    cells: Sequence[Cell], classes: Classes, splits: Sequence[str], replicates: int
) -> list[Subset]:
    """The photographs, and a subset of twins for every cell of the grid.

    Args:
        cells: the cells of the grid.
        classes: the classes of the scribbles.
        splits: that the source has.
        replicates: twins of a photograph in each cell.
    """
    photographs = Subset(
        name=DEFAULT_SUBSET,
        features=real_features(classes),
        splits=splits,
        generated=False,
        pictures={"image": "photograph", "label": "scribble"},
    )
    twins = [
        Subset(
            name=cell.subset,
            features=twin_features(classes),
            settings={
                "guidance_scale": cell.guidance_scale,
                "encode_ratio": cell.encode_ratio,
                "num_inference_steps": cell.timesteps.num_steps,
            },
            splits=(TWIN_SPLIT,),
            records_per_item=replicates,
            pictures={"image": f"encode {cell.encode_ratio:g}\nguidance {cell.guidance_scale:g}"},
        )
        for cell in cells
    ]
    return [photographs, *twins]


def twin_features(classes: Classes) -> Features:
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


@dataclass(frozen=True, eq=False)
class _Picture:
    """A twin as it is stored, and its scores."""

    data: bytes
    scores: dict[str, float | None]


class PhotographRecords:
    """The records of one photograph.

    What several of them share (the scribble at its size, its file) is made once, in whichever
    encoding thread comes first.

    Args:
        place: the place of the photograph.
        sample: the photograph with its scribble.
        classes: the classes of the scribble.
        size: (height, width) of its twins as they are stored.
        prompt: that they are generated with, but for the words that vary by replicate.
        image_format: the format of the twins' files.
        agreement: measures the twins, if given; called in the encoding threads.
    """

    def __init__(
        self,
        place: Place,
        sample: Sample,
        classes: Classes,
        *,
        size: tuple[int, int],
        prompt: str,
        image_format: str,
        agreement: Agreement | None = None,
    ) -> None:
        self.place, self.sample, self.classes, self.size = place, sample, classes, size
        self.prompt, self.image_format, self.agreement = prompt, image_format, agreement
        self._scribble = Shared(lambda: resize_label(sample.scribble, *size))
        self._label = Shared(lambda: encode_label(self._scribble(), classes))

    def photograph(self) -> Record:
        """The record of the photograph itself."""
        row = partial(
            real_row,
            self.sample,
            self.classes,
            prompt=self.prompt,
            image_format=self.image_format,
        )
        return Record(self.place, DEFAULT_SUBSET, 0, row)

    def twin(
        self,
        finished: Finished[Any],
        cells: Sequence[Cell],
        *,
        replicate: int,
        seed: int,
        prompt: str,
    ) -> list[Record]:
        """The records of one twin: one for each of the cells that it belongs to.

        Args:
            finished: the image, which may still be on its way from the device.
            cells: more than one where they agree on every step.
            replicate: its number among the twins of the photograph in one cell.
            seed: the seed of its noise.
            prompt: that it was generated with.
        """
        picture = Shared(lambda: self._picture(finished.image))

        def row(cell: Cell) -> dict[str, Any] | str:
            found = picture()
            if isinstance(found, str):
                return found
            return {
                "image": image_cell(found.data),
                "label": image_cell(self._label()),
                "classes": present_classes(self.sample.scribble),
                "source_id": self.sample.source_id,
                "replicate": replicate,
                "prompt": prompt,
                "guidance_scale": cell.guidance_scale,
                "encode_ratio": cell.encode_ratio,
                "num_inference_steps": cell.timesteps.num_steps,
                "seed": seed,
                "scores": found.scores,
            }

        return [Record(self.place, cell.subset, replicate, partial(row, cell)) for cell in cells]

    def _picture(self, tensor: torch.Tensor) -> _Picture | str:
        """The encoded twin of (3, H, W) and its scores, or what is wrong with it."""
        if not bool(torch.isfinite(tensor).all()):
            return "the output holds NaN or infinity"
        generated = tensor_to_image(tensor)
        if not generated.any():
            return "the output is black"
        image = resize_image(generated, *self.size)
        original = resize_image(self.sample.image, *self.size)
        scores = {"source_distance": source_distance(image, original), "agreement": None}
        if self.agreement is not None:
            scores["agreement"] = self.agreement(image, self._scribble())
        return _Picture(encode_image(image, self.image_format), scores)


def source_distance(image: np.ndarray, source: np.ndarray) -> float:
    """Mean absolute difference of two (H, W, 3) uint8 images, in [0, 1]."""
    return float(np.abs(image.astype(np.int16) - source).mean() / 255)
