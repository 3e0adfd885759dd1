"""Photographs with scribbles in, a dataset repository out, by any number of processes."""

import contextlib
import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from tqdm import tqdm

from scribblegen.builders.config import SourceConfig
from scribblegen.builders.repository import write_repository
from scribblegen.builders.sources import open_source
from scribblegen.classes import Classes
from scribblegen.configs import to_dict, to_yaml, without_paths
from scribblegen.engine.call_size import measure_rows
from scribblegen.families.open import DTYPES, load_diffusion
from scribblegen.families.stable_diffusion.conditioning import num_conditioning_channels
from scribblegen.families.stable_diffusion.networks import Diffusion
from scribblegen.methods.scribblegen import ScribbleGen
from scribblegen.methods.scribblegen_config import AUTO_ROWS, ScribbleGenConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.folder import Header, RunError, lock_folder, prepare_folder
from scribblegen.runs.generation import TWIN_SPLIT, Progress, generate_parts
from scribblegen.runs.parts import finished_parts, join_parts, remove_parts
from scribblegen.runs.processes import process_state
from scribblegen.runs.shards import (
    SPLITS,
    Unit,
    default_sources_per_shard,
    pending_units,
    plan_units,
    read_manifest,
    write_manifest,
)
from scribblegen.runs.shares import Part, share_out
from scribblegen.sources import Source
from scribblegen.tiny import RANDOM, TINY, default_pipeline, tiny_folder
from scribblegen.trainers.judge import Judge

logger = logging.getLogger(__name__)

