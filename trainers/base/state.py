"""What a checkpoint holds, and whether a run may go on from it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scribblegen.configs import differences, to_dict
from scribblegen.text_files import shown_message
from scribblegen.trainers.base.checkpoints import (
    STATE_FILE,
    begin_checkpoint,
    find_checkpoint,
    finish_checkpoint,
    read_state,
)
from scribblegen.trainers.base.config import TrainingConfig
from scribblegen.trainers.base.damage import check_checkpoint

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
            ValueError: it belongs to another config or source; or it is damaged, and the message
                names an earlier one that is whole.
        """
        found = find_checkpoint(output_dir, wanted)
        if found is None:
            return 0
        needed = [STATE_FILE, *(f"{name}.bin" for name in self.parts), "**/*.safetensors"]
        check_checkpoint(found, needed)
        state = read_state(found)
        if not (isinstance(state.get("identity"), dict) and isinstance(state.get("step"), int)):
            check_checkpoint(found, needed, f"{STATE_FILE} must hold `step` and `identity`")
        changed = differences(state["identity"], identity)
        if changed:
            raise ValueError(
                f"`resume_from_checkpoint` {found.name} belongs to another run: "
                f"{'; '.join(changed)}. Use another `output_dir`."
            )
        try:
            self.load_weights(found)
            for name, part in self.parts.items():
                # Written by this program, yet read as data alone.
                path = found / f"{name}.bin"
                part.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # its files are whole, and of this very training: what is it?
            check_checkpoint(found, needed, shown_message(error))
            raise
        return int(state["step"])
