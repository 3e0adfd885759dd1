"""Mean IoU as an `evaluate` metric that streams: memory does not grow with the images.

    metric = MeanIoU(num_labels=21)
    metric.add_batch(predictions=..., references=...)
    metric.compute()["mean_iou"]

or `evaluate.load(path_of_this_file, num_labels=21)`.
"""

from collections.abc import Iterable
from typing import Any

import datasets
import evaluate
import numpy as np

from scribblegen.classes import IGNORE_INDEX
from scribblegen.trainers.segmentation.boundary_iou import boundary_counts
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores

_DESCRIPTION = """Intersection over union of predicted and reference class maps, meaned over the
classes that occur."""

_INPUTS = """
Args:
    predictions, references: class maps of equal shapes, one array or a sequence of maps of any
        sizes. A prediction that is no class counts as an error.
Returns:
    mean_iou, mean_accuracy, overall_accuracy, frequency_weighted_iou: floats.
    per_category_iou, per_category_accuracy: arrays, NaN for classes that do not occur.
    boundary_iou: float, where asked for.
"""


class MeanIoU(evaluate.Metric):
    """Mean IoU from one integer confusion matrix.

    Args:
        num_labels: number of classes; may be given to `compute` instead.
        ignore_index: reference value that does not count.
        boundary: also the mean boundary IoU (arXiv 2103.16562).
        **options: of `evaluate.Metric`.
    """

    def __init__(
        self,
        *args: Any,
        num_labels: int | None = None,
        ignore_index: int = IGNORE_INDEX,
        boundary: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.num_labels, self.ignore_index, self.boundary = num_labels, ignore_index, boundary
        self.reset()

    def reset(self) -> None:
        """Forgets what was added."""
        size = self.num_labels or 0
        self.matrix = np.zeros((size, size + 1), np.int64)
        self.boundary_matrix = np.zeros((2, size), np.int64)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Adds one class map, (H, W) of integers."""
        if self.num_labels is None:
            raise ValueError("`num_labels` must be given: MeanIoU(num_labels=...).")
        prediction, reference = np.asarray(prediction), np.asarray(reference)
        self.matrix += confusion_matrix(prediction, reference, self.num_labels, self.ignore_index)
        if self.boundary:
            self.boundary_matrix += boundary_counts(
                prediction, reference, self.num_labels, self.ignore_index
            )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Adds class maps: one array, or a sequence of maps of any sizes."""
        if len(predictions) != len(references):
            raise ValueError(
                "`predictions` and `references` must be equally many. "
                f"Got {len(predictions)} and {len(references)}."
            )
        for prediction, reference in zip(predictions, references, strict=True):
            self.add(prediction=prediction, reference=reference)

    def merge(self, others: Iterable["MeanIoU"]) -> None:
        """Adds what other processes' metrics have counted."""
        for other in others:
            self.matrix += other.matrix
            self.boundary_matrix += other.boundary_matrix

    def compute(
        self,
        *,
        predictions: Any = None,
        references: Any = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The scores of all that was added, and of `predictions` if given; then forgets it."""
        if num_labels is not None and num_labels != self.num_labels:
            self.num_labels = num_labels
            self.reset()
        if ignore_index is not None:
            self.ignore_index = ignore_index
        if predictions is not None:
            self.add_batch(predictions=predictions, references=references)
        found = scores(self.matrix)
        if self.boundary:
            intersections, unions = self.boundary_matrix
            ratios = intersections[unions > 0] / unions[unions > 0]
            found["boundary_iou"] = float(ratios.mean()) if ratios.size else float("nan")
        self.reset()
        return found

    def _info(self) -> evaluate.MetricInfo:
        maps = datasets.Sequence(datasets.Sequence(datasets.Value("uint16")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": maps, "references": maps}),
        )
