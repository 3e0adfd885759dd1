"""Which arm helps, with how little data: every arm, fraction and seed, measured and tabled.

Of every fraction a ControlNet is trained on that fraction alone (where the twins need one), twins
are drawn, and segmentors are trained. What is finished is kept: run it again to go on.
"""

import json
import logging
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from scribblegen.builders.config import PhotographsConfig
from scribblegen.builders.sources import open_source, source_options
from scribblegen.commands.build import build
from scribblegen.commands.study.plan import StudyPlan
from scribblegen.commands.study.report import write_report
from scribblegen.commands.study.training_pool import train_all
from scribblegen.commands.study.trainings import Training, fraction_folder, trainings
from scribblegen.configs import differences, to_dict, without_paths
from scribblegen.text_files import read_fields
from scribblegen.tiny import TINY, tiny_folder
from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig

logger = logging.getLogger(__name__)
_PLAN_FILE = "study.json"


def run_study(plan: StudyPlan, output_dir: str | Path, *, num_processes: int = 1) -> str:
    """Runs what is missing of a study, writes its report and returns the table.

    Args:
        plan: what `read_study` has read.
        output_dir: folder of the study. It will hold `fraction-*/controlnet`, `/twins` and
            `/segmentors`, in `fold-*` where it has folds, and `results.json`, `results.csv`,
            `results.md`, `results.png`.
        num_processes: segmentors trained at once, each by one thread.

    Raises:
        ValueError: the folder holds another study; the differences are named.
    """
    folder = Path(output_dir)
    _check_folder(folder, plan)
    for (fold, source), fraction in product(plan.sources.items(), plan.study.fractions):
        _make_twins(plan, source, fraction_folder(folder / fold, fraction), fraction)
    asked = list(trainings(plan, folder))

    def report() -> str:
        results = [_result(t) for t in asked if t.result_file.is_file()]
        return write_report(folder, results, plan.study.arms, asked=len(asked))

    pending = [t for t in asked if not t.result_file.is_file()]
    for _ in train_all(pending, num_processes):
        report()  # a study that is cut short leaves what it has
    return report()


def _result(training: Training) -> dict[str, Any]:
    """What was measured of a segmentor."""
    return {
        "arm": training.arm,
        "fraction": training.fraction,
        "fold": training.fold,
        "seed": training.seed,
        **_read(training.result_file),
        "photographs": _read(training.result_file.with_name("run.json"))["photographs"],
    }


def _check_folder(folder: Path, plan: StudyPlan) -> None:
    """Arms, fractions and seeds may be added to a study; nothing else may change."""
    options = without_paths(
        {
            "folds": plan.study.folds or None,
            **source_options(plan.source),
            **(to_dict(plan.controlnet) if plan.controlnet else {}),
            **{f"twins {k}": v for k, v in to_dict(plan.twins, plan.output).items()},
            **{f"segmentation {k}": v for k, v in plan.segmentation.items()},
        }
    )
    arms = {name: without_paths(added) for name, added in plan.arms.items()}
    file = folder / _PLAN_FILE
    if file.is_file():
        there = _read(file)
        arms_there = there.pop("arms")
        differing = differences(there, options)
        for name in (n for n in arms if n in arms_there):
            found = differences(arms_there[name], arms[name])
            differing += [f"arm {name} {difference}" for difference in found]
        if differing:
            raise ValueError(f"`output_dir` {folder} holds another study: {'; '.join(differing)}.")
        arms = {**arms_there, **arms}
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**options, "arms": arms}, indent=1) + "\n", "utf-8")


def _make_twins(plan: StudyPlan, source: PhotographsConfig, folder: Path, fraction: float) -> None:
    """The twins of one fraction, by a ControlNet of its own where the study trains one."""
    source = replace(source, train_fraction=fraction)
    method = plan.twins
    if plan.controlnet is not None:
        networks = _train_controlnet(plan.controlnet, source, folder / "controlnet")
        method = replace(method, **networks)
    logger.info(f"fraction {fraction:g}: drawing twins")
    progress = build(source, method, plan.output, output_dir=folder / "twins")
    if progress.warning:
        logger.warning(f"fraction {fraction:g}: {progress.warning}")


def _train_controlnet(
    config: ControlNetConfig, source: PhotographsConfig, folder: Path
) -> dict[str, Any]:
    """The options of `build` that name the ControlNet of a fraction and the pipeline under it."""
    from scribblegen.trainers.controlnet.trainer import ControlNetTrainer

    base = config.pretrained_model_name_or_path or TINY
    base = str(tiny_folder()) if base == TINY else base
    if not (folder / "README.md").is_file():  # written last
        logger.info(f"fraction {source.train_fraction:g}: training a ControlNet on it")
        photographs = open_source(source)
        assert photographs is not None
        run_config = ControlNetRunConfig(
            output_dir=str(folder), resume_from_checkpoint="latest", checkpoints_total_limit=1
        )
        config = replace(config, pretrained_model_name_or_path=base)
        ControlNetTrainer(config, run_config, photographs).train()
    return {"pipeline": base, "controlnet": str(folder)}


def _read(path: Path) -> dict[str, Any]:
    return read_fields(path, "Delete it and run the same command again.")
