"""How a process that a launcher started ends when all is done."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def launched_exit() -> Iterator[None]:
    """Surrounds all that a launched process does: after that, nothing can make it fail any more.

    C++ destructors of libraries run behind the interpreter's end. Now and then one of them finds a
    thread of its own still at work and aborts, and the launcher takes a finished process for a
    failed one. So this ends the process, with 0, behind all that Python does at its end: threads
    are joined and functions of `atexit` run before. Does nothing where no launcher is, nor where
    the process ends by an exception.
    """
    finished: list[bool] = []
    if "WORLD_SIZE" in os.environ:
        atexit.register(_end_if, finished)  # registered first, it runs last
    yield
    finished.append(True)


def _end_if(finished: list[bool]) -> None:
    if finished:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
