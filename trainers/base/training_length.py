"""How long a training on subsets is, from its options alone, as the Trainer counts."""

import math
from dataclasses import dataclass

from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from scribblegen.trainers.base.subset_config import SubsetTrainingConfig


@dataclass(frozen=True)
class TrainingLength:
    """Of a whole training.

    Args:
        steps: optimiser steps.
        step_size: samples of a step, in all calls of all processes.
        epochs: passes over the views of an epoch.
        samples: views shown.
        checkpoints: that are written; 0 where that depends on what is measured.
        evaluations: that are made on the way.
    """

    steps: int
    step_size: int
    epochs: float
    samples: int
    checkpoints: int
    evaluations: int


def training_length(config: SubsetTrainingConfig, num_views: int) -> TrainingLength:
    """The length of a training of which an epoch shows `num_views` views."""
    batch, calls, world = (
        config.train_batch_size,
        config.gradient_accumulation_steps,
        config.world_size,
    )
    # Processes share the batches of an epoch; the last one of an epoch may be short.
    batches = math.ceil(math.ceil(num_views / batch) / world)
    per_epoch = math.ceil(batches / calls)
    steps = config.max_steps
    if steps <= 0:
        steps = math.ceil(config.num_train_epochs * per_epoch)
    whole, rest = divmod(steps, per_epoch)
    step_size = batch * calls * world
    epochs = steps / per_epoch

    def times(strategy: IntervalStrategy | SaveStrategy, every: float) -> int:
        if strategy in (IntervalStrategy.EPOCH, SaveStrategy.EPOCH):
            return math.ceil(epochs)
        if strategy not in (IntervalStrategy.STEPS, SaveStrategy.STEPS):
            return 0
        every = every if every >= 1 else math.ceil(every * steps)
        return math.ceil(steps / every)  # the last step is one of them

    return TrainingLength(
        steps,
        step_size,
        epochs,
        whole * num_views + min(num_views, rest * step_size),
        times(config.save_strategy, config.save_steps),
        times(config.eval_strategy, config.eval_steps or steps),
    )
