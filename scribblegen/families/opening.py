"""The networks that a method's options name, in the form that suits this machine."""

import logging

import torch
from accelerate.utils import broadcast_object_list

from scribblegen.engine.call_size import measure_rows
from scribblegen.families.config import PipelineConfig
from scribblegen.families.open import DTYPES, load_diffusion
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.runs.processes import process_state
from scribblegen.tiny import RANDOM, TINY, tiny_folder

logger = logging.getLogger(__name__)


def open_family(
    config: PipelineConfig, conditioning_channels: int | None, *, controlnet: str | None = None
) -> StableDiffusion:
    """Loads the pipeline of a config onto this process's device.

    Args:
        config: names the pipeline, the dtype, and whether calls are compiled.
        conditioning_channels: how many channels a random ControlNet sees; None where no ControlNet
            is asked for.
        controlnet: folder or Hub id; the pipeline's own if None.

    Raises:
        OSError: a part is missing, and the message names it; or the parts do not fit each other.
    """
    device = process_state().device  # each process of a machine has its own
    on_gpu = device.type == "cuda"
    dtype_name = config.dtype
    if dtype_name == "auto":
        dtype_name = "bfloat16" if on_gpu else "float32"
    dtype = DTYPES[dtype_name]
    compiles = config.compile == "on" or (config.compile == "auto" and on_gpu)
    if config.pipeline == RANDOM:
        from scribblegen.tiny.random_weights import random_diffusion

        return random_diffusion(
            conditioning_channels or 1, device=device, dtype=dtype, compile_calls=compiles
        )
    return load_diffusion(
        tiny_folder() if config.pipeline == TINY else str(config.pipeline),
        controlnet,
        revision=config.pipeline_revision,
        variant=config.pipeline_variant,
        device=device,
        dtype=dtype,
        tiny_vae=config.tiny_vae,
        compile_calls=compiles,
        with_controlnet=conditioning_channels is not None,
    )


def settled_rows(
    config: PipelineConfig,
    family: StableDiffusion,
    *,
    most_rows: int,
    begun: int | None,
    num_threads: int,
    memory_budget: float | None,
) -> int:
    """The rows of a call that a run was begun with, else those measured here and now.

    One process measures, so that all agree.

    Args:
        config: the config of the pipeline.
        family: the networks.
        most_rows: that the run ever has at once.
        begun: the rows of the same run, where it was begun already.
        num_threads: that calls will have.
        memory_budget: gigabytes that a call may need; a share of what is free if None.
    """
    rows: list[int] = [0]
    if process_state().is_main_process:
        threads = torch.get_num_threads()
        torch.set_num_threads(num_threads)
        resolution = config.resolution or family.default_resolution
        rows[0] = begun or measure_rows(
            family,
            resolution,
            family.empty_condition(resolution, resolution),
            most_rows=most_rows,
            memory_budget=memory_budget,
        )
        torch.set_num_threads(threads)
        logger.info(f"rows: {rows[0]}" + (" (as this run was begun)" if begun else " (measured)"))
    broadcast_object_list(rows)
    return rows[0]
