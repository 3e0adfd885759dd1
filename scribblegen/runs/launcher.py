"""`accelerate launch` that ends without a traceback: its processes have told what was wrong.

python -m scribblegen.runs.launcher --num_processes=2 -m scribblegen build ...
"""

import logging
import signal
import sys
from collections.abc import Sequence

from scribblegen.last_resort import INTERRUPTED


def main(arguments: Sequence[str]) -> int:
    """Runs a module in several processes.

    Args:
        arguments: of `accelerate launch`.

    Returns:
        The exit code: 130 after Ctrl-C, which every process is told of; 1 where one failed.
    """
    try:
        from accelerate.commands.launch import launch_command, launch_command_parser
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

        # It tells of every signal that it passes on, and of a failure in a table of its own.
        logging.disable(logging.CRITICAL)
        try:
            launch_command(launch_command_parser().parse_args(list(arguments)))
        except SignalException as error:
            return INTERRUPTED if error.sigval == signal.SIGINT else 128 + error.sigval
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode < 0:  # it could not tell by itself
                name = signal.Signals(-failure.exitcode).name
                print(f"scribblegen: process {rank} was ended by {name}.", file=sys.stderr)
            return INTERRUPTED if failure.exitcode == INTERRUPTED else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
