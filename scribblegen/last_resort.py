"""How a command ends when something goes wrong: with one line, whatever it was."""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

from scribblegen.text_files import cut

DEBUG_VARIABLE = "SCRIBBLEGEN_DEBUG"  # processes that a command launches inherit it
INTERRUPTED = 130  # the exit code of a command that Ctrl-C ended
_GO_ON = "run the same command again to go on"
_CHECKPOINTS = "Checkpoints are kept: go on with --resume_from_checkpoint latest."
_KEPT = {
    "demo": f"Finished shards are kept: {_GO_ON}.",
    "build": f"Finished shards are kept: {_GO_ON}.",
    "describe": f"What is finished is kept: {_GO_ON}.",
    "pseudo-label": f"What is finished is kept: {_GO_ON}.",
    "prune": f"What is finished is kept: {_GO_ON}.",
    "publish": "What was sent is kept: run the same command again to send the rest.",
    "preview": "Nothing was written.",
    "segment": "What is finished is kept.",
    "evaluate-open-vocabulary": "Nothing was written.",
    "study": f"What is finished is kept: {_GO_ON}.",
    "train-controlnet": _CHECKPOINTS,
    "train-segmentation": _CHECKPOINTS,
    "train-classifier": _CHECKPOINTS,
    "train-affinity": _CHECKPOINTS,
    "train-open-vocabulary": _CHECKPOINTS,
    "train-autoencoder": _CHECKPOINTS,
    "train-text-to-image": _CHECKPOINTS,
    "train-clip": _CHECKPOINTS,
}


def run_command(
    command: str, function: Callable[[Sequence[str]], None], arguments: Sequence[str]
) -> None:
    """Runs a command; whatever goes wrong becomes one line and an exit code.

    Args:
        command: its name, for the line.
        function: the command.
        arguments: of the command line, after the command. `--debug True` is taken out of them: it
            shows the traceback of what went wrong, in launched processes too.

    Raises:
        SystemExit: with 130 after Ctrl-C, with 1 after an error.
    """
    debug, rest = take_debug(arguments)
    debug = debug or os.environ.get(DEBUG_VARIABLE) == "1"
    with _debugging(debug):
        try:
            function(rest)
        except KeyboardInterrupt:
            _end_interrupted(command)
        except Exception as error:
            if debug:
                traceback.print_exc()
            told = str(error) if speaks_for_itself(error) else one_line(error)
            sys.exit(f"scribblegen {command}: {told}")


def take_debug(arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether `--debug` is asked for, and the other arguments.

    A `--debug` of another value than True or False is a command's own, such as that of
    transformers' trainer.
    """
    debug, rest, left = False, [], list(arguments)
    while left:
        word = left.pop(0)
        value = word.partition("=")[2] if word.startswith("--debug=") else None
        if word == "--debug":
            value = "true" if not left or left[0].startswith("--") else left[0]
        if value is None or value.lower() not in ("true", "false"):
            rest.append(word)
            continue
        if word == "--debug" and left and left[0] == value:
            left.pop(0)
        debug = value.lower() == "true"
    return debug, rest


def speaks_for_itself(error: BaseException) -> bool:
    """Whether an error's message is written for the user: not a library's own kind of error.

    UnicodeDecodeError is a ValueError that names no file, and so are JSON's and Arrow's.
    """
    own = type(error).__module__.split(".")[0] in ("builtins", "scribblegen")
    refused = isinstance(error, ValueError | FloatingPointError) and own
    return isinstance(error, OSError) or (refused and not isinstance(error, UnicodeError))


def one_line(error: BaseException) -> str:
    """An error that nobody expected: its kind in words, its message cut, and what to do."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", type(error).__name__)
    kind = " ".join(word if word.isupper() else word.lower() for word in words)
    message = cut(" ".join(str(error).split()).rstrip("."))
    told = f"{kind}: {message}" if message else kind
    return f"{told}. Run with `--debug True` for the traceback."


def _end_interrupted(command: str) -> None:
    from scribblegen.runs.processes import is_launched

    if is_launched():
        # The process that launched this one tells it. No waiting for threads or other processes:
        # what is on disk is whole at any moment.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    print(f"scribblegen {command}: interrupted. {_KEPT[command]}", file=sys.stderr)
    sys.exit(INTERRUPTED)


@contextlib.contextmanager
def _debugging(debug: bool) -> Iterator[None]:
    before = os.environ.get(DEBUG_VARIABLE)
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(DEBUG_VARIABLE, None)
