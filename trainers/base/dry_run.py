"""A training that is tried and not done: a few of its steps, and what all of it would be."""

import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from scribblegen.trainers.base.measured_steps import (
    first_batch,
    measured_steps,
    memory_of,
    seconds_per_image,
)
from scribblegen.trainers.base.subset_config import SubsetTrainingConfig
from scribblegen.trainers.base.training_length import training_length

_MEASURED = 5  # steps, after one that warms up

Config = TypeVar("Config", bound=SubsetTrainingConfig)


@dataclass(frozen=True, kw_only=True)
class DataFound:
    """What was found in the rows of a training.

    Args:
        real: what the photographs are of, as the option names it; empty where there are none.
        photographs, twins, unpaired: that may be drawn.
        rows_checked: of training and measuring, that were looked at one by one.
        classes: in how many photographs each is labelled, by name; without photographs, in how
            many of the synthetic images that were looked at.
        remarks: what will not be learned, as sentences.
    """

    real: str
    photographs: int
    twins: int
    unpaired: int
    rows_checked: int
    classes: dict[str, int]
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a training would be. Times are seconds, memory is bytes of one process.

    Args:
        data: what is in its rows.
        architecture: the class of its model.
        parameters: numbers that are trained.
        crop_size, call_size, calls, processes: samples of `crop_size` squared pixels in a call,
            calls of a step, processes.
        losses: value of every term on the first batch, before its weight.
        loss_weights: of every term.
        loss: their weighed sum, and what a method adds to it.
        steps, step_size, epochs, samples, checkpoints: see `TrainingLength`.
        measured_steps: how many were measured after a warm-up.
        seconds_per_step: their median, with all calls of a step, and the reading of its data.
        images: that are measured, all evaluations together, each as often as it is.
        seconds_per_image: of one, as it is measured; None where none is.
        inference: how an image is shown when it is measured, in words.
        peak_memory: most memory held: of the GPU, or of the process where there is none.
        memory: that the GPU, or the machine, has.
        device: cpu, cuda, ...
        checkpoint: that the training would go on from.
        output_dir: where it would write.
    """

    data: DataFound
    architecture: str
    parameters: int
    crop_size: int
    call_size: int
    calls: int
    processes: int
    losses: dict[str, float]
    loss_weights: dict[str, float]
    loss: float
    steps: int
    step_size: int
    epochs: float
    samples: int
    checkpoints: int
    measured_steps: int
    seconds_per_step: float
    images: int
    seconds_per_image: float | None
    inference: str
    peak_memory: int
    memory: int
    device: str
    checkpoint: str | None
    output_dir: str

    @property
    def training_seconds(self) -> float:
        """Of all steps."""
        return self.steps * self.seconds_per_step

    @property
    def evaluation_seconds(self) -> float:
        """Of all images, shared out over the processes."""
        return math.ceil(self.images / self.processes) * (self.seconds_per_image or 0.0)


@contextmanager
def few_steps(config: Config) -> Iterator[Config]:
    """The options of a training of a few steps that leaves nothing behind."""
    with tempfile.TemporaryDirectory() as folder:
        yield config.for_steps(1 + _MEASURED, folder)


def dry_run(
    trainer: Any,
    config: Any,
    data: DataFound,
    *,
    reports: Sequence[Sized],
    monitored: Sized | None,
    checkpoint: str | None,
) -> DryRun:
    """Tries a training that is ready to begin; its model must be thrown away afterwards.

    Args:
        trainer: a `SegmentationTrainer`, with the options of `few_steps`.
        config: the options of the whole training.
        data: what is in its rows.
        reports: what is measured when it is done, such as `WholeImages`.
        monitored: what is measured on the way.
        checkpoint: that it would go on from.

    Raises:
        FloatingPointError: a term of the loss, or a gradient, is not finite.
        ValueError: the memory of the GPU does not hold it.
    """
    length = training_length(config, len(trainer.sampler))
    device = trainer.args.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        loss, values = first_batch(trainer)
        times = measured_steps(trainer)
        seconds = seconds_per_image(trainer, next((r for r in (*reports, monitored) if r), None))
    except torch.OutOfMemoryError as error:
        raise ValueError(
            f"`per_device_train_batch_size` must be one that the GPU has memory for. Got "
            f"{config.per_device_train_batch_size}, with crops of {config.crop_size}: "
            f"{str(error).splitlines()[0]} Lower it and raise `gradient_accumulation_steps`."
        ) from error
    weights = {name: config.loss_weights().get(name, 1.0) for name in values}
    images = sum(map(len, reports)) + length.evaluations * len(monitored or ())
    trained = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    peak, memory = memory_of(device)
    return DryRun(
        data=data,
        architecture=type(trainer.model).__name__,
        parameters=sum(p.numel() for p in trained),
        crop_size=config.crop_size,
        call_size=config.train_batch_size,
        calls=config.gradient_accumulation_steps,
        processes=config.world_size,
        losses={name: value / weights[name] for name, value in values.items()},
        loss_weights=weights,
        loss=loss,
        steps=length.steps,
        step_size=length.step_size,
        epochs=length.epochs,
        samples=length.samples,
        checkpoints=length.checkpoints,
        measured_steps=len(times),
        seconds_per_step=statistics.median(times),
        images=images,
        seconds_per_image=seconds,
        inference=str(config.inference()),
        peak_memory=peak,
        memory=memory,
        device=device.type,
        checkpoint=None if checkpoint is None else Path(checkpoint).name,
        output_dir=str(config.output_dir),
    )
