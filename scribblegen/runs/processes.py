"""The processes of a run, through Accelerate."""

import os
import sys
from collections.abc import Sequence
from datetime import timedelta

from accelerate import PartialState

# Processes finish up to a unit apart, and a unit may take long; the default gives up in minutes.
_TIMEOUT = timedelta(days=7)


def process_state() -> PartialState:
    """This process among the others.

    Raises:
        RuntimeError: the launcher started several processes, but they do not know each other;
            each would do the whole work.
    """
    import torch

    launched = int(os.environ.get("WORLD_SIZE", "1"))
    kwargs = {"timeout": _TIMEOUT} if launched > 1 else {}
    state = PartialState(cpu=not torch.cuda.is_available(), **kwargs)
    if state.num_processes != launched:
        raise RuntimeError(
            f"the launcher started {launched} processes, but Accelerate sees "
            f"{state.num_processes}. Start with `scribblegen build --num_processes {launched}`."
        )
    return state


def end_processes() -> None:
    """Parts from the other processes in order: one that just ends may abort on its way out."""
    if is_launched():
        PartialState().destroy_process_group()


def is_launched() -> bool:
    """Whether a launcher (accelerate, torchrun) started this process."""
    return "WORLD_SIZE" in os.environ


def launch_command(command: str, num_processes: int, arguments: Sequence[str]) -> list[str]:
    """`accelerate launch` of `scribblegen <command>` in several processes, with or without a GPU.

    `--multi_gpu` is what makes it start several processes even where there is no GPU.
    """
    return [
        *(sys.executable, "-m", "scribblegen.runs.launcher"),
        *("--multi_gpu", f"--num_processes={num_processes}", "--num_machines=1"),
        *("--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"),
        *("-m", "scribblegen", command, *arguments),
    ]
