"""All that a training of a segmentor needs, opened and checked before any work."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import set_seed

from scribblegen.configs import without_paths
from scribblegen.trainers.base.dry_run import DataFound
from scribblegen.trainers.base.subset_run import Opened
from scribblegen.trainers.base.subset_training import checkpoint_of
from scribblegen.trainers.judge import Judge
from scribblegen.trainers.segmentation.config import CROP, SegmentationConfig
from scribblegen.trainers.segmentation.data import SegmentationRows, open_rows
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.trainers.segmentation.models import open_model
from scribblegen.trainers.segmentation.processors import open_processor
from scribblegen.trainers.segmentation.row_check import check_rows, coverage
from scribblegen.trainers.segmentation.row_selection import (
    agreed_twins,
    near_twins,
    num_twins,
    num_unpaired,
    recorded_scores,
    rows_of_part,
    split_off,
    without_synthetic,
)
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.trainer import SegmentationTrainer
from scribblegen.trainers.segmentation.views import SchemeSampler, Views, WholeImages
from scribblegen.trainers.segmentation.without_photographs import check_photographs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SegmentationData:
    """What a training reads, opened and checked."""

    training: SegmentationRows
    selection: SegmentationRows | None  # kept apart, to choose the best checkpoint by; hides alike
    report: SegmentationRows | None


def open_data(config: SegmentationConfig) -> SegmentationData:
    """Opens all subsets before any work.

    Raises:
        ValueError: a subset, split, label or map is missing, classes disagree, or an option needs
            photographs where there are none, an unseen class is no class, or there are fewer
            synthetic images than parts.
    """
    check_photographs(config)
    training = open_rows(config.real, config.synthetic, labels=config.labels, maps=config.maps())
    report = selection = None
    if config.eval_split:
        report = open_rows(
            config.eval_data or config.real, [], labels=config.eval_labels, split=config.eval_split
        )
        if report.classes.names != training.classes.names:
            trained_on = config.real or config.synthetic[0]
            raise ValueError(
                f"{config.eval_data} and {trained_on} must have the same classes, in the same "
                f"order. They have {report.classes.names} and {training.classes.names}."
            )
    unseen = config.unseen_ids(training.classes.names)
    if config.held_out:
        training = without_synthetic(training, rows_of_part(training, config.held_out))
    if config.hide_unseen:
        training = replace(training, hidden=unseen)
    if config.selection_share:
        training, selection = split_off(training, config.selection_share, config.seed)
    if config.max_source_distance is not None:
        training = near_twins(training, config.max_source_distance)
    return SegmentationData(training, selection, report)


def open_training(
    config: SegmentationConfig, args: SegmentationConfig, trainer_type: type[SegmentationTrainer]
) -> Opened:
    """Opens and checks all that a training needs; `args` are for the Trainer."""
    data = open_data(config)
    where = f"`real` {config.real}" if config.real else f"`synthetic` {', '.join(config.synthetic)}"
    checked = check_rows(data.training, where)
    remarks = coverage(checked, data.training.classes.names, where)
    measured = [
        check_rows(rows, f"`eval_split` {config.eval_split}")
        for rows in (data.report, data.selection)
        if rows
    ]
    model = open_model(
        data.training.classes.names,
        model_name_or_path=config.model_name_or_path,
        backbone=config.backbone,
        architecture=config.architecture,
        output_stride=config.output_stride,
        seed=config.seed,
    )
    processor = open_processor(config)
    training = _agreed_twins(data.training, config)
    norm = {"mean": processor.image_mean, "std": processor.image_std}
    cache_bytes = int(config.cache_gb * 1e9)
    views = Views(training, config.augmentation(), seed=config.seed, cache_bytes=cache_bytes)
    crop = config.crop_size if config.eval_protocol == CROP else None
    report, monitored = (
        None if rows is None else WholeImages(rows, crop=crop)
        for rows in (data.report, data.selection)
    )
    identity = {
        **without_paths(config.identity()),
        "classes": list(training.classes.names),
        "photographs": training.num_real,
        "twins": num_twins(training),
        "unpaired": num_unpaired(training),
    }
    folder = Path(str(config.output_dir))
    checkpoint = checkpoint_of(folder, config.resume_from_checkpoint, identity)
    set_seed(config.seed)
    trainer = trainer_type(
        model,
        args,
        SchemeSampler(_scheme(config, training), config.splicing()),
        train_dataset=views,
        eval_dataset=monitored or report,
        processing_class=processor,
        **norm,
    )
    found = DataFound(
        real=without_paths({"real": config.real})["real"] or "",
        photographs=training.num_real,
        twins=num_twins(training),
        unpaired=num_unpaired(training),
        rows_checked=checked.rows + sum(each.rows for each in measured),
        classes=checked.images_of(training.classes.names),
        remarks=tuple(remarks),
    )
    return Opened(trainer, found, identity, checkpoint, report, monitored)


def _scheme(config: SegmentationConfig, rows: SegmentationRows) -> Scheme:
    return Scheme(
        name=config.scheme,
        num_real=rows.num_real,
        twin_sets=rows.twin_sets,
        twins_per_real=config.twins_per_real,
        replacement_rate=config.replacement_rate,
        num_epochs=_num_epochs(config, rows.num_real or len(rows)),
        iteration_matched=config.iteration_matched,
        seed=config.seed,
    )


def _num_epochs(config: SegmentationConfig, epoch_length: int) -> int:
    """Epochs of the whole training, for schemes that change with them."""
    if config.max_steps <= 0:
        return math.ceil(config.num_train_epochs)
    samples = config.train_batch_size * config.gradient_accumulation_steps * config.world_size
    return max(1, math.ceil(config.max_steps * samples / epoch_length))


def _agreed_twins(rows: SegmentationRows, config: SegmentationConfig) -> SegmentationRows:
    """The images in whose pictures a segmentor finds the label: a given one, or the build's."""
    if config.min_agreement is None and config.best_twins is None:
        return rows
    if config.agreement_model is not None:
        judge = Judge(config.agreement_model, rows.classes, config.device)

        def measure(asked: Sequence[int]) -> np.ndarray:
            read = map(rows.read, asked)
            return np.array([judge.agreement(r["image"], r[LABEL]) for r in read])
    else:
        try:
            recorded = recorded_scores(rows, "agreement")
        except ValueError as error:
            raise ValueError(
                f"`min_agreement` and `best_twins` need an `agreement_model`: {error}"
            ) from error

        def measure(asked: Sequence[int]) -> np.ndarray:
            return np.array([recorded[row] for row in asked])

    kept = agreed_twins(rows, measure, at_least=config.min_agreement, best=config.best_twins)
    left, there = (num_twins(r) + num_unpaired(r) for r in (kept, rows))
    logger.info(f"{left} of {there} synthetic images are agreed with")
    return kept
