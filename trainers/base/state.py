"""What a checkpoint holds, and whether a run may go on from it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scribblegen.configs import differences, to_dict
from scribblegen.families.loading_errors import loading
from scribblegen.trainers.base.checkpoints import (
    begin_checkpoint,
    find_checkpoint,
    finish_checkpoint,
    read_state,
)
from scribblegen.trainers.base.config import TrainingConfig

# What may differ between a run and its continuation: it changes no draw.
_FREE_OPTIONS = (
    "train_batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
    "cache_latents",
)
_LENGTH_OPTIONS = ("max_train_steps", "num_train_epochs")


def training_identity(
    config: TrainingConfig, step_size: int, source_fingerprint: str
) -> dict[str, Any]:
    """What a checkpoint and the run that goes on from it must agree on."""
    options = {
        k: v
        for k, v in to_dict(config).items()
        if k not in _FREE_OPTIONS and not k.endswith("name_or_path")
    }
    if config.lr_scheduler.startswith("constant"):  # then a longer run is the same run
        options = {k: v for k, v in options.items() if k not in _LENGTH_OPTIONS}
    return {**options, "samples in a step": step_size, "source files": source_fingerprint}


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that changes in training.

    Args:
        save_weights, load_weights: write and read what is trained in a checkpoint folder.
        parts: optimiser, schedule, and EMA and gradient scaler where there are any, by name.
    """

    save_weights: Callable[[Path], None]
    load_weights: Callable[[Path], None]
    parts: dict[str, Any]

    def save(
        self, output_dir: Path, step: int, identity: dict[str, Any], total_limit: int | None
    ) -> None:
        """Writes `checkpoint-<step>`: whole, or not at all."""
        partial = begin_checkpoint(output_dir, step)
        self.save_weights(partial)
        for name, part in self.parts.items():
            torch.save(part.state_dict(), partial / f"{name}.bin")
        finish_checkpoint(partial, step, {"identity": identity}, total_limit)

    def resume(self, output_dir: Path, wanted: str | None, identity: dict[str, Any]) -> int:
        """Loads the checkpoint to go on from, if any; returns the steps already done.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            OSError: it is damaged.
            ValueError: it belongs to another config or source.
        """
        found = find_checkpoint(output_dir, wanted)
        if found is None:
            return 0
        state = read_state(found)
        changed = differences(state["identity"], identity)
        if changed:
            raise ValueError(
                f"`resume_from_checkpoint` {found.name} belongs to another run: "
                f"{'; '.join(changed)}. Use another `output_dir`."
            )
        self.load_weights(found)
        for name, part in self.parts.items():
            # Written by this program, yet read as data alone.
            path = found / f"{name}.bin"
            with loading("resume_from_checkpoint", found.name, f"has no usable {path.name}"):
                part.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return int(state["step"])
