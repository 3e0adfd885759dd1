"""Segmentation scores from one integer confusion matrix."""

from collections.abc import Collection
from typing import Any

import numpy as np

from scribblegen.classes import IGNORE_INDEX

PADDING = -100  # the Trainer fills ragged labels of several processes with it


def confusion_matrix(
    predictions: np.ndarray,
    references: np.ndarray,
    num_labels: int,
    ignore_index: int = IGNORE_INDEX,
) -> np.ndarray:
    """Counts of (reference, prediction) pairs.

    Args:
        predictions, references: integer arrays of one shape. Reference pixels of `ignore_index`
            and `PADDING` are left out. A prediction that is no class is an error of its
            reference's class, in the last column.
        num_labels: number of classes.

    Returns:
        (num_labels, num_labels + 1) int64: row reference, column prediction. Matrices add up.

    Raises:
        ValueError: the shapes differ, the arrays are not integers, or a reference is no class.
    """
    predictions, references = np.asarray(predictions), np.asarray(references)
    if predictions.shape != references.shape:
        raise ValueError(
            "`predictions` and `references` must have one shape. "
            f"Got {predictions.shape} and {references.shape}."
        )
    for name, values in (("predictions", predictions), ("references", references)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"`{name}` must hold integer class ids. Got {values.dtype}.")
    if predictions.dtype == references.dtype == np.uint8:
        # One pass without a mask: 65,536 counters take less time than to compare every pixel.
        codes = references.astype(np.uint16).ravel() << 8
        codes |= predictions.ravel()
        table = np.bincount(codes, minlength=1 << 16).reshape(256, 256)
        left_out = {ignore_index, PADDING}
        stray = [i for i in range(num_labels, 256) if i not in left_out and table[i].any()]
        if 0 <= ignore_index < num_labels:
            table[ignore_index] = 0
        matrix = np.zeros((num_labels, num_labels + 1), np.int64)
        matrix[:, :-1] = table[:num_labels, :num_labels]
        matrix[:, -1] = table[:num_labels, num_labels:].sum(axis=1)
    else:
        kept = (references != ignore_index) & (references != PADDING)
        expected, found = references[kept].astype(np.int64), predictions[kept].astype(np.int64)
        stray = sorted(set(expected[(expected < 0) | (expected >= num_labels)].tolist()))
        found[(found < 0) | (found >= num_labels)] = num_labels
        if not stray:
            codes = expected * (num_labels + 1) + found
            counts = np.bincount(codes, minlength=num_labels * (num_labels + 1))
            matrix = counts.reshape(num_labels, num_labels + 1)
    if stray:
        raise ValueError(
            f"`references` must hold ids below {num_labels}, or {ignore_index} for none. "
            f"Got {stray[0]}."
        )
    return matrix


def scores(matrix: np.ndarray, unseen: Collection[int] = ()) -> dict[str, Any]:
    """Everything that a confusion matrix tells, named as by the stock `mean_iou`.

    Args:
        matrix: (L, L + 1), from `confusion_matrix`.
        unseen: ids of the classes of the zero-shot protocol that are reported apart; none for no
            such report.

    Returns:
        `mean_iou`, `mean_accuracy`, `overall_accuracy` and `frequency_weighted_iou`, floats, NaN
        where nothing was counted; `per_category_iou` and `per_category_accuracy`, (L,) float64,
        NaN for a class that does not occur, which the means leave out. With `unseen` also
        `mean_iou_seen` and `mean_iou_unseen`, and of them `harmonic_mean_iou`, 2 s u / (s + u), 0
        where both are 0. The background is a seen class.
    """
    correct = np.diag(matrix).astype(np.float64)
    there = matrix.sum(axis=1)
    unions = there + matrix[:, :-1].sum(axis=0) - correct
    ious, accuracies = _ratio(correct, unions), _ratio(correct, there)
    apart = _seen_and_unseen(ious, unseen) if unseen else {}
    return {
        "mean_iou": _mean(ious),
        **apart,
        "mean_accuracy": _mean(accuracies),
        "overall_accuracy": float(_ratio(correct.sum(), there.sum())),
        "frequency_weighted_iou": float(_ratio(np.nansum(there * ious), there.sum())),
        "per_category_iou": ious,
        "per_category_accuracy": accuracies,
    }


def _seen_and_unseen(ious: np.ndarray, unseen: Collection[int]) -> dict[str, float]:
    apart = np.isin(np.arange(len(ious)), list(unseen))
    seen_iou, unseen_iou = _mean(ious[~apart]), _mean(ious[apart])
    both = seen_iou + unseen_iou
    return {
        "mean_iou_seen": seen_iou,
        "mean_iou_unseen": unseen_iou,
        "harmonic_mean_iou": 0.0 if both == 0 else 2 * seen_iou * unseen_iou / both,
    }


def _ratio(numerator: Any, denominator: Any) -> np.ndarray:
    numerator, denominator = np.float64(numerator), np.float64(denominator)
    ratio = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
