"""What is missing of a run, made by any number of processes."""

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from accelerate.utils import broadcast_object_list, gather_object
from tqdm import tqdm

from scribblegen.configs import to_yaml
from scribblegen.runs.folder import lock_folder, prepare_folder
from scribblegen.runs.generation import Progress, cpu_threads, generate_parts, images_per_item
from scribblegen.runs.manifest import pending_units, read_manifest, write_manifest
from scribblegen.runs.open import Run, run_header
from scribblegen.runs.outcome import check_not_empty, mostly_rejected
from scribblegen.runs.processes import process_state
from scribblegen.runs.shards import Unit
from scribblegen.runs.shares import Part, finished_parts, join_parts, remove_parts, share_out


def synthesize(
    run: Run,
    *,
    finish: Callable[[Path], None] = lambda folder: None,
    progress_bar: bool = True,
) -> Progress:
    """Makes what is still missing of a run, this process's share of it.

    On return the folder holds all shards and the manifest.

    Args:
        run: opened, by every process alike.
        finish: completes the folder, on the main process, before another run may enter it.
        progress_bar: on the main process.

    Raises:
        RunError: the folder holds a run of another config, source or pipeline; or a subset
            that it makes is left without a row.
        OSError: the folder cannot be written. Finished shards are kept; run again to resume.
    """
    state = process_state()
    main = state.is_main_process
    with lock_folder(run.folder) if main else contextlib.nullcontext():
        left: list[tuple[list[Unit], list[Part]]] = [([], [])]
        if main:
            header = run_header(run)
            prepare_folder(run.folder, header, to_yaml(header.config))
            pending = pending_units(run.folder, run.units)
            left = [(pending, finished_parts(run.folder, pending))]
        # One process reads the folder, so that all agree on who does what.
        broadcast_object_list(left)
        shares = share_out(*left[0], state.num_processes, costly=run.generated_splits)
        mine = shares[state.process_index]
        processes = f" (process 1 of {state.num_processes})" if state.num_processes > 1 else ""
        with tqdm(
            total=sum(
                (part.stop - part.start) * images_per_item(run.method.subsets, part.unit.split)
                for part in mine
            ),
            desc=f"generate{processes}",
            unit="image",
            disable=not (progress_bar and main and mine),
        ) as bar:
            progress = generate_parts(
                run.method,
                run.sources,
                mine,
                run.folder,
                num_threads=run.output.num_threads,
                bar=bar,
            )
        progress.images_by_process = gather_object([progress.images])  # waits for all
        progress.remarks = sum(gather_object([progress.remarks]), Counter())
        whole = {part.unit for share in shares for part in share if part.is_whole}
        features = {subset.name: subset.features for subset in run.method.subsets}
        for unit in [u for u in left[0][0] if u not in whole][state.process_index :: len(shares)]:
            join_parts(run.folder, unit, features)
        state.wait_for_everyone()
        if main:
            remove_parts(run.folder)
            units = read_manifest(run.folder)["units"]
            check_not_empty(run.folder, run.method.subsets, units)
            write_manifest(run.folder, header.as_dict(complete=True))
            progress.warning = mostly_rejected(run.method.subsets, units)
            with cpu_threads(run.output.num_threads):
                finish(run.folder)
        state.wait_for_everyone()
    return progress
