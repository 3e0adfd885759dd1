"""Threads that take on no more than they can hold."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class PatientExecutor(ThreadPoolExecutor):
    """Threads whose `submit` waits while too many tasks are unfinished: memory stays bounded.

    Args:
        max_workers: threads.
        max_unfinished: tasks.
    """

    def __init__(self, max_workers: int, max_unfinished: int) -> None:
        super().__init__(max_workers)
        self._room = threading.BoundedSemaphore(max_unfinished)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self._room.acquire()
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(lambda _: self._room.release())
        return future
