"""The options of ControlNet training; named as in diffusers' `train_controlnet.py`."""

from dataclasses import dataclass

from scribblegen.conditioning import HINT_ENCODINGS
from scribblegen.configs import option
from scribblegen.prompts import PROMPT_MODES, PROMPT_STEM

NULL_HINTS = ("zero", "learned")
MIXED_PRECISIONS = ("no", "fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class ControlNetConfig:
    """What is trained. Equal configs over equal sources give equal weights."""

    pretrained_model_name_or_path: str | None = option(
        None, "Folder or Hub id of the base pipeline in diffusers' layout; it stays frozen."
    )
    controlnet_model_name_or_path: str | None = option(
        None, "ControlNet to start from; a copy of the base's UNet encoder if unset."
    )
    revision: str | None = option(None, "Revision of the base pipeline on the Hub.")
    variant: str | None = option(None, "Variant of the base pipeline's weights, such as fp16.")
    hint_encoding: str = option("one_hot", "one_hot (a plane per class) or rgb_palette.")
    hint_dropout: float = option(0.1, "Probability to drop the hint alone.")
    text_dropout: float = option(0.0, "Probability to drop the text alone.")
    both_dropout: float = option(0.0, "Probability to drop hint and text together.")
    null_hint: str = option("zero", "The hint that stands for no scribble: zero, or learned.")
    prompt_mode: str = option(
        "classes", "classes (stem and class names), stem, or caption (the source's own)."
    )
    prompt_stem: str = option(PROMPT_STEM, "First words of the prompt.")
    resolution: int | None = option(None, "Side of the training square; the base's if unset.")
    seed: int = option(0, "Root seed of order, noise, timesteps and dropout.")
    train_batch_size: int = option(4, "Samples of a process in one call.")
    gradient_accumulation_steps: int = option(1, "Calls for one optimiser step.")
    num_train_epochs: int = option(1, "Passes over the source, unless `max_train_steps` is set.")
    max_train_steps: int | None = option(None, "Optimiser steps; overrides `num_train_epochs`.")
    learning_rate: float = option(1e-4, "Of AdamW, after the warm-up.")
    lr_scheduler: str = option(
        "constant", "linear, cosine, cosine_with_restarts, polynomial, constant or "
        "constant_with_warmup."
    )  # fmt: skip
    lr_warmup_steps: int = option(0, "Optimiser steps of warm-up.")
    lr_num_cycles: int = option(1, "Restarts of cosine_with_restarts.")
    lr_power: float = option(1.0, "Power of polynomial.")
    adam_beta1: float = option(0.9, "First moment's decay.")
    adam_beta2: float = option(0.999, "Second moment's decay.")
    adam_weight_decay: float = option(1e-2, "Weight decay.")
    adam_epsilon: float = option(1e-8, "Added to the denominator.")
    max_grad_norm: float = option(1.0, "Gradients are clipped to this norm.")
    mixed_precision: str = option("no", "no, fp16 or bf16.")
    gradient_checkpointing: bool = option(False, "Less memory for more time.")
    use_ema: bool = option(False, "Keep and save an exponential moving average of the weights.")
    ema_decay: float = option(0.9999, "Its decay, after a warm-up.")
    cache_latents: bool = option(
        False, "Encode every photograph once, before training, and keep the latents in memory."
    )

    def __post_init__(self) -> None:
        for name, known in (
            ("hint_encoding", HINT_ENCODINGS),
            ("prompt_mode", PROMPT_MODES),
            ("null_hint", NULL_HINTS),
            ("mixed_precision", MIXED_PRECISIONS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        rates = (self.hint_dropout, self.text_dropout, self.both_dropout)
        if min(rates) < 0 or sum(rates) > 1:
            raise ValueError(
                "`hint_dropout`, `text_dropout` and `both_dropout` must be 0 or more and sum to 1 "
                f"at most. Got {rates}."
            )
        for name in ("train_batch_size", "gradient_accumulation_steps", "num_train_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
        if self.max_train_steps is not None and self.max_train_steps < 1:
            raise ValueError(f"`max_train_steps` must be at least 1. Got {self.max_train_steps}.")

    @property
    def null_conditions(self) -> tuple[str, ...]:
        """What the ControlNet learns to do without, the most frequent first."""
        rates = {"hint": self.hint_dropout, "text": self.text_dropout, "both": self.both_dropout}
        return tuple(sorted((k for k, rate in rates.items() if rate), key=lambda k: -rates[k]))


@dataclass(frozen=True, kw_only=True)
class TrainingRunConfig:
    """Where results go and how often. Changes no weight."""

    output_dir: str | None = option(None, "Folder of the trained ControlNet.")
    checkpointing_steps: int = option(500, "Optimiser steps between checkpoints.")
    checkpoints_total_limit: int | None = option(None, "Checkpoints kept, the newest.")
    resume_from_checkpoint: str | None = option(None, "Checkpoint folder to go on from; or latest.")
    validation_steps: int | None = option(None, "Optimiser steps between validation pictures.")
    num_validation_images: int = option(4, "Sources in a validation picture.")
    dataloader_num_workers: int = option(0, "Processes that read photographs.")
    report_to: str | None = option(None, "Tracker: tensorboard, wandb, ...")
    logging_steps: int = option(50, "Optimiser steps between lines of the log.")
    num_processes: int = option(1, "Processes on this machine, through `accelerate launch`.")
    id_lists: list[str] = option(
        [], "Train one ControlNet for each of these `ids`, such as 1_2 1_4 1_8, in folders of "
        "these names in `output_dir`."
    )  # fmt: skip

    def __post_init__(self) -> None:
        for name in ("checkpointing_steps", "num_validation_images", "logging_steps",
                     "num_processes"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
