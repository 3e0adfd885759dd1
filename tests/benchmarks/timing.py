"""Ways of doing one thing, timed in turns: machines are noisy, their noise hits all alike."""

import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
_LIBRARIES = ("torch", "diffusers", "transformers", "datasets", "evaluate", "pillow", "pyarrow")


def in_turns(
    ways: dict[str, Callable[[], Any]], *, rounds: int, clock: Callable[[], float] | None = None
) -> dict[str, list[float]]:
    """Seconds of each way in each round; a round before the first warms up.

    Args:
        ways: by name.
        rounds: of turns.
        clock: this process's CPU time if None, or the wall's where there is a GPU.
    """
    tick = clock or (wall_clock if torch.cuda.is_available() else time.process_time)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = tick()
            way()
            if turn:
                taken[name].append(tick() - started)
    return taken


def wall_clock() -> float:
    """Seconds, after the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def spread(seconds: list[float], per: float = 1.0) -> dict[str, float]:
    """Median and quartiles, divided by `per`, to four digits."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {
        name: float(f"{value / per:.4g}")
        for name, value in (("low", low), ("median", middle), ("high", high))
    }


def times_faster(taken: dict[str, list[float]], slow: str, fast: str) -> dict[str, float]:
    """How many times faster: the median of the rounds' ratios, and their quartiles."""
    return spread([a / b for a, b in zip(taken[slow], taken[fast], strict=True)])


def environment() -> dict[str, Any]:
    """What the figures were measured on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": platform.processor() or platform.machine(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def load(name: str) -> dict[str, Any]:
    """`results/<name>.json`, as it was saved."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found


def save(name: str, result: dict[str, Any]) -> None:
    """Writes `results/<name>.json`."""
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(f"{text}\n", "utf-8")
