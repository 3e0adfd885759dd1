"""A training on the rows of subsets, from its checkpoint to its folder: figures, card, upload."""

import json
import logging
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer_utils import get_last_checkpoint

from scribblegen import __version__
from scribblegen.configs import differences, to_arguments, without_paths
from scribblegen.hub.models import publish_model
from scribblegen.text_files import read_fields
from scribblegen.trainers.base.damage import check_checkpoint
from scribblegen.trainers.base.subset_config import SubsetTrainingConfig

RUN_FILE = "run.json"
LATEST = "latest"
_CHECKPOINT_FILES = ("trainer_state.json", "*.safetensors")  # and others, by its options

logger = logging.getLogger(__name__)


def checkpoint_of(folder: Path, asked: str | None, identity: dict[str, Any]) -> str | None:
    """The checkpoint to go on from, if one is asked for; of this very training."""
    if not asked or asked == "False":
        return None
    if (folder / RUN_FILE).is_file():
        there = read_fields(folder / RUN_FILE, "Take another `output_dir`.")
        differing = differences(there, identity)
        if differing:
            raise ValueError(
                f"`resume_from_checkpoint`: {folder} holds another training: "
                f"{'; '.join(differing)}. Take another `output_dir`, or the same options."
            )
    if asked not in (LATEST, "True"):
        if Path(asked).is_dir():
            check_checkpoint(Path(asked), _CHECKPOINT_FILES)
        return asked
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is not None:
        check_checkpoint(Path(found), _CHECKPOINT_FILES)
    logger.info("no checkpoint yet: from the start" if found is None else f"going on from {found}")
    return found


def train_and_measure(
    trainer: Trainer,
    identity: dict[str, Any],
    measure: Callable[[], dict[str, Any]],
    checkpoint: str | None,
) -> dict[str, Any]:
    """Trains, and leaves model, figures and what the training is in its folder.

    Args:
        trainer: ready to train.
        identity: what a checkpoint must agree with to be gone on from.
        measure: called when the training is done.
        checkpoint: to go on from, as of `checkpoint_of`.

    Returns:
        What was measured.
    """
    folder = Path(str(trainer.args.output_dir))
    if trainer.is_world_process_zero():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RUN_FILE).write_text(json.dumps(identity, indent=1) + "\n", "utf-8")
    trained = trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    trainer.save_metrics("train", trained.metrics)
    measured = measure()
    trainer.save_metrics("eval", measured)
    trainer.save_state()
    return measured


def card_arguments(trainer: Trainer, command: str) -> dict[str, Any]:
    """What every card of a trained model says of its training.

    Args:
        trainer: whose `args` are a `SubsetTrainingConfig`.
        command: that trains it again, such as `train-segmentation`; without paths of the machine.
    """
    config: Any = trainer.args
    changed = {k: v for k, v in config.changed().items() if k in config.identity()}
    arguments = to_arguments(without_paths(changed))
    return {
        "name": Path(str(config.output_dir)).resolve().name,
        "architecture": type(trainer.model).__name__,
        "own_code": getattr(trainer.model, "_auto_class", None) is not None,
        "steps": trainer.state.global_step,
        "command": shlex.join(["scribblegen", command, *arguments]),
        "version": __version__,
    }


def finish_folder(config: SubsetTrainingConfig, card: str) -> None:
    """Writes the card into the folder of a trained model, and pushes it where asked."""
    folder = Path(str(config.output_dir))
    (folder / "README.md").write_text(card, "utf-8")
    if config.push_to_hub:
        published = publish_model(folder, config.hub_model_id, private=config.hub_private_repo)
        logger.info(f"published {published.address}")
