"""Data, model and options in; a trained, measured classifier in a folder out."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from transformers import SegformerImageProcessor, set_seed

from scribblegen.cards.classifier import render_classifier_card
from scribblegen.configs import without_paths
from scribblegen.segmenting.tags import background_of, tags_of
from scribblegen.trainers.base.subset_training import (
    card_arguments,
    checkpoint_of,
    finish_folder,
    train_and_measure,
)
from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.classifier.measures import tag_scores
from scribblegen.trainers.classifier.models import open_classifier
from scribblegen.trainers.classifier.tags import TaggedViews
from scribblegen.trainers.classifier.trainer import ClassifierTrainer
from scribblegen.trainers.segmentation.data import SegmentationRows, open_rows
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.trainers.segmentation.packaged_backbones import PACKAGED_BACKBONES
from scribblegen.trainers.segmentation.processors import shown_statistics
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.views import SchemeSampler, WholeImages

logger = logging.getLogger(__name__)


def train_classifier(config: ClassifierConfig) -> dict[str, Any]:
    """Trains, measures and saves a classifier in `config.output_dir`; pushes it where asked.

    The folder holds model, processor, card, `all_results.json` and checkpoints. Started again with
    `resume_from_checkpoint` it goes on, to the weights of an uninterrupted training.

    Returns:
        What was measured: `eval_mean_average_precision`, `eval_f1`, `eval_precision_<class>`.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    if config.real is None:
        raise ValueError("`real` must be given: the REPO or REPO:subset of the photographs.")
    training = open_rows(config.real, [])
    names = training.classes.names
    background = background_of(names, config.background)
    report = _report(config, names)
    tags = [name for number, name in enumerate(names) if number != background]
    counts = _counts(training, background)
    if not counts.any():
        raise ValueError(
            f"`real` must hold strokes of a class beside the background, {names[background or 0]}. "
            f"{config.real} has none."
        )
    if len(never := [name for name, count in zip(tags, counts, strict=True) if not count]):
        logger.warning(f"no photograph has a stroke of {', '.join(never)}: it is not learned")
    model = open_classifier(
        tags,
        model_name_or_path=config.model_name_or_path,
        backbone=config.backbone,
        architecture=config.architecture,
        output_stride=config.output_stride,
        seed=config.seed,
    )
    processor = _processor(config)
    identity = {
        **without_paths(config.identity()),
        "classes": tags,
        "photographs": training.num_real,
    }
    folder = Path(str(config.output_dir))
    checkpoint = checkpoint_of(folder, config.resume_from_checkpoint, identity)
    cache_bytes = int(config.cache_gb * 1e9)
    views = TaggedViews(training, config.augmentation(), seed=config.seed, cache_bytes=cache_bytes)
    views.background = background
    set_seed(config.seed)
    trainer = ClassifierTrainer(
        model,
        config.for_trainer(),
        SchemeSampler(_scheme(config, training)),
        background=background,
        train_dataset=views,
        eval_dataset=report and WholeImages(report),
        processing_class=processor,
        mean=processor.image_mean,
        std=processor.image_std,
    )
    measured = train_and_measure(
        trainer,
        identity,
        lambda: _measure(trainer, WholeImages(report), tags) if report else {},
        checkpoint,
    )
    if trainer.is_world_process_zero():
        card = render_classifier_card(
            {**identity, "background": background is not None},
            measured,
            weights=str(PACKAGED_BACKBONES.get(str(config.backbone), "")),
            **card_arguments(trainer, "train-classifier"),
        )
        finish_folder(config, card)
    return measured


def _report(config: ClassifierConfig, names: tuple[str, ...]) -> SegmentationRows | None:
    """The photographs that are measured on, or None; their classes are those of the training."""
    if not config.eval_split:
        return None
    report = open_rows(str(config.eval_data or config.real), [], split=config.eval_split)
    if report.classes.names != names:
        raise ValueError(
            f"`eval_data` {config.eval_data} and {config.real} must have the same classes, in the "
            f"same order. They have {report.classes.names} and {names}."
        )
    return report


def _counts(rows: SegmentationRows, background: int | None) -> np.ndarray:
    """In how many photographs each tag occurs: (K,) int64."""
    tags = [
        tags_of(rows.read(row)[LABEL], len(rows.classes), background)
        for row in range(rows.num_real)
    ]
    return np.stack(tags).sum(axis=0, dtype=np.int64)


def _scheme(config: ClassifierConfig, rows: SegmentationRows) -> Scheme:
    samples = config.train_batch_size * config.gradient_accumulation_steps * config.world_size
    epochs = config.num_train_epochs
    if config.max_steps > 0:
        epochs = config.max_steps * samples / rows.num_real
    return Scheme(
        name="none",
        num_real=rows.num_real,
        twin_sets=(),
        num_epochs=max(1, math.ceil(epochs)),
        seed=config.seed,
    )


def _processor(config: ClassifierConfig) -> Any:
    """What brings a picture into the form that the classifier was trained on."""
    mean, std = shown_statistics(config.backbone, config.model_name_or_path)
    return SegformerImageProcessor(
        image_mean=mean,
        image_std=std,
        size={"shortest_edge": config.crop_size},
        do_reduce_labels=False,
    )


def _measure(
    trainer: ClassifierTrainer, images: WholeImages, tags: list[str]
) -> dict[str, float | None]:
    output = trainer.predict(images, metric_key_prefix="eval")
    found = tag_scores(np.asarray(output.predictions), np.asarray(output.label_ids))
    measured = {f"eval_{key}": value for key, value in found.items() if isinstance(value, float)}
    for name, value in zip(tags, found["per_tag"], strict=True):
        measured[f"eval_precision_{name}"] = value
    kept = {key: None if math.isnan(value) else value for key, value in measured.items()}
    return {**kept, "eval_images": len(images)}
