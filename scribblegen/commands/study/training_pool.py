"""The segmentors of a study, several at once, each as soon as the one that judges its twins is."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import active_children, connection, get_context, parent_process
from threading import RLock, Thread
from typing import Any

from tqdm import tqdm

from scribblegen.commands.command_line import uninterrupted
from scribblegen.commands.study.trainings import Training


def train_all(trainings: Sequence[Training], num_processes: int) -> Iterator[Training]:
    """Trains in processes that Ctrl-C does not reach: this one ends them.

    Args:
        trainings: in the order in which they are to be started, where they are ready.
        num_processes: trainings at once.

    Yields:
        Each training as it is finished.
    """
    waiting = list(trainings)
    running: dict[Future[None], Training] = {}
    with (
        ProcessPoolExecutor(
            num_processes, mp_context=get_context("spawn"), initializer=_set_up_worker
        ) as pool,
        tqdm(total=len(trainings), desc="segmentors", disable=not trainings) as bar,
    ):
        try:
            while waiting or running:
                ready = [t for t in waiting if t.is_ready][: num_processes - len(running)]
                with uninterrupted():  # processes that are started now inherit it
                    for training in ready:
                        waiting.remove(training)
                        running[pool.submit(_train, training.options)] = training
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    done.result()
                    bar.update()
                    yield running.pop(done)
        except KeyboardInterrupt:
            for process in active_children():
                process.terminate()
            raise


def _set_up_worker() -> None:
    import torch
    import transformers

    Thread(target=_end_with_the_study, daemon=True).start()
    torch.set_num_threads(1)  # several trainings at once share the cores
    tqdm.set_lock(RLock())  # not one between processes: it would outlive one that Ctrl-C ends
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _end_with_the_study() -> None:
    """A study that is killed cannot end its trainings: each ends itself."""
    study = parent_process()
    assert study is not None
    connection.wait([study.sentinel])
    os._exit(1)


def _train(options: dict[str, Any]) -> None:
    from scribblegen.trainers.segmentation.config import SegmentationConfig
    from scribblegen.trainers.segmentation.run import train_segmentation

    quiet = {
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
    }
    with contextlib.redirect_stdout(io.StringIO()):  # the Trainer prints its dictionaries
        train_segmentation(SegmentationConfig(**{**quiet, **options}))
