"""The rows of one unit of work, collected while its twins come in, in any order."""

from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Features

from scribblegen.classes import Classes, present_classes
from scribblegen.engine import Twin
from scribblegen.images import (
    encode_image,
    encode_label,
    resize_image,
    resize_label,
    tensor_to_image,
)
from scribblegen.methods.scribblegen import TwinKey
from scribblegen.methods.scribblegen_config import Cell
from scribblegen.records import Rejection, Sample, real_features, synthetic_features
from scribblegen.rows import image_cell, real_row, source_distance
from scribblegen.shards import Shard, Unit, finish_unit, write_shard

REAL = "real"


@dataclass(frozen=True, eq=False)
class _SourceRows:
    """What the rows of one source share."""

    sample: Sample
    size: tuple[int, int]  # (height, width) of its twins
    real: "Future[dict[str, Any]]"
    label: "Future[bytes]"  # the scribble at `size`


class UnitRows:
    """Collects a unit's rows and writes its shards.

    Pictures are encoded in `executor`. Rows are ordered by position and replicate, whatever came
    first.

    Args:
        unit: the unit.
        subsets: of its twins; none for a split without twins.
        classes: of the labels.
        image_format: of the twins.
        executor: threads that encode.
    """

    def __init__(
        self,
        unit: Unit,
        subsets: list[str],
        classes: Classes,
        *,
        image_format: str,
        executor: Executor,
    ) -> None:
        self.unit = unit
        self.classes = classes
        self.image_format = image_format
        self.executor = executor
        self.rejections: list[Rejection] = []
        self.expected = 0  # twins still to come
        self.all_read = False
        self._sources: dict[int, _SourceRows] = {}
        self._twins: dict[str, list[tuple[TwinKey, Cell, Future[tuple[bytes, float] | str]]]]
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
        self._sources[position] = _SourceRows(sample, size, real, label)
        self.expected += num_twins

    def add_twin(self, twin: Twin, cells: list[Cell]) -> None:
        """Takes a finished image in, as a row of each of its `cells`."""
        key = twin.key
        assert isinstance(key, TwinKey)
        picture = self.executor.submit(self._picture, twin.image, self._sources[key.position])
        for cell in cells:
            self._twins[cell.subset].append((key, cell, picture))
        self.expected -= 1

    def write(self, folder: Path) -> int:
        """Writes the shard of every subset, then the manifest line. Returns the twins written."""
        shards = {}
        real = [self._sources[position].real.result() for position in sorted(self._sources)]
        shards[REAL] = self._write(folder, REAL, real, real_features(self.classes))
        for subset, twins in self._twins.items():
            twins.sort(key=lambda entry: (entry[0].position, entry[0].replicate))
            results = [self._twin_row(key, cell, picture) for key, cell, picture in twins]
            self.rejections += [r for r in results if isinstance(r, Rejection)]
            rows = [r for r in results if not isinstance(r, Rejection)]
            shards[subset] = self._write(folder, subset, rows, synthetic_features(self.classes))
        finish_unit(folder, self.unit, shards, [asdict(r) for r in self.rejections])
        return sum(shards[subset].rows for subset in self._twins)

    def _write(
        self, folder: Path, subset: str, rows: list[dict[str, Any]], features: Features
    ) -> Shard:
        return write_shard(folder / self.unit.shard(subset), rows, features)

    def _picture(self, tensor: torch.Tensor, source: _SourceRows) -> tuple[bytes, float] | str:
        """The encoded twin and its distance to the source, or what is wrong with it."""
        if not bool(torch.isfinite(tensor).all()):
            return "the output holds NaN or infinity"
        generated = tensor_to_image(tensor)
        if not generated.any():
            return "the output is black"
        image = resize_image(generated, *source.size)
        original = resize_image(source.sample.image, *source.size)
        return encode_image(image, self.image_format), source_distance(image, original)

    def _twin_row(
        self, key: TwinKey, cell: Cell, picture: "Future[tuple[bytes, float] | str]"
    ) -> dict[str, Any] | Rejection:
        source = self._sources[key.position]
        outcome = picture.result()
        if isinstance(outcome, str):
            return Rejection(source.sample.source_id, outcome, cell.subset)
        data, distance = outcome
        return {
            "image": image_cell(data),
            "label": image_cell(source.label.result()),
            "classes": present_classes(source.sample.scribble),
            "source_id": source.sample.source_id,
            "replicate": key.replicate,
            "prompt": key.prompt,
            "guidance_scale": cell.guidance_scale,
            "encode_ratio": cell.encode_ratio,
            "num_inference_steps": cell.grid.num_steps,
            "seed": key.seed,
            "scores": {"source_distance": distance},
        }
