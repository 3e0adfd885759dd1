"""Which scheme helps, with how little data: every arm, fraction and seed, measured and tabled.

Of every fraction a ControlNet is trained on that fraction alone, twins are drawn, and segmentors
are trained, all for equally many steps. What is finished is kept: run it again to go on.
"""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scribblegen.builders.sources import open_source
from scribblegen.commands.build import build
from scribblegen.commands.study.plan import AGREED, REAL, StudyPlan
from scribblegen.commands.study.report import write_report
from scribblegen.configs import differences, to_dict, without_paths
from scribblegen.tiny import TINY, tiny_folder

logger = logging.getLogger(__name__)
_PLAN_FILE = "study.json"
_RESULT_FILE = "eval_results.json"  # written when all is measured


@dataclass(frozen=True)
class Training:
    """One segmentor of a study."""

    arm: str
    fraction: float
    seed: int
    options: dict[str, Any]

    @property
    def result_file(self) -> Path:
        return Path(self.options["output_dir"]) / _RESULT_FILE


def run_study(plan: StudyPlan, output_dir: str | Path, *, num_processes: int = 1) -> str:
    """Runs what is missing of a study, writes its report and returns the table.

    Args:
        plan: from `read_study`.
        output_dir: of everything: `fraction-*/controlnet`, `/twins`, `/segmentors`, and
            `results.json`, `results.csv`, `results.md`, `results.png`.
        num_processes: segmentors trained at once, each by one thread.

    Raises:
        ValueError: the folder holds another study; the differences are named.
    """
    folder = Path(output_dir)
    _check_folder(folder, plan)
    for fraction in plan.study.fractions:
        _make_twins(plan, _fraction_folder(folder, fraction), fraction)
    trainings = list(_trainings(plan, folder))
    # Those that judge twins come first.
    for wave in (False, True):
        pending = [t for t in trainings if t.arm.endswith(AGREED) == wave]
        _train_all([t for t in pending if not t.result_file.is_file()], num_processes)
    results = [
        {
            "arm": t.arm,
            "fraction": t.fraction,
            "seed": t.seed,
            **json.loads(t.result_file.read_text("utf-8")),
            "photographs": _read(t.result_file.with_name("run.json"))["photographs"],
        }
        for t in trainings
    ]
    return write_report(folder, results, plan.study.arms)


def _fraction_folder(folder: Path, fraction: float) -> Path:
    return folder / f"fraction-{fraction:g}"


def _check_folder(folder: Path, plan: StudyPlan) -> None:
    # Arms, fractions and seeds may be added to a study; nothing else may change.
    options = {
        **to_dict(plan.source, plan.controlnet),
        **{f"twins {k}": v for k, v in to_dict(plan.twins, plan.output).items()},
        **{f"segmentation {k}": v for k, v in plan.segmentation.items()},
    }
    options = without_paths(options)
    file = folder / _PLAN_FILE
    if file.is_file():
        differing = differences(_read(file), options)
        if differing:
            raise ValueError(f"`output_dir` {folder} holds another study: {'; '.join(differing)}.")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(options, indent=1) + "\n", "utf-8")


def _make_twins(plan: StudyPlan, folder: Path, fraction: float) -> None:
    """The ControlNet and the twins of one fraction."""
    from scribblegen.trainers.controlnet.config import ControlNetRunConfig
    from scribblegen.trainers.controlnet.trainer import ControlNetTrainer

    source = replace(plan.source, train_fraction=fraction)
    base = plan.controlnet.pretrained_model_name_or_path or TINY
    controlnet = folder / "controlnet"
    if not (controlnet / "README.md").is_file():  # written last
        logger.info(f"fraction {fraction:g}: training a ControlNet on it")
        photographs = open_source(source)
        assert photographs is not None
        config = replace(
            plan.controlnet,
            pretrained_model_name_or_path=str(tiny_folder()) if base == TINY else base,
        )
        run_config = ControlNetRunConfig(
            output_dir=str(controlnet), resume_from_checkpoint="latest", checkpoints_total_limit=1
        )
        ControlNetTrainer(config, run_config, photographs).train()
    logger.info(f"fraction {fraction:g}: drawing twins")
    method = replace(
        plan.twins,
        pipeline=str(tiny_folder()) if base == TINY else base,
        controlnet=str(controlnet),
    )
    build(source, method, plan.output, output_dir=folder / "twins")


def _trainings(plan: StudyPlan, folder: Path) -> Iterator[Training]:
    for seed in plan.study.seeds:  # outermost: a study that is cut short has compared like seeds
        for fraction in plan.study.fractions:
            inside = _fraction_folder(folder, fraction)
            twins = inside / "twins"
            for arm in plan.study.arms:
                options = {**plan.segmentation, **plan.arm_options(arm)}
                if arm.endswith(AGREED):
                    options["min_agreement"] = plan.study.min_agreement
                    options["agreement_model"] = str(_segmentor(inside, REAL, seed))
                if "synthetic" in options:
                    options["synthetic"] = [f"{twins}:{name}" for name in options["synthetic"]]
                yield Training(
                    arm,
                    fraction,
                    seed,
                    {
                        **options,
                        "real": str(twins),
                        "seed": seed,
                        "eval_split": "test",
                        "output_dir": str(_segmentor(inside, arm, seed)),
                    },
                )


def _segmentor(folder: Path, arm: str, seed: int) -> Path:
    return folder / "segmentors" / f"{arm}-seed{seed}"


def _train_all(trainings: list[Training], num_processes: int) -> None:
    with (
        ProcessPoolExecutor(
            num_processes, mp_context=get_context("spawn"), initializer=_set_up_worker
        ) as pool,
        tqdm(total=len(trainings), desc="segmentors", disable=not trainings) as bar,
    ):
        for done in as_completed([pool.submit(_train, t.options) for t in trainings]):
            done.result()
            bar.update()


def _set_up_worker() -> None:
    import torch
    import transformers

    torch.set_num_threads(1)  # several trainings at once share the cores
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _train(options: dict[str, Any]) -> None:
    from scribblegen.trainers.segmentation.config import SegmentationConfig
    from scribblegen.trainers.segmentation.run import train_segmentation

    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no",
             "logging_strategy": "no"}  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints its dictionaries
        train_segmentation(SegmentationConfig(**{**quiet, **options}))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
