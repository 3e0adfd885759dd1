"""Data, model and options in; a trained, measured segmentor in a folder out."""

import logging
from typing import Any

import numpy as np

from scribblegen.cards.models import render_segmentation_card
from scribblegen.trainers.base.dry_run import dry_run, few_steps
from scribblegen.trainers.base.subset_training import (
    card_arguments,
    finish_folder,
    train_and_measure,
)
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.confusion import scores
from scribblegen.trainers.segmentation.opening import open_training
from scribblegen.trainers.segmentation.packaged_backbones import PACKAGED_BACKBONES
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from scribblegen.trainers.segmentation.views import WholeImages

logger = logging.getLogger(__name__)


def train_segmentation(
    config: SegmentationConfig, trainer_type: type[SegmentationTrainer] = SegmentationTrainer
) -> dict[str, Any]:
    """Trains, measures and saves a segmentor in `config.output_dir`; pushes it where asked.

    The folder holds model, processor, card, `all_results.json` and checkpoints. Started again with
    `resume_from_checkpoint` it goes on, to the weights of an uninterrupted training. With `dry_run`
    it does none of this, and says what it would be.

    Args:
        config: the options of the training; its `maps` are what the loss is shown.
        trainer_type: holds the loss.

    Returns:
        What was measured, named as by transformers' example: `eval_mean_iou`, `eval_iou_<class>`;
        of a dry run the entries of `DryRun`.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
        FloatingPointError: of a dry run, a loss is not finite.
    """
    if config.dry_run:
        with few_steps(config) as args:
            opened = open_training(config, args, trainer_type)
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
    opened = open_training(config, config.for_trainer(), trainer_type)
    for remark in opened.found.remarks:
        logger.warning(remark)
    trainer, identity, names = opened.trainer, opened.identity, opened.class_names

    def measure() -> dict[str, Any]:
        report, monitored = opened.report, opened.monitored
        measured = _measure(trainer, report, "eval", names) if report else {}
        if monitored:
            measured |= _measure(trainer, monitored, "selection", names)
        return measured

    measured = train_and_measure(trainer, identity, measure, opened.checkpoint)
    if trainer.is_world_process_zero():
        card = render_segmentation_card(
            {**identity, "unseen_classes": [names[number] for number in trainer.unseen]},
            measured,
            weights=str(PACKAGED_BACKBONES.get(str(config.backbone), "")),
            **card_arguments(trainer, "train-segmentation"),
        )
        finish_folder(config, card)
    return measured


def _measure(
    trainer: SegmentationTrainer, images: WholeImages, prefix: str, names: tuple[str, ...]
) -> dict[str, Any]:
    """`<prefix>_mean_iou`, ..., and intersection over union and accuracy of every class; where some
    are unseen, `<prefix>_mean_iou_seen`, `_unseen` and `<prefix>_harmonic_mean_iou` too."""
    output = trainer.predict(images, metric_key_prefix=prefix)
    matrix = np.asarray(output.predictions).sum(axis=0, dtype=np.int64)
    found = scores(matrix, trainer.unseen)
    measured: dict[str, Any] = {
        f"{prefix}_{k}": v for k, v in found.items() if isinstance(v, float)
    }
    for kind, values in (
        ("iou", found["per_category_iou"]),
        ("accuracy", found["per_category_accuracy"]),
    ):
        for name, value in zip(names, values, strict=True):
            measured[f"{prefix}_{kind}_{name}"] = None if np.isnan(value) else float(value)
    return {**measured, f"{prefix}_images": len(images)}
