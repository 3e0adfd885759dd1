"""A segmentation training from its config to the model's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import SegformerImageProcessor
from transformers.utils import logging as transformers_logging

from scribblegen.trainers.schemes import Scheme
from scribblegen.trainers.segmentation import SegmentationTrainer, WholeImages
from scribblegen.trainers.segmentation_config import SegmentationConfig
from scribblegen.trainers.segmentation_data import (
    SchemeSampler,
    SegmentationRows,
    Views,
    open_rows,
    split_off,
)
from scribblegen.trainers.segmentation_models import open_model

# Of ImageNet, which pretrained backbones were trained with.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESULTS_FILE = "eval_results.json"


@dataclass(frozen=True, eq=False)
class SegmentationRun:
    """Everything of a training, opened and checked.

    Args:
        trainer: ready to train.
        test: what is reported.
    """

    trainer: SegmentationTrainer
    test: WholeImages


def open_segmentation(config: SegmentationConfig) -> SegmentationRun:
    """Opens data and model.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    if config.real is None:
        raise ValueError("`real` must be given: the repository of the photographs.")
    rows = open_rows(config.real, config.synthetic, labels=config.labels)
    test = open_rows(config.real, [], labels="mask", split=config.eval_split)
    selection: SegmentationRows | None = None
    if config.selection_share:
        rows, selection = split_off(rows, config.selection_share, config.seed)
    elif config.load_best_model_at_end:
        raise ValueError(
            "`load_best_model_at_end` needs a `selection_share`: a checkpoint chosen on the split "
            "that is reported would flatter itself."
        )
    scheme = Scheme(
        name=config.scheme,
        num_real=rows.num_real,
        twin_sets=rows.twin_sets,
        twins_per_real=config.twins_per_real,
        replacement_rate=config.replacement_rate,
        num_epochs=max(1, int(config.num_train_epochs)),
        iteration_matched=config.iteration_matched,
        seed=config.seed,
    )
    statistics: dict[str, Any] = {"mean": MEAN, "std": STD}
    model = open_model(
        rows.classes.names,
        model_name_or_path=config.model_name_or_path,
        architecture=config.architecture,
        output_stride=config.output_stride,
        seed=config.seed,
    )
    trainer = SegmentationTrainer(
        model,
        config,
        SchemeSampler(scheme),
        train_dataset=Views(
            rows,
            config.augmentation(),
            seed=config.seed,
            keep_decoded=config.keep_decoded,
            **statistics,
        ),
        eval_dataset=None if selection is None else WholeImages(selection, **statistics),
        processing_class=SegformerImageProcessor(
            do_resize=False, image_mean=list(MEAN), image_std=list(STD)
        ),
        **statistics,
    )
    return SegmentationRun(trainer, WholeImages(test, **statistics))


def run_segmentation(run: SegmentationRun) -> dict[str, float]:
    """Trains, measures on the reported split, and saves the model; returns the scores."""
    trainer, config = run.trainer, run.trainer.config
    trainer.train(resume_from_checkpoint=config.resume_from_checkpoint)
    found = trainer.evaluate(run.test, metric_key_prefix=config.eval_split)
    trainer.save_model()
    if trainer.is_world_process_zero():
        folder = Path(str(config.output_dir))
        (folder / RESULTS_FILE).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    transformers_logging.get_logger(__name__).info("%s", found)
    return found
