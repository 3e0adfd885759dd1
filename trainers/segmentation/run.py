"""Data, model and options in; a trained, measured segmentor in a folder out."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from scribblegen.cards.models import render_segmentation_card
from scribblegen.trainers.base.subset_run import Opened, subset_run
from scribblegen.trainers.base.subset_training import card_arguments
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.confusion import scores
from scribblegen.trainers.segmentation.opening import open_training
from scribblegen.trainers.segmentation.packaged_backbones import PACKAGED_BACKBONES
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from scribblegen.trainers.segmentation.views import WholeImages


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

    def opening(config: SegmentationConfig, args: SegmentationConfig) -> Opened:
        return open_training(config, args, trainer_type)

    return subset_run(config, opening, _measured, partial(_card, config))


def _measured(opened: Opened) -> dict[str, Any]:
    trainer, names = opened.trainer, opened.identity["classes"]
    measured = _measure(trainer, opened.report, "eval", names) if opened.report else {}
    if opened.monitored:
        measured |= _measure(trainer, opened.monitored, "selection", names)
    return measured


def _card(config: SegmentationConfig, opened: Opened, measured: dict[str, Any]) -> str:
    names = opened.identity["classes"]
    return render_segmentation_card(
        {**opened.identity, "unseen_classes": [names[i] for i in opened.trainer.unseen]},
        measured,
        weights=str(PACKAGED_BACKBONES.get(str(config.backbone), "")),
        **card_arguments(opened.trainer, "train-segmentation"),
    )


def _measure(
    trainer: SegmentationTrainer, images: WholeImages, prefix: str, names: Sequence[str]
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
