"""Masks and options in; a trained affinity network in a folder out."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import set_seed

from scribblegen.cards.affinity import render_affinity_card
from scribblegen.configs import without_paths
from scribblegen.segmenting.affinity import cell_labels, pair_counts
from scribblegen.segmenting.tags import background_of
from scribblegen.trainers.affinity.config import AffinityConfig
from scribblegen.trainers.affinity.measures import pair_scores
from scribblegen.trainers.affinity.models import open_affinity_network
from scribblegen.trainers.affinity.trainer import AffinityTrainer
from scribblegen.trainers.base.dry_run import DataFound
from scribblegen.trainers.base.subset_run import Opened, subset_run
from scribblegen.trainers.base.subset_training import card_arguments, checkpoint_of
from scribblegen.trainers.segmentation.data import SegmentationRows, open_rows
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.trainers.segmentation.packaged_backbones import PACKAGED_BACKBONES
from scribblegen.trainers.segmentation.processors import crop_processor
from scribblegen.trainers.segmentation.row_check import check_rows, coverage
from scribblegen.trainers.segmentation.schemes import SYNTHETIC_ONLY, Scheme
from scribblegen.trainers.segmentation.views import SchemeSampler, Views, WholeImages

_LOOKED_AT = 200  # masks, evenly spaced


def train_affinity(config: AffinityConfig) -> dict[str, Any]:
    """Trains and saves an affinity network in `config.output_dir`; pushes it where asked.

    The folder holds network, processor, card, `all_results.json` and checkpoints. Started again
    with `resume_from_checkpoint` it goes on, to the weights of an uninterrupted training. With
    `dry_run` it does none of this, and says what it would be.

    Returns:
        What was measured, where `eval_data` is given: `eval_pair_accuracy`,
        `eval_affinity_<kind of pair>`; of a dry run the entries of `DryRun`.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
        FloatingPointError: of a dry run, a loss is not finite.
    """
    return subset_run(config, _opened, _measure, partial(_card, config))


def _card(config: AffinityConfig, opened: Opened, measured: dict[str, Any]) -> str:
    return render_affinity_card(
        opened.identity,
        measured,
        weights=str(PACKAGED_BACKBONES.get(str(config.backbone), "")),
        **card_arguments(opened.trainer, "train-affinity"),
    )


def _opened(config: AffinityConfig, args: AffinityConfig) -> Opened:
    """Opens and checks all that a training needs; `args` are for the Trainer."""
    if not config.synthetic:
        raise ValueError("`synthetic` must be given: REPO:subset of the images with masks.")
    training = open_rows(None, config.synthetic)
    names = training.classes.names
    background = background_of(names, config.background)
    report = _report(config, names)
    where = f"`synthetic` {', '.join(config.synthetic)}"
    checked = check_rows(training, where)
    remarks = coverage(checked, names, where)
    _check_borders(training, background, config, where)
    measured = check_rows(report, f"`eval_data` {config.eval_data}") if report else None
    network = open_affinity_network(
        backbone=config.backbone,
        stride=int(config.stride or 0),
        side=config.crop_size,
        seed=config.seed,
    )
    processor = crop_processor(config.backbone, None, config.crop_size)
    identity = {
        **without_paths(config.identity()),
        "classes": list(names),
        "images": len(training),
    }
    folder = Path(str(config.output_dir))
    checkpoint = checkpoint_of(folder, config.resume_from_checkpoint, identity)
    cache_bytes = int(config.cache_gb * 1e9)
    views = Views(training, config.augmentation(), seed=config.seed, cache_bytes=cache_bytes)
    scheme = Scheme(name=SYNTHETIC_ONLY, num_real=0, twin_sets=training.twin_sets, seed=config.seed)
    shown = None if report is None else WholeImages(report)
    set_seed(config.seed)
    trainer = AffinityTrainer(
        network,
        args,
        SchemeSampler(scheme),
        background=background,
        train_dataset=views,
        eval_dataset=shown,
        processing_class=processor,
        mean=processor.image_mean,
        std=processor.image_std,
    )
    found = DataFound(
        real="",
        photographs=0,
        twins=0,
        unpaired=len(training),
        rows_checked=checked.rows + (measured.rows if measured else 0),
        classes=checked.images_of(names),
        remarks=tuple(remarks),
    )
    return Opened(trainer, found, identity, checkpoint, shown)


def _check_borders(
    rows: SegmentationRows, background: int | None, config: AffinityConfig, where: str
) -> None:
    """Refuses masks in none of which two classes meet: all places would be taken for one thing."""
    cells = config.crop_size // int(config.stride or 1)
    for row in range(0, len(rows), -(-len(rows) // _LOOKED_AT)):
        label = torch.tensor(rows.read(row)[LABEL])[None].long()
        if pair_counts(cell_labels(label, (cells, cells)), background)[-1]:
            return
    raise ValueError(
        f"{where} must hold masks that are sure of two classes near each other: nothing else tells "
        f"where a thing ends. On a grid of {cells} x {cells} none of those looked at does. Make "
        "them with a smaller `ignore_band`, or without `refine`."
    )


def _report(config: AffinityConfig, names: tuple[str, ...]) -> SegmentationRows | None:
    """The images with true masks that are measured on, or None."""
    if config.eval_data is None:
        return None
    report = open_rows(config.eval_data, [], labels="mask", split=config.eval_split)
    if report.classes.names != names:
        raise ValueError(
            f"`eval_data` {config.eval_data} and {config.synthetic[0]} must have the same classes, "
            f"in the same order. They have {report.classes.names} and {names}."
        )
    return report


def _measure(opened: Opened) -> dict[str, Any]:
    if opened.report is None:
        return {}
    output = opened.trainer.predict(opened.report, metric_key_prefix="eval")
    sums = np.asarray(output.predictions).sum(axis=0, dtype=np.float64)
    found = {f"eval_{key}": value for key, value in pair_scores(sums).items()}
    kept = {key: None if math.isnan(value) else value for key, value in found.items()}
    return {**kept, "eval_images": len(opened.report)}
