"""Data, model and options in; a trained, measured classifier in a folder out."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import set_seed

from scribblegen.cards.classifier import render_classifier_card
from scribblegen.configs import without_paths
from scribblegen.segmenting.tags import background_of
from scribblegen.trainers.base.dry_run import DataFound
from scribblegen.trainers.base.subset_run import Opened, subset_run
from scribblegen.trainers.base.subset_training import card_arguments, checkpoint_of
from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.classifier.measures import tag_scores
from scribblegen.trainers.classifier.models import open_classifier
from scribblegen.trainers.classifier.tags import TaggedViews
from scribblegen.trainers.classifier.trainer import ClassifierTrainer
from scribblegen.trainers.segmentation.data import SegmentationRows, open_rows
from scribblegen.trainers.segmentation.packaged_backbones import PACKAGED_BACKBONES
from scribblegen.trainers.segmentation.processors import crop_processor
from scribblegen.trainers.segmentation.row_check import check_rows
from scribblegen.trainers.segmentation.schemes import Scheme
from scribblegen.trainers.segmentation.views import SchemeSampler, WholeImages


def train_classifier(config: ClassifierConfig) -> dict[str, Any]:
    """Trains, measures and saves a classifier in `config.output_dir`; pushes it where asked.

    The folder holds model, processor, card, `all_results.json` and checkpoints. Started again with
    `resume_from_checkpoint` it goes on, to the weights of an uninterrupted training. With `dry_run`
    it does none of this, and says what it would be.

    Returns:
        What was measured: `eval_mean_average_precision`, `eval_f1`, `eval_precision_<class>`; of a
        dry run the entries of `DryRun`.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
        FloatingPointError: of a dry run, a loss is not finite.
    """
    return subset_run(config, _opened, _measure, partial(_card, config))


def _card(config: ClassifierConfig, opened: Opened, measured: dict[str, Any]) -> str:
    return render_classifier_card(
        {**opened.identity, "background": opened.trainer.background is not None},
        measured,
        weights=str(PACKAGED_BACKBONES.get(str(config.backbone), "")),
        **card_arguments(opened.trainer, "train-classifier"),
    )


def _opened(config: ClassifierConfig, args: ClassifierConfig) -> Opened:
    """Opens and checks all that a training needs; `args` are for the Trainer."""
    if config.real is None:
        raise ValueError("`real` must be given: the REPO or REPO:subset of the photographs.")
    training = open_rows(config.real, [])
    names = training.classes.names
    background = background_of(names, config.background)
    report = _report(config, names)
    tags = [name for number, name in enumerate(names) if number != background]
    checked = check_rows(training, f"`real` {config.real}")
    drawn = checked.drawn if background is None else np.delete(checked.drawn, background, axis=1)
    remarks = _not_learned(config, tags, drawn[checked.drawn.any(axis=1)])
    measured = check_rows(report, f"`eval_split` {config.eval_split}") if report else None
    model = open_classifier(
        tags,
        model_name_or_path=config.model_name_or_path,
        backbone=config.backbone,
        architecture=config.architecture,
        output_stride=config.output_stride,
        seed=config.seed,
    )
    processor = crop_processor(config.backbone, config.model_name_or_path, config.crop_size)
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
    shown = None if report is None else WholeImages(report)
    trainer = ClassifierTrainer(
        model,
        args,
        SchemeSampler(_scheme(config, training)),
        background=background,
        train_dataset=views,
        eval_dataset=shown,
        processing_class=processor,
        mean=processor.image_mean,
        std=processor.image_std,
    )
    found = DataFound(
        real=without_paths({"real": config.real})["real"],
        photographs=training.num_real,
        twins=0,
        unpaired=0,
        rows_checked=checked.rows + (measured.rows if measured else 0),
        classes=checked.images_of(names),
        remarks=tuple(remarks),
    )
    return Opened(trainer, found, identity, checkpoint, shown)


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


def _not_learned(config: ClassifierConfig, tags: list[str], drawn: np.ndarray) -> list[str]:
    """What photographs with strokes, (N, K) bool of the tags that they have, do not teach.

    Raises:
        ValueError: they teach no tag: none has one, or all have the same.
    """
    if not drawn.any():
        raise ValueError(
            f"`real` must hold strokes of a class beside the background. {config.real} has none."
        )
    never = [name for name, has in zip(tags, drawn.T, strict=True) if not has.any()]
    always = [name for name, has in zip(tags, drawn.T, strict=True) if has.all()]
    if len(never) + len(always) == len(tags):
        raise ValueError(
            f"`real` must hold photographs with and without a class: only they tell classes "
            f"apart. All {len(drawn)} photographs of {config.real} with strokes have "
            f"{', '.join(always)} and no other of {len(tags)}."
        )
    remarks = []
    if never:
        remarks.append(f"no photograph has a stroke of {', '.join(never)}: not learned")
    if always:
        remarks.append(
            f"every photograph has a stroke of {', '.join(always)}: not told from anything"
        )
    return remarks


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


def _measure(opened: Opened) -> dict[str, float | None]:
    if opened.report is None:
        return {}
    output = opened.trainer.predict(opened.report, metric_key_prefix="eval")
    found = tag_scores(np.asarray(output.predictions), np.asarray(output.label_ids))
    measured = {f"eval_{key}": value for key, value in found.items() if isinstance(value, float)}
    for name, value in zip(opened.identity["classes"], found["per_tag"], strict=True):
        measured[f"eval_precision_{name}"] = value
    kept = {key: None if math.isnan(value) else value for key, value in measured.items()}
    return {**kept, "eval_images": len(opened.report)}
