"""The rows of one unit of work, collected while its twins come in, in any order."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scribblegen.classes import Classes, present_classes
from scribblegen.engine.jobs import Twin
from scribblegen.images import (
    encode_image,
    encode_label,
    resize_image,
    resize_label,
    tensor_to_image,
)
from scribblegen.methods.scribblegen import TwinKey
from scribblegen.methods.scribblegen_config import Cell
from scribblegen.records import REAL, Rejection, Sample, subset_features
from scribblegen.runs.parts import finish_part, part_file
from scribblegen.runs.rows import image_cell, real_row, source_distance
from scribblegen.runs.shards import finish_unit, write_shard
from scribblegen.runs.shares import Part

# How much of a label (H, W) a segmentor finds in a picture (H, W, 3), both uint8: 0 to 1.
Agreement = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, eq=False)
class _Picture:
    """A twin as it is stored, and its scores."""

    data: bytes
    scores: dict[str, float | None]


@dataclass(frozen=True, eq=False)
class _SourceRows:
    """What the rows of one source share."""

    sample: Sample
    size: tuple[int, int]  # (height, width) of its twins
    real: "Future[dict[str, Any]]"
    scribble: np.ndarray  # at `size`
    label: "Future[bytes]"  # encoded


class UnitRows:
    """Collects the rows of a unit, or of a part of it, and writes them.

    Pictures are encoded in `executor`. Rows are ordered by position and replicate, whatever came
    first.

    Args:
        part: the unit, or the part of it.
        subsets: of its twins; none for a split without twins.
        classes: of the labels.
        image_format: of the twins.
        executor: threads that encode.
        agreement: measures the twins, if given; called in those threads.
    """

    def __init__(
        self,
        part: Part,
        subsets: list[str],
        classes: Classes,
        *,
        image_format: str,
        executor: Executor,
        agreement: Agreement | None = None,
    ) -> None:
        self.part = part
        self.classes = classes
        self.image_format = image_format
        self.executor = executor
        self.agreement = agreement
        self.rejections: list[Rejection] = []
        self.expected = 0  # twins still to come
        self.all_read = False
        self._sources: dict[int, _SourceRows] = {}
        self._twins: dict[str, list[tuple[TwinKey, Cell, Future[_Picture | str]]]]
        self._twins = {subset: [] for subset in subsets}

    @property
    def is_complete(self) -> bool:
        return self.all_read and self.expected == 0

    def add_source(
        self, position: int, sample: Sample, prompt: str, size: tuple[int, int], num_twins: int
    ) -> None:
        """Takes a source in; `num_twins` images of it, of `size`, will follow."""
        real = self.executor.submit(
            real_row, sample, self.classes, prompt=prompt, image_format=self.image_format
        )
        scribble = resize_label(sample.scribble, *size)
        label = self.executor.submit(encode_label, scribble, self.classes)
        self._sources[position] = _SourceRows(sample, size, real, scribble, label)
        self.expected += num_twins

    def add_twin(self, twin: Twin, cells: list[Cell]) -> None:
        """Takes a finished image in, as a row of each of its `cells`."""
        key = twin.key
        assert isinstance(key, TwinKey)
        picture = self.executor.submit(self._picture, twin, self._sources[key.position])
        for cell in cells:
            self._twins[cell.subset].append((key, cell, picture))
        self.expected -= 1

    def write(self, folder: Path) -> int:
        """Writes the file of every subset, then the line that says so. Returns the twins."""
        tables = {REAL: [self._sources[position].real.result() for position in self._positions]}
        for subset, twins in self._twins.items():
            twins.sort(key=lambda entry: (entry[0].position, entry[0].replicate))
            results = [self._twin_row(key, cell, picture) for key, cell, picture in twins]
            self.rejections += [r for r in results if isinstance(r, Rejection)]
            tables[subset] = [r for r in results if not isinstance(r, Rejection)]
        part = self.part
        shards = {}
        for subset, rows in tables.items():
            whole = folder / part.unit.shard(subset)
            path = whole if part.is_whole else part_file(folder, part, subset)
            shards[subset] = write_shard(path, rows, subset_features(subset, self.classes))
        if part.is_whole:
            finish_unit(folder, part.unit, shards, [asdict(r) for r in self.rejections])
        else:
            finish_part(folder, part, list(shards), self.rejections)
        return sum(shard.rows for subset, shard in shards.items() if subset != REAL)

    @property
    def _positions(self) -> list[int]:
        return sorted(self._sources)

    def _picture(self, twin: Twin, source: _SourceRows) -> _Picture | str:
        """The encoded twin and its scores, or what is wrong with it."""
        tensor = twin.image
        if not bool(torch.isfinite(tensor).all()):
            return "the output holds NaN or infinity"
        generated = tensor_to_image(tensor)
        if not generated.any():
            return "the output is black"
        image = resize_image(generated, *source.size)
        original = resize_image(source.sample.image, *source.size)
        scores = {"source_distance": source_distance(image, original), "agreement": None}
        if self.agreement is not None:
            scores["agreement"] = self.agreement(image, source.scribble)
        return _Picture(encode_image(image, self.image_format), scores)

    def _twin_row(
        self, key: TwinKey, cell: Cell, picture: "Future[_Picture | str]"
    ) -> dict[str, Any] | Rejection:
        source = self._sources[key.position]
        outcome = picture.result()
        if isinstance(outcome, str):
            return Rejection(source.sample.source_id, outcome, cell.subset)
        return {
            "image": image_cell(outcome.data),
            "label": image_cell(source.label.result()),
            "classes": present_classes(source.sample.scribble),
            "source_id": source.sample.source_id,
            "replicate": key.replicate,
            "prompt": key.prompt,
            "guidance_scale": cell.guidance_scale,
            "encode_ratio": cell.encode_ratio,
            "num_inference_steps": cell.grid.num_steps,
            "seed": key.seed,
            "scores": outcome.scores,
        }
