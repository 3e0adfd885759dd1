"""The segmentors of a study: one for every seed, fold, fraction and arm."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from scribblegen.commands.study.arms import is_elsewhere
from scribblegen.commands.study.datasets import learned_subset
from scribblegen.commands.study.folders import fraction_folder, segmentor_folder, twins_folder
from scribblegen.commands.study.plan import StudyPlan
from scribblegen.records import DEFAULT_SUBSET

_RESULT_FILE = "eval_results.json"  # written when all is measured


@dataclass(frozen=True)
class Training:
    """One segmentor of a study."""

    arm: str
    fraction: float
    variant: str  # of the source; empty where there are none
    fold: str  # the name of its folder; empty where there are none
    seed: int
    options: dict[str, Any]  # of `SegmentationConfig`
    judge: Path | None = None  # the folder of another training, whose segmentor judges its twins

    @property
    def is_ready(self) -> bool:
        """Whether the segmentor that judges its twins is trained."""
        return self.judge is None or (self.judge / _RESULT_FILE).is_file()

    @property
    def result_file(self) -> Path:
        """What was measured of it; there once the training is finished."""
        return Path(self.options["output_dir"]) / _RESULT_FILE


def trainings(plan: StudyPlan, folder: Path) -> Iterator[Training]:
    """Every training of a study, in the order of its results.

    Args:
        plan: from `read_study`.
        folder: the folder of the study.
    """
    for seed in plan.study.seeds:  # outermost: a study that is cut short has compared like seeds
        for source, fraction in product(plan.sources, plan.study.fractions):
            if seed not in source.seeds:
                continue
            inside = fraction_folder(folder / source.folder, fraction)
            for arm, added in plan.arms.items():
                options = {
                    **plan.segmentation,
                    **added,
                    "real": learned_subset(plan, inside, DEFAULT_SUBSET, arm, seed),
                    "seed": seed,
                    "eval_split": "test",
                    "output_dir": str(segmentor_folder(inside, arm, seed)),
                }
                if plan.pseudo_labels:
                    options.setdefault("eval_data", str(twins_folder(inside)))
                if "synthetic" in added:
                    options["synthetic"] = [
                        subset
                        if is_elsewhere(subset)
                        else learned_subset(plan, inside, subset, arm, seed)
                        for subset in added["synthetic"]
                    ]
                judge = None
                if added.get("agreement_model") in plan.arms:
                    judge = segmentor_folder(inside, added["agreement_model"], seed)
                    options["agreement_model"] = str(judge)
                yield Training(arm, fraction, source.variant, source.fold, seed, options, judge)
