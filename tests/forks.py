"""Processes forked from one that has its imports: they begin seconds sooner than fresh ones."""

import contextlib
import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from scribblegen.builders import repository
from scribblegen.methods import scribblegen_open
from scribblegen.runs import loop
from scribblegen.tiny import random_weights

# The fork server passes over in silence what it cannot import, so the names are those of modules.
_PRELOADED = [module.__name__ for module in (loop, repository, scribblegen_open, random_weights)]


def fork_server() -> ForkServerContext:
    """The context of `multiprocessing` whose processes are forked from the one with the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def run_ranks(folder: Path, num_processes: int, function: Callable[..., Any], *args: Any) -> str:
    """Calls `function(*args)` in processes that find each other as launched ones do.

    Args:
        folder: for what the processes print.
        num_processes: the world size; all of them run on this machine.
        function: a function of a module, so that it can be sent by its name.

    Returns:
        What the first process printed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    printed = [folder / f"rank{rank}.txt" for rank in range(num_processes)]
    world = {"WORLD_SIZE": num_processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        fork_server().Process(
            target=_run_rank,
            args=({**world, "RANK": rank, "LOCAL_RANK": rank}, printed[rank], function, args),
        )
        for rank in range(num_processes)
    ]
    for process in processes:
        process.start()
    running = {process.sentinel: process for process in processes}
    while running:
        for sentinel in wait(list(running)):
            process = running.pop(sentinel)
            process.join()
            if process.exitcode != 0:  # the others would wait for it
                for other in running.values():
                    other.kill()
                raise AssertionError(printed[processes.index(process)].read_text())
    return printed[0].read_text()


def _run_rank(
    environment: dict[str, Any], printed: Path, function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    os.environ.update({name: str(value) for name, value in environment.items()})
    with (
        open(printed, "w") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        function(*args)
