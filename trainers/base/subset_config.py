"""What the options of trainings on subsets share: those of the Trainer of transformers."""

import copy
from dataclasses import dataclass, fields
from typing import Any, Self

from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from scribblegen.configs import option

# Of `TrainingArguments`: what decides the weights.
DECISIVE = (
    "seed",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "weight_decay",
    "optim",
    "optim_args",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "bf16",
    "fp16",
)


@dataclass
class SubsetTrainingConfig(TrainingArguments):
    """Options of `TrainingArguments`; a subclass adds its own."""

    dry_run: bool = option(
        False,
        "Check data, model, losses and memory, measure a few steps, and say what the training "
        "would be; train nothing, write nothing.",
    )

    def identity(self) -> dict[str, Any]:
        """The options that decide the weights, as text and numbers: for cards and for resuming."""
        theirs = {*TrainingArguments.__dataclass_fields__, "dry_run"}
        own = [field.name for field in fields(self) if field.name not in theirs]
        written = self.to_dict()
        return {name: written[name] for name in (*own, *DECISIVE)}

    def changed(self) -> dict[str, Any]:
        """The options that are not at their defaults, as text and numbers."""
        usual = type(self)().to_dict()
        return {key: value for key, value in self.to_dict().items() if value != usual[key]}

    def loss_weights(self) -> dict[str, float]:
        """The weights of the losses that are on, by name."""
        return {}

    def for_steps(self, number: int, folder: str) -> Self:
        """As the Trainer takes them for a few steps of which nothing is kept, in `folder`."""
        args = self.for_trainer()
        args.output_dir, args.max_steps = folder, number
        args.save_strategy = SaveStrategy.NO
        args.eval_strategy = args.logging_strategy = IntervalStrategy.NO
        args.load_best_model_at_end = False
        args.report_to = []
        return args

    def for_trainer(self) -> Self:
        """As the Trainer takes them: a folder is pushed once, when its card is there."""
        args = copy.copy(self)
        args.dataloader_pin_memory &= self.device.type != "cpu"
        args.push_to_hub = False
        return args
