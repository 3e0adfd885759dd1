"""How many rows a denoiser call should have: measured once, within a memory budget."""

import statistics
import sys
import time

import torch

from scribblegen.families.base import Condition, Family

_CANDIDATES = (2, 4, 8, 16, 32, 64, 128, 256)
_REPEATS = 3
_GOOD_ENOUGH = 1.03  # times the best time of a row: a smaller call holds less memory
_PLATEAU = 2  # calls without gain after which no larger one is tried
_CPU_SHARE = 0.25  # of the free memory: other processes of the run want theirs
_GPU_SHARE = 0.8


@torch.inference_mode()
def measure_rows(
    family: Family,
    resolution: int,
    condition: Condition,
    *,
    most_rows: int | None = None,
    memory_budget: float | None = None,
) -> int:
    """The rows of a call at which a row is fastest, to 3 %, within the budget.

    Args:
        family: the networks.
        resolution: side of their square, in pixels.
        condition: such as the rows will be denoised under, at this resolution.
        most_rows: that the run ever has at once; a larger call would be padding.
        memory_budget: gigabytes that a call may need; a share of what is free if None.

    Raises:
        ValueError: not even the smallest call fits.
    """
    budget = int(memory_budget * 1e9) if memory_budget else _free_memory(family.device)
    seconds: dict[int, float] = {}
    for rows in _CANDIDATES:
        if seconds and most_rows is not None and rows > most_rows:
            break
        try:
            spent, needed = _measure(family, resolution, condition, rows)
        except torch.cuda.OutOfMemoryError:
            break
        if needed > budget:
            break
        seconds[rows] = spent / rows
        tried = list(seconds)
        if len(tried) > _PLATEAU and min(seconds.values()) not in [
            seconds[r] for r in tried[-_PLATEAU:]
        ]:
            break
    if not seconds:
        raise ValueError(
            f"`memory_budget` must hold a call of {_CANDIDATES[0]} rows at {resolution} pixels. "
            f"Got {budget / 1e9:.2g} GB. Raise it, or lower `resolution`."
        )
    best = min(seconds.values())
    return next(rows for rows, spent in seconds.items() if spent <= _GOOD_ENOUGH * best)


def _measure(family: Family, resolution: int, condition: Condition, rows: int) -> tuple[float, int]:
    """Seconds of a call, and the bytes that it needs."""
    device = family.device
    latents = torch.zeros(rows, *family.latent_shape(resolution, resolution), device=device)
    timesteps = torch.ones(rows, dtype=torch.int64, device=device)
    stacked = {name: torch.stack([tensor] * rows) for name, tensor in condition.items()}
    before = _peak_memory(device, reset=True)
    spent = []
    # As it is: to compile every size would take longer than most runs.
    with torch.compiler.set_stance("force_eager"):
        for _ in range(1 + _REPEATS):  # the first warms up
            started = time.perf_counter()
            family.denoiser(latents, timesteps, stacked, shared=frozenset(stacked))
            if device.type == "cuda":
                torch.cuda.synchronize()
            spent.append(time.perf_counter() - started)
    return statistics.median(spent[1:]), _peak_memory(device) - before


def _peak_memory(device: torch.device, *, reset: bool = False) -> int:
    """The most bytes that were held, on a GPU since the last reset."""
    if device.type != "cuda":
        import resource  # not on every system

        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kilobytes * (1 if sys.platform == "darwin" else 1024)
    if reset:
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return torch.cuda.max_memory_allocated(device)


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(_GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(_CPU_SHARE * psutil.virtual_memory().available)
