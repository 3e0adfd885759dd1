"""The options that every trainer shares; named as in diffusers' example scripts."""

from dataclasses import dataclass

from scribblegen.configs import option

MIXED_PRECISIONS = ("no", "fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How weights are optimised. Equal configs over equal sources give equal weights."""

    seed: int = option(0, "Root seed of order, noise, timesteps and dropout.")
    train_batch_size: int = option(4, "Samples of a process in one call.")
    gradient_accumulation_steps: int = option(1, "Calls for one optimiser step.")
    num_train_epochs: int = option(1, "Passes over the source, unless `max_train_steps` is set.")
    max_train_steps: int | None = option(None, "Optimiser steps; overrides `num_train_epochs`.")
    learning_rate: float = option(1e-4, "Learning rate of AdamW, after the warm-up.")
    scale_lr: bool = option(False, "Multiply the learning rate by the samples of a step.")
    lr_scheduler: str = option(
        "constant",
        "linear, cosine, cosine_with_restarts, polynomial, constant or constant_with_warmup.",
    )
    lr_warmup_steps: int = option(0, "Optimiser steps of warm-up.")
    lr_num_cycles: int = option(1, "Restarts of lr_scheduler cosine_with_restarts.")
    lr_power: float = option(1.0, "Power of lr_scheduler polynomial.")
    adam_beta1: float = option(0.9, "Decay of AdamW's first moment.")
    adam_beta2: float = option(0.999, "Decay of AdamW's second moment.")
    adam_weight_decay: float = option(1e-2, "Weight decay of AdamW.")
    adam_epsilon: float = option(1e-8, "Added to AdamW's denominator.")
    max_grad_norm: float = option(1.0, "Gradients are clipped to this norm.")
    mixed_precision: str = option("no", "no, fp16 or bf16.")
    allow_tf32: bool = option(False, "TensorFloat-32 products on Ampere and newer GPUs.")
    use_ema: bool = option(False, "Keep and save an exponential moving average of the weights.")
    ema_decay: float = option(0.9999, "Decay of that average, after a warm-up.")

    def __post_init__(self) -> None:
        if self.mixed_precision not in MIXED_PRECISIONS:
            raise ValueError(
                f"`mixed_precision` must be one of {MIXED_PRECISIONS}. "
                f"Got {self.mixed_precision!r}."
            )
        for name in ("train_batch_size", "gradient_accumulation_steps", "num_train_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
        if self.max_train_steps is not None and self.max_train_steps < 1:
            raise ValueError(f"`max_train_steps` must be at least 1. Got {self.max_train_steps}.")

    def total_steps(self, steps_per_epoch: int) -> int:
        """Optimiser steps of the whole training."""
        return self.max_train_steps or self.num_train_epochs * steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class TrainingRunConfig:
    """Where results go and how often. Changes no weight."""

    output_dir: str | None = option(None, "Folder of the trained model.")
    checkpointing_steps: int = option(500, "Optimiser steps between checkpoints.")
    checkpoints_total_limit: int | None = option(None, "Checkpoints kept, the newest.")
    resume_from_checkpoint: str | None = option(None, "Checkpoint folder to go on from; or latest.")
    dataloader_num_workers: int = option(0, "Processes that read photographs.")
    report_to: str | None = option(None, "Tracker: tensorboard, wandb, ...")
    logging_steps: int = option(50, "Optimiser steps between lines of the log.")
    push_to_hub: bool = option(False, "Upload the trained model to the Hub.")
    hub_model_id: str | None = option(
        None, "Its repository there, such as me/name; the folder's own name if unset."
    )
    hub_private_repo: bool | None = option(None, "Make that repository private.")
    num_processes: int = option(1, "Processes on this machine, through `accelerate launch`.")

    def __post_init__(self) -> None:
        if self.hub_model_id is not None and not self.push_to_hub:
            raise ValueError("`hub_model_id` has no effect without `push_to_hub`.")
        positive = ("checkpointing_steps", "checkpoints_total_limit", "logging_steps")
        for name in (*positive, "num_processes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
