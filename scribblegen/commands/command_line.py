"""What every command does alike: launch processes, set up the log."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scribblegen.last_resort import INTERRUPTED


def is_to_launch(num_processes: int) -> bool:
    """Whether the processes asked for are still to be started: this is none of them."""
    from scribblegen.runs.processes import is_launched

    return num_processes > 1 and not is_launched()


def launch(command: str, num_processes: int, arguments: Sequence[str], advice: str) -> None:
    """Runs `scribblegen <command>` in several processes; if one fails, ends with `advice`.

    Raises:
        KeyboardInterrupt: this process or another one was interrupted, and all have ended.
    """
    from scribblegen.runs.processes import launch_command

    returncode = run_apart(launch_command(command, num_processes, arguments))
    if returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if returncode:
        sys.exit(f"scribblegen: a process ended early, see above. {advice}")


def run_apart(command: Sequence[str]) -> int:
    """Runs a command that the terminal does not interrupt, but this process does; its exit code.

    The terminal would interrupt every process at once. So told once, by this one alone, a launcher
    has the time to end its processes.
    """
    told: set[int] = set()

    def pass_on(number: int, frame: object) -> None:
        if number not in told:  # a second time it would leave its processes behind
            told.add(number)
            process.send_signal(number)

    process = subprocess.Popen(list(command), start_new_session=True)
    if threading.current_thread() is not threading.main_thread():
        return process.wait()
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C is not heard meanwhile, nor at any time by the processes that are started here."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def set_up_logging(main_process: bool) -> None:
    """The main process tells what it does; libraries and the other processes keep quiet."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("scribblegen").setLevel(logging.INFO if main_process else logging.WARNING)
    # They warn of image processors and casts that this package has no part in.
    for library in ("diffusers", "transformers"):
        os.environ[f"{library.upper()}_VERBOSITY"] = "error"  # read when it is imported
        logging.getLogger(library).setLevel(logging.ERROR)  # where it is imported already
