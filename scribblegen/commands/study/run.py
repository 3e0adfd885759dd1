"""Which arm helps, with how little data: every arm, fraction and seed, measured and tabled.

Of every fraction a ControlNet is trained on that fraction alone (where the twins need one), twins
are drawn, and segmentors are trained. What is finished is kept: run it again to go on.
"""

import contextlib
import io
import json
import logging
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path
from threading import RLock
from typing import Any

from tqdm import tqdm

from scribblegen.builders.config import PhotographsConfig
from scribblegen.builders.sources import open_source, source_options
from scribblegen.commands.build import build
from scribblegen.commands.command_line import uninterrupted
from scribblegen.commands.study.arms import in_waves
from scribblegen.commands.study.plan import StudyPlan
from scribblegen.commands.study.report import write_report
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
            `/segmentors`, and `results.json`, `results.csv`, `results.md`, `results.png`.
        num_processes: segmentors trained at once, each by one thread.

    Raises:
        ValueError: the folder holds another study; the differences are named.
    """
    folder = Path(output_dir)
    _check_folder(folder, plan)
    for fraction in plan.study.fractions:
        _make_twins(plan, fraction_folder(folder, fraction), fraction)
    asked = list(trainings(plan, folder))
    for arms in in_waves(plan.arms):  # those that judge twins come first
        pending = [t for t in asked if t.arm in arms and not t.result_file.is_file()]
        _train_all(pending, num_processes)
    results = [
        {
            "arm": t.arm,
            "fraction": t.fraction,
            "seed": t.seed,
            **_read(t.result_file),
            "photographs": _read(t.result_file.with_name("run.json"))["photographs"],
        }
        for t in asked
    ]
    return write_report(folder, results, plan.study.arms)


def _check_folder(folder: Path, plan: StudyPlan) -> None:
    """Arms, fractions and seeds may be added to a study; nothing else may change."""
    options = without_paths(
        {
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


def _make_twins(plan: StudyPlan, folder: Path, fraction: float) -> None:
    """The twins of one fraction, by a ControlNet of its own where the study trains one."""
    source = replace(plan.source, train_fraction=fraction)
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


def _train_all(trainings: list[Training], num_processes: int) -> None:
    """Trains in processes that Ctrl-C does not reach: this one ends them."""
    with (
        ProcessPoolExecutor(
            num_processes, mp_context=get_context("spawn"), initializer=_set_up_worker
        ) as pool,
        tqdm(total=len(trainings), desc="segmentors", disable=not trainings) as bar,
    ):
        with uninterrupted():  # they are started by the first that is submitted, and inherit it
            submitted = [pool.submit(_train, t.options) for t in trainings]
        try:
            for done in as_completed(submitted):
                done.result()
                bar.update()
        except KeyboardInterrupt:
            for process in active_children():
                process.terminate()
            raise


def _set_up_worker() -> None:
    import torch
    import transformers

    torch.set_num_threads(1)  # several trainings at once share the cores
    tqdm.set_lock(RLock())  # not one between processes: it would outlive one that Ctrl-C ends
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _train(options: dict[str, Any]) -> None:
    from scribblegen.trainers.segmentation.config import SegmentationConfig
    from scribblegen.trainers.segmentation.run import train_segmentation

    quiet = {
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
    }
    with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints its dictionaries
        train_segmentation(SegmentationConfig(**{**quiet, **options}))


def _read(path: Path) -> dict[str, Any]:
    return read_fields(path, "Delete it and run the same command again.")
