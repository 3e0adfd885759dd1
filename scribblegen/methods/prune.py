"""DiffuMask's noise learning (arXiv 2303.11681): the rows of a subset, without the worst masks."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from datasets import Features, Value

from scribblegen.classes import Classes
from scribblegen.methods.base import Opening, Place, Record, Subset
from scribblegen.methods.prune_config import PruneConfig
from scribblegen.records import Sample, real_features, real_row
from scribblegen.segmenting.mask_rules import read_mask_rules
from scribblegen.segmenting.quality import Verdict, verdicts
from scribblegen.segmenting.quality_files import digest_of, read_qualities
from scribblegen.segmenting.tags import BACKGROUND
from scribblegen.sources import Source

_DENSE = 0.5  # share of an image of which half of the labels say something, where they are masks

logger = logging.getLogger(__name__)


class Prune:
    """The method: rows of a finished subset as they are, with their `cv_iou`, or left out.

    Args:
        config: its options.
        subset: what it makes.
        classes: of the labels.
        decided: which rows stay, by id.
        identity: of what decided it.
        image_format: of images whose files cannot be stored as they are.
    """

    def __init__(
        self,
        config: PruneConfig,
        subset: Subset,
        classes: Classes,
        decided: Mapping[str, Verdict],
        identity: Mapping[str, str | None],
        *,
        image_format: str,
    ) -> None:
        self.config, self.classes, self.decided = config, classes, decided
        self.image_format = image_format
        self.subsets = [subset]
        self._identity = dict(identity)

    def identity(self) -> dict[str, str | None]:
        """Digests of the scores and of the rules."""
        return self._identity

    def generate(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record]:
        """One record of each row."""
        for place, sample in items:
            yield Record(place, self.subsets[0].name, 0, partial(self._row, sample))

    def remarks(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Nothing."""
        return ""

    def _row(self, sample: Sample) -> dict[str, Any] | str:
        verdict = self.decided[sample.source_id]
        if verdict.fault is not None:
            return verdict.fault
        row = {
            **real_row(sample, self.classes, image_format=self.image_format),
            **sample.carried,
        }
        features = self.subsets[0].features
        scores = {**(row.get("scores") or {}), "cv_iou": verdict.cv_iou}
        row["scores"] = {name: scores.get(name) for name in features["scores"]}
        return {name: row[name] for name in features}


def open_method(config: PruneConfig, opening: Opening) -> Prune:
    """Reads the scores and decides which rows stay.

    Raises:
        ValueError, OSError: there are none, they are not of this subset, or the source is none.
    """
    source = opening.sources["train"]
    if source.subset is None:
        raise ValueError(
            f"`source` must be subset for method prune: it passes on the rows of one. Got "
            f"{type(source).__name__}."
        )
    if set(opening.sources) != {"train"}:
        raise ValueError(
            f"`source` must have a training split alone for method prune. Got "
            f"{list(opening.sources)}."
        )
    if not config.held_out_scores:
        raise ValueError(
            "`held_out_scores` must be given: the files that `scribblegen prune` makes. Call it "
            "instead: it trains what measures the masks, and then does this."
        )
    found = read_qualities([Path(path) for path in config.held_out_scores])
    if lacking := [source_id for source_id in source.source_ids if source_id not in found]:
        raise ValueError(
            f"`held_out_scores` must hold the scores of all {len(source)} rows. {len(lacking)} "
            f"have none, such as {lacking[0]}. Give the files of all folds, of this very subset."
        )
    qualities = {source_id: found[source_id] for source_id in source.source_ids}
    names = source.classes.names
    dense = median(quality.labelled for quality in qualities.values()) >= _DENSE
    rules = read_mask_rules(config.mask_rules, names, dense=dense)
    decided = verdicts(
        qualities,
        keep=config.keep,
        min_cv_iou=config.min_cv_iou,
        rules=rules,
        background=BACKGROUND,
    )
    told = repr(sorted(rules.items()))
    return Prune(
        config,
        _subset(config, source),
        source.classes,
        decided,
        {
            "held-out scores": digest_of(qualities),
            "mask rules": hashlib.sha256(told.encode()).hexdigest()[:16] if rules else "none",
        },
        image_format=opening.output.image_format,
    )


def _subset(config: PruneConfig, source: Source[Sample]) -> Subset:
    """As that of the source, with one score more."""
    there = source.columns_there
    passed = {*real_features(source.classes), *source.carried}
    if lost := [name for name in there if name not in passed]:
        logger.warning("columns that are not passed on: %s", ", ".join(lost))
    features = {name: kind for name, kind in there.items() if name in passed}
    features["scores"] = {**(features.get("scores") or {}), "cv_iou": Value("float32")}
    given = {"keep": config.keep, "min_cv_iou": config.min_cv_iou}
    return Subset(
        name=f"{source.subset}-kept",
        features=Features(features),
        settings={name: value for name, value in given.items() if value is not None},
        pictures={"image": "image", "label": "label"},
        selective=True,
    )
