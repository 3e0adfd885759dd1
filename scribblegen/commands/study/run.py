"""Which arm helps, with how little data: every arm, fraction and seed, measured and tabled.

Of every fraction a ControlNet is trained on that fraction alone (where the twins need one), twins
are drawn, pseudo labels are made (where there is a section of them), and segmentors are trained.
What is finished is kept: run it again to go on.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

from scribblegen.builders.sources import source_options
from scribblegen.commands.study.datasets import make_datasets, make_own_labels
from scribblegen.commands.study.folders import fraction_folder
from scribblegen.commands.study.plan import StudyPlan
from scribblegen.commands.study.report import write_report
from scribblegen.commands.study.training_pool import train_all
from scribblegen.commands.study.trainings import Training, trainings
from scribblegen.configs import differences, to_dict, without_paths
from scribblegen.text_files import read_fields

_PLAN_FILE = "study.json"


def run_study(plan: StudyPlan, output_dir: str | Path, *, num_processes: int = 1) -> str:
    """Runs what is missing of a study, writes its report and returns the table.

    Args:
        plan: what `read_study` has read.
        output_dir: folder of the study. It will hold `fraction-*/controlnet`, `/twins`,
            `/classifier`, `/pseudo-labels-*` and `/segmentors`, in a folder for every variant,
            `fold-*` and `scribbles-*` where it has any, and `results.json`, `results.csv`,
            `results.md`, `results.png`.
        num_processes: segmentors trained at once, each by one thread.

    Raises:
        ValueError: the folder holds another study; the differences are named.
    """
    folder = Path(output_dir)
    _check_folder(folder, plan)
    for source, fraction in product(plan.sources, plan.study.fractions):
        inside = fraction_folder(folder / source.folder, fraction)
        make_datasets(plan, source.config, inside, fraction)
    asked = list(trainings(plan, folder))

    def report() -> str:
        results = [_result(t) for t in asked if t.result_file.is_file()]
        return write_report(folder, results, plan.study.arms, asked=len(asked))

    pending = [t for t in asked if not t.result_file.is_file()]
    if plan.labeller:
        first = [t for t in pending if t.arm == plan.labeller]
        pending = [t for t in pending if t.arm != plan.labeller]
        for _ in train_all(first, num_processes):
            report()
        for source, fraction in product(plan.sources, plan.study.fractions):
            for seed in source.seeds:
                make_own_labels(plan, fraction_folder(folder / source.folder, fraction), seed)
    for _ in train_all(pending, num_processes):
        report()  # a study that is cut short leaves what it has
    return report()


def _result(training: Training) -> dict[str, Any]:
    """What was measured of a segmentor."""
    return {
        "arm": training.arm,
        "variant": training.variant,
        "fraction": training.fraction,
        "fold": training.fold,
        "seed": training.seed,
        **_read(training.result_file),
        "photographs": _read(training.result_file.with_name("run.json"))["photographs"],
    }


def _check_folder(folder: Path, plan: StudyPlan) -> None:
    """Arms, variants, fractions and seeds may be added to a study; nothing else may change."""
    options = without_paths(
        {
            "folds": plan.study.folds or None,
            "scribbles_by_seed": plan.study.scribbles_by_seed or None,
            **source_options(plan.source),
            **(to_dict(plan.controlnet) if plan.controlnet else {}),
            **{f"twins {k}": v for k, v in to_dict(plan.twins, plan.output).items()},
            **{f"classifier {k}": v for k, v in (plan.classifier or {}).items()},
            **_of_section("pseudo_labels", plan.pseudo_labels),
            **{f"segmentation {k}": v for k, v in plan.segmentation.items()},
        }
    )
    growing = {
        kind: {name: without_paths(added) for name, added in named.items()}
        for kind, named in (("arm", plan.arms), ("variant", plan.variants))
    }
    file = folder / _PLAN_FILE
    if file.is_file():
        there = _read(file)
        differing = []
        for kind, named in growing.items():
            named_there = there.pop(f"{kind}s", {})
            for name in (n for n in named if n in named_there):
                found = differences(named_there[name], named[name])
                differing += [f"{kind} {name} {difference}" for difference in found]
            growing[kind] = {**named_there, **named}
        differing = [*differences(there, options), *differing]
        if differing:
            raise ValueError(f"`output_dir` {folder} holds another study: {'; '.join(differing)}.")
    folder.mkdir(parents=True, exist_ok=True)
    plural = {f"{kind}s": named for kind, named in growing.items()}
    file.write_text(json.dumps({**options, **plural}, indent=1) + "\n", "utf-8")


def _of_section(section: str, config: Any) -> dict[str, Any]:
    return {f"{section} {k}": v for k, v in to_dict(config).items()} if config else {}


def _read(path: Path) -> dict[str, Any]:
    return read_fields(path, "Delete it and run the same command again.")