# Where things lie, not what they hold: their fingerprints are compared instead.
_LOCATIONS = (
    "data_dir", "pipeline", "controlnet", "tiny_vae", "dataset_name", "agreement_model",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that a run needs, opened and checked."""

    sources: dict[str, Source]  # by split; train is always there
    method: ScribbleGen
    output: OutputConfig
    folder: Path
    units: list[Unit]
    options: dict[str, Any]  # all of them, flat
    judge: Judge | None = None


def open_run(
    source_config: SourceConfig,
    method_config: ScribbleGenConfig,
    output_config: OutputConfig,
    output_dir: str | Path,
    *,
    diffusion: Diffusion | None = None,
    memory_budget: float | None = None,
) -> Run:
    """Opens sources and networks and checks that they fit, before any work.

    Args:
        source_config, method_config, output_config: what the dataset is made of.
        output_dir: the repository folder.
        diffusion: the networks, where they are in memory already; else `output_config` names them.
        memory_budget: gigabytes that `rows` auto may fill; a share of what is free if None.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    opened = {split: open_source(source_config, split) for split in SPLITS}
    sources = {split: source for split, source in opened.items() if source is not None}
    train = sources[TWIN_SPLIT]
    if diffusion is None:
        if output_config.pipeline is None:
            default = default_pipeline(train.classes, method_config.conditioning_encoding)
            output_config = replace(output_config, pipeline=default)
        diffusion = _open_diffusion(method_config, output_config, train.classes)
    folder = Path(output_dir)
    if method_config.rows == AUTO_ROWS:
        twins = len(train) * method_config.replicates * len(method_config.guidance_scales)
        most = 2 * twins * len(method_config.encode_ratios)
        rows = _settled_rows(method_config, diffusion, folder, most, memory_budget)
        method_config = replace(method_config, rows=rows)
    method = ScribbleGen(method_config, diffusion, train.classes)
    judge = None
    if output_config.agreement_model is not None:
        judge = Judge(output_config.agreement_model, train.classes, diffusion.device)
    per_shard = output_config.sources_per_shard or default_sources_per_shard(len(train))
    return Run(
        sources=sources,
        method=method,
        output=output_config,
        folder=folder,
        units=[
            unit
            for split, source in sources.items()
            for unit in plan_units(split, len(source), per_shard)
        ],
        options={
            **to_dict(source_config, method.config, output_config),
            "sources_per_shard": per_shard,
        },
        judge=judge,
    )


def run_header(run: Run) -> Header:
    """What the manifest says of the run. Reads every label and every weight: a few seconds."""
    options = without_paths(run.options)
    return Header(
        method="scribblegen",
        identity={
            **{key: value for key, value in options.items() if key not in _LOCATIONS},
            **{f"{split} files": source.fingerprint() for split, source in run.sources.items()},
            "weights": run.method.diffusion.fingerprint(),
            "agreement model": run.judge and run.judge.fingerprint(),
            "device": run.method.diffusion.device.type,
        },
        config=options,
        classes=run.method.classes,
        subsets=[
            {
                "subset": cell.subset,
                "guidance_scale": cell.guidance_scale,
                "encode_ratio": cell.encode_ratio,
                "num_inference_steps": cell.grid.num_steps,
            }
            for cell in run.method.cells
        ],
        num_units=len(run.units),
    )


def synthesize(run: Run, *, progress_bar: bool = True) -> Progress:
    """Generates what is still missing of a run, this process's share of it, and finishes it.

    On return the output folder is complete: shards, manifest, card, pictures.

    Raises:
        RunError: the folder holds a run of another config, source or pipeline; or no sample at
            all could be used.
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
        shares = share_out(*left[0], state.num_processes, costly_split=TWIN_SPLIT)
        mine = shares[state.process_index]
        total = sum(part.stop - part.start for part in mine if part.unit.split == TWIN_SPLIT)
        processes = f" (process 1 of {state.num_processes})" if state.num_processes > 1 else ""
        with tqdm(
            total=total * run.method.images_per_source,
            desc=f"generate{processes}",
            unit="image",
            disable=not (progress_bar and main and mine),
        ) as bar:
            progress = generate_parts(
                run.method,
                run.sources,
                mine,
                run.folder,
                image_format=run.output.image_format,
                agreement=run.judge.agreement if run.judge else None,
                bar=bar,
            )
        progress.images_by_process = gather_object([progress.images])  # waits for all
        whole = {part.unit for share in shares for part in share if part.is_whole}
        for unit in [u for u in left[0][0] if u not in whole][state.process_index :: len(shares)]:
            join_parts(run.folder, unit, run.method.classes)
        state.wait_for_everyone()
        if main:
            remove_parts(run.folder)
            write_manifest(run.folder, header.as_dict(complete=True))
            _check_not_empty(run.folder)
            write_repository(run.folder)
        state.wait_for_everyone()
    return progress


def _check_not_empty(folder: Path) -> None:
    units = [unit for unit in read_manifest(folder)["units"] if unit["split"] == TWIN_SPLIT]
    if not any(file["rows"] for unit in units for file in unit["files"].values()):
        reasons = Counter(r["reason"] for unit in units for r in unit["rejections"])
        listed = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        raise RunError(
            f"no sample of the training split could be used: {listed}. Mend the source, and delete "
            f"{folder}."
        )


def build(
    source_config: SourceConfig,
    method_config: ScribbleGenConfig,
    output_config: OutputConfig | None = None,
    *,
    output_dir: str | Path,
) -> Progress:
    """A dataset repository in one call: `open_run`, then `synthesize`. Resumes by itself."""
    run = open_run(source_config, method_config, output_config or OutputConfig(), output_dir)
    return synthesize(run)


def _open_diffusion(
    method_config: ScribbleGenConfig, output_config: OutputConfig, classes: Classes
) -> Diffusion:
    device = process_state().device  # each process of a machine has its own
    on_gpu = device.type == "cuda"
    dtype_name = method_config.dtype
    if dtype_name == "auto":
        dtype_name = "bfloat16" if on_gpu else "float32"
    dtype = DTYPES[dtype_name]
    compiles = method_config.compile == "on" or (method_config.compile == "auto" and on_gpu)
    if output_config.pipeline == RANDOM:
        from scribblegen.tiny.random_weights import random_diffusion

        channels = num_conditioning_channels(classes, method_config.conditioning_encoding)
        return random_diffusion(channels, device=device, dtype=dtype, compile_calls=compiles)
    return load_diffusion(
        tiny_folder() if output_config.pipeline == TINY else str(output_config.pipeline),
        output_config.controlnet,
        revision=output_config.pipeline_revision,
        variant=output_config.pipeline_variant,
        device=device,
        dtype=dtype,
        tiny_vae=output_config.tiny_vae,
        compile_calls=compiles,
    )


def _settled_rows(
    config: ScribbleGenConfig,
    diffusion: Diffusion,
    folder: Path,
    most_rows: int,
    memory_budget: float | None,
) -> int:
    """The `rows` that a run in this folder was begun with, else those measured here and now.

    One process measures, so that all agree.
    """
    rows: list[int] = [0]
    if process_state().is_main_process:
        threads = torch.get_num_threads()
        torch.set_num_threads(config.num_threads)
        begun = read_manifest(folder).get("identity", {}).get("rows")
        resolution = config.resolution or diffusion.default_resolution
        rows[0] = begun or measure_rows(
            diffusion, resolution, most_rows=most_rows, memory_budget=memory_budget
        )
        torch.set_num_threads(threads)
        logger.info(f"rows: {rows[0]}" + (" (as this run was begun)" if begun else " (measured)"))
    broadcast_object_list(rows)
    return rows[0]
