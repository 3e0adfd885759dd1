"""What every command does alike: end with one message, launch processes, set up the log."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def refusals(
    command: str, kinds: tuple[type[Exception], ...] = (ValueError, OSError)
) -> Iterator[None]:
    """Ends the command with one message where its user can mend what is wrong."""
    try:
        yield
    except kinds as error:
        sys.exit(f"scribblegen {command}: {error}")


def is_to_launch(num_processes: int) -> bool:
    """Whether the processes asked for are still to be started: this is none of them."""
    from scribblegen.runs.processes import is_launched

    return num_processes > 1 and not is_launched()


def launch(command: str, num_processes: int, arguments: Sequence[str], advice: str) -> None:
    """Runs `scribblegen <command>` in several processes; if one fails, ends with `advice`."""
    from scribblegen.runs.processes import launch_command

    if subprocess.run(launch_command(command, num_processes, arguments)).returncode:
        sys.exit(f"scribblegen: a process ended early, see above. {advice}")


def set_up_logging(main_process: bool) -> None:
    """The main process tells what it does; libraries and the other processes keep quiet."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("scribblegen").setLevel(logging.INFO if main_process else logging.WARNING)
    # They warn of image processors and casts that this package has no part in.
    for library in ("diffusers", "transformers"):
        os.environ[f"{library.upper()}_VERBOSITY"] = "error"  # read when it is imported
        logging.getLogger(library).setLevel(logging.ERROR)  # where it is imported already
