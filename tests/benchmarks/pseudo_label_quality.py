"""What each stage of CDSP's pseudo labels adds, against the masks, and what strokes say alone.

    python -m tests.benchmarks.pseudo_label_quality --classifier DIR --subset REPO:real

Every photograph with a mask is labelled in every way; one confusion matrix a way is taken over all
of them. Where a label says nothing its pixels count as wrong in one figure, and are left out of the
other. Seconds are of one thread, and of what the ways before have not made already. Writes
`results/pseudo_label_quality_NAME.json`.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from scribblegen.builders.config import SubsetConfig
from scribblegen.builders.sources import open_source
from scribblegen.classes import present_classes
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.records import Rejection, Sample
from scribblegen.segmenting.tags import background_of
from scribblegen.trainers.classifier.class_maps import ClassMaps
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from tests.benchmarks.pseudo_label_ways import (
    AT_THRESHOLDS,
    Seen,
    Way,
    at_thresholds,
    stages,
    without_a_classifier,
)
from tests.benchmarks.timing import environment, save

THRESHOLDS = (0.3, 0.45, 0.6)


class Tally:
    """What the labels of some ways are worth, over all photographs."""

    def __init__(self, ways: Mapping[str, Way], names: tuple[str, ...]) -> None:
        self.ways, self.names = ways, names
        self.matrices = {w: np.zeros((len(names), len(names) + 1), np.int64) for w in ways}
        self.seconds: dict[str, float] = defaultdict(float)
        self.photographs = 0

    def add(self, seen: Seen) -> None:
        """Labels one photograph in every way."""
        assert seen.sample.mask is not None
        self.photographs += 1
        for name, way in self.ways.items():
            label, self.seconds[name] = _timed(partial(way, seen), self.seconds[name])
            self.matrices[name] += confusion_matrix(label, seen.sample.mask, len(self.names))

    def found(self) -> dict[str, dict[str, Any]]:
        """By way: in per cent to one digit, and seconds an image."""
        return {
            name: {
                **_worth(matrix, self.names),
                "seconds an image": float(f"{self.seconds[name] / self.photographs:.3g}"),
            }
            for name, matrix in self.matrices.items()
        }


def _worth(matrix: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    said = matrix.copy()
    said[:, -1] = 0
    worth: dict[str, Any] = {"labelled": _percent(said.sum() / max(1, matrix.sum()))}
    for kind, counted in (("unsaid is wrong", matrix), ("unsaid left out", said)):
        result = scores(counted)
        classes = zip(names, result["per_category_iou"], strict=True)
        worth[f"mean IoU, {kind}"] = _percent(result["mean_iou"])
        worth[f"IoU, {kind}"] = {name: _percent(iou) for name, iou in classes}
    return worth


def _percent(share: float) -> float | None:
    return None if np.isnan(share) else round(100 * float(share), 1)


def _timed(do: Callable[[], Any], before: float) -> tuple[Any, float]:
    started = time.process_time()
    return do(), before + time.process_time() - started


def pseudo_label_quality(
    classifier: str,
    subset: str,
    *,
    split: str = "train",
    max_samples: int | None = None,
    background: str | None = None,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> dict[str, Any]:
    """The stages at CDSP's defaults, two of them at other thresholds, and the strokes alone.

    Args:
        classifier: folder or Hub id, as `scribblegen train-classifier` makes it.
        subset: REPO:real, with masks.
        split: of it.
        max_samples: photographs at most.
        background: the class that is no tag, as `CdspConfig.background`.
        thresholds: at which two stages are compared.

    Raises:
        ValueError: no photograph has a mask, or what `open_source` and `ClassMaps` refuse.
    """
    source: Any = open_source(SubsetConfig(subset=subset, ids=split, max_samples=max_samples))
    names = source.classes.names
    number = background_of(names, background)
    maps = ClassMaps(classifier, source.classes, number, torch.device("cpu"))
    config = CdspConfig()
    threshold, band = config.background_threshold, config.ignore_band
    alone = Tally(without_a_classifier(), names)
    staged = Tally(stages(number, threshold, band), names)
    # The default's figures are those of its stages.
    others = tuple(t for t in thresholds if t != threshold)
    grid = {t: Tally(ways, names) for t, ways in at_thresholds(others, band).items()}
    taken = {"maps of all classes": 0.0, "maps of the classes drawn": 0.0}
    counts: Counter[str] = Counter()
    for sample in tqdm(_masked(source, counts), total=len(source), unit="image"):
        looks = zip(taken, (range(len(names)), present_classes(sample.scribble)), strict=True)
        shown = []
        for name, classes in list(looks):
            found, taken[name] = _timed(partial(maps.maps, sample.image, classes), taken[name])
            shown.append(found)
        seen = Seen(sample, *shown, number)
        for tally in (alone, staged, *grid.values()):
            tally.add(seen)
    if not counts["photographs"]:
        raise ValueError(f"`subset` must hold photographs with masks. {subset} has {counts}.")
    stage_worth = staged.found()
    at = {t: tally.found() for t, tally in grid.items()}
    if threshold in thresholds:
        at[threshold] = {name: stage_worth[name] for name in AT_THRESHOLDS}
    return {
        **counts,
        "split": split,
        "classes": list(names),
        "background": None if number is None else names[number],
        "classifier": f"{maps.model.config.model_type} {maps.fingerprint()}",
        "background_threshold": threshold,
        "ignore_band": band,
        "seconds an image": {
            name: float(f"{seconds / counts['photographs']:.3g}") for name, seconds in taken.items()
        },
        "without a classifier": alone.found(),
        "stages": stage_worth,
        "thresholds": {f"{t:g}": at[t] for t in sorted(at)},
    }


def _masked(source: Any, counts: Counter[str]) -> Iterator[Sample]:
    """The photographs with masks; the others are counted."""
    for index in range(len(source)):
        sample = source.read(index)
        if isinstance(sample, Rejection):
            counts["rejected"] += 1
        elif sample.mask is None:
            counts["without a mask"] += 1
        else:
            counts["photographs"] += 1
            yield sample


def table(result: dict[str, Any]) -> str:
    """The figures as text: mean IoU with unsaid pixels as errors, and without them."""
    rows = {**result["without a classifier"], **result["stages"]}
    for threshold, found in result["thresholds"].items():
        rows |= {f"{name}, threshold {threshold}": row for name, row in found.items()}
    lines = ["| way | unsaid is wrong | unsaid left out | labelled, % | s/image |", "|-|-|-|-|-|"]
    for name, row in rows.items():
        ious = [row[f"mean IoU, {kind}"] for kind in ("unsaid is wrong", "unsaid left out")]
        cells = [name, *ious, row["labelled"], row["seconds an image"]]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("pseudo_label_quality", description=__doc__)
    parser.add_argument("--classifier", required=True)
    parser.add_argument("--subset", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--max_samples", type=int)
    parser.add_argument("--background")
    parser.add_argument("--name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = pseudo_label_quality(
        options.classifier,
        options.subset,
        split=options.split,
        max_samples=options.max_samples,
        background=options.background,
    )
    name = options.name or Path(options.subset.partition(":")[0]).name
    save(f"pseudo_label_quality_{name}", {"environment": environment(), **result})
    print(table(result))


if __name__ == "__main__":
    main()
