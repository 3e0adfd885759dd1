"""What every training on subsets does when its parts are open: tries, or trains and tells."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from scribblegen.trainers.base.dry_run import DataFound, dry_run, few_steps
from scribblegen.trainers.base.subset_config import SubsetTrainingConfig
from scribblegen.trainers.base.subset_training import finish_folder, train_and_measure

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=SubsetTrainingConfig)


@dataclass(frozen=True, eq=False)
class Opened:
    """A training that is ready to begin.

    Args:
        trainer: a `SegmentationTrainer`.
        found: what is in its rows.
        identity: what a checkpoint must agree with to be gone on from.
        checkpoint: that it goes on from.
        report: images that are measured when it is done, such as `WholeImages`.
        monitored: images that are measured on the way, where these are others.
    """

    trainer: Any
    found: DataFound
    identity: dict[str, Any]
    checkpoint: str | None
    report: Any | None
    monitored: Any | None = None


def subset_run(
    config: Config,
    opening: Callable[[Config, Config], Opened],
    measure: Callable[[Opened], dict[str, Any]],
    card: Callable[[Opened, dict[str, Any]], str],
) -> dict[str, Any]:
    """Trains, measures and saves a model with its card; or tries it, where `dry_run` is set.

    Args:
        config: the options of the training.
        opening: opens and checks all that it needs, of the options and those for the Trainer.
        measure: called when the training is done.
        card: the model's card, of what was measured; called in the main process.

    Returns:
        What was measured; of a dry run the entries of `DryRun`.
    """
    if config.dry_run:
        with few_steps(config) as args:
            opened = opening(config, args)
            return vars(
                dry_run(
                    opened.trainer,
                    config,
                    opened.found,
                    reports=[images for images in (opened.report, opened.monitored) if images],
                    monitored=opened.monitored or opened.report,
                    checkpoint=opened.checkpoint,
                )
            )
    opened = opening(config, config.for_trainer())
    for remark in opened.found.remarks:
        logger.warning(remark)
    measured = train_and_measure(
        opened.trainer, opened.identity, lambda: measure(opened), opened.checkpoint
    )
    if opened.trainer.is_world_process_zero():
        finish_folder(config, card(opened, measured))
    return measured
