"""The datasets that a study's segmentors learn from: photographs, twins, pseudo labels."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scribblegen.builders.config import PhotographsConfig, SubsetConfig
from scribblegen.builders.sources import open_source
from scribblegen.commands.build import build
from scribblegen.commands.study.arms import is_elsewhere
from scribblegen.commands.study.folders import (
    pseudo_labels_folder,
    segmentor_folder,
    twins_folder,
)
from scribblegen.commands.study.plan import StudyPlan
from scribblegen.methods.cdsp import SUBSET as PSEUDO_LABELS
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.records import DEFAULT_SUBSET
from scribblegen.tiny import TINY, tiny_folder
from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig

logger = logging.getLogger(__name__)


def learned_subset(plan: StudyPlan, folder: Path, subset: str, arm: str, seed: int) -> str:
    """Where an arm finds a fraction's photographs, or twins: with pseudo labels, if there are any
    that its segmentor does not make itself."""
    if plan.pseudo_labels is None or arm == plan.labeller:
        return f"{twins_folder(folder)}:{subset}"
    of_seed = seed if plan.labeller else None
    return f"{pseudo_labels_folder(folder, subset, of_seed)}:{PSEUDO_LABELS}"


def make_datasets(
    plan: StudyPlan, source: PhotographsConfig, folder: Path, fraction: float
) -> None:
    """Whatever is missing of them, for one fraction of the photographs; but for pseudo labels that
    a segmentor of the study makes.

    Args:
        plan: from `read_study`.
        source: of all the photographs.
        folder: of the fraction; holds `twins`, and `controlnet`, `classifier` and `pseudo-labels-*`
            where the study has them.
        fraction: of the photographs.
    """
    source = replace(source, train_fraction=fraction)
    method = plan.twins
    if plan.controlnet is not None:
        networks = _train_controlnet(plan.controlnet, source, folder / "controlnet")
        method = replace(method, **networks)
    logger.info(f"{folder}: photographs and twins")
    _build(source, method, plan, twins_folder(folder))
    if plan.pseudo_labels is None or plan.labeller:
        return
    labels = plan.pseudo_labels
    if plan.classifier is not None:
        labels = replace(labels, classifier=_train_classifier(plan, folder))
    _make_labels(plan, labels, folder, None)


def make_own_labels(plan: StudyPlan, folder: Path, seed: int) -> None:
    """The pseudo labels that a fraction's segmentor of the arm that makes them makes.

    Args:
        plan: from `read_study`.
        folder: of the fraction; holds that segmentor.
        seed: of its training.
    """
    assert plan.pseudo_labels is not None and plan.labeller is not None
    segmentor = segmentor_folder(folder, plan.labeller, seed)
    _make_labels(plan, replace(plan.pseudo_labels, pseudo_label_model=str(segmentor)), folder, seed)


def _make_labels(plan: StudyPlan, labels: CdspConfig, folder: Path, seed: int | None) -> None:
    for subset in (DEFAULT_SUBSET, *_used_twins(plan.arms.values())):
        made = pseudo_labels_folder(folder, subset, seed)
        logger.info(f"{made}: pseudo labels")
        _build(SubsetConfig(subset=f"{twins_folder(folder)}:{subset}"), labels, plan, made)


def _build(source: Any, method: Any, plan: StudyPlan, output_dir: Path) -> None:
    progress = build(source, method, plan.output, output_dir=output_dir)
    if progress.warning:
        logger.warning(f"{output_dir}: {progress.warning}")


def _used_twins(arms: Iterable[dict[str, Any]]) -> list[str]:
    """The subsets of twins that any arm learns from."""
    used = dict.fromkeys(name for arm in arms for name in arm.get("synthetic", ()))
    return [name for name in used if not is_elsewhere(name)]


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


def _train_classifier(plan: StudyPlan, folder: Path) -> str:
    """The folder of a classifier of the tags of a fraction's photographs."""
    from scribblegen.trainers.classifier.config import ClassifierConfig
    from scribblegen.trainers.classifier.run import train_classifier

    classifier = folder / "classifier"
    if not (classifier / "README.md").is_file():  # written last
        logger.info(f"{folder}: training a classifier of the tags")
        assert plan.classifier is not None and plan.pseudo_labels is not None
        train_classifier(
            ClassifierConfig(
                **{
                    "report_to": "none",
                    "save_strategy": "no",
                    "logging_strategy": "no",
                    "eval_split": "",
                    **plan.classifier,
                    "background": plan.pseudo_labels.background,
                    "real": str(twins_folder(folder)),
                    "output_dir": str(classifier),
                }
            )
        )
    return str(classifier)
