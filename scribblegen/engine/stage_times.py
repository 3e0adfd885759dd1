"""Where a run spends its time: seconds by stage, of the device where there is one."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch

STAGES = ("read", "encode", "condition", "denoise", "decode", "write")
_OPEN_EVENTS = 512  # looked at together: their times are known once the device has passed them


class StageTimes:
    """Adds up seconds by stage. On a GPU they are the device's own, without making it wait.

    Args:
        device: that the stages run on.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._on_gpu = device.type == "cuda"
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the time of a `with` block, or of the kernels that it starts, under `name`."""
        if not self._on_gpu:
            with self.host_stage(name):
                yield
            return
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        started.record()
        yield
        ended.record()
        self._events.append((name, started, ended))
        if len(self._events) >= _OPEN_EVENTS:
            self._fold(self._events[: _OPEN_EVENTS // 2])

    @contextlib.contextmanager
    def host_stage(self, name: str) -> Iterator[None]:
        """Counts the time of a `with` block, as the clock on the wall shows it."""
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started

    def totals(self) -> dict[str, float]:
        """Seconds of every stage so far."""
        self._fold(list(self._events))
        return {name: self.seconds[name] for name in STAGES}

    def _fold(self, events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]]) -> None:
        for name, started, ended in events:
            ended.synchronize()
            self.seconds[name] += started.elapsed_time(ended) / 1000
        del self._events[: len(events)]


def profile_table(seconds: dict[str, float], wall: float, counts: dict[str, int], rows: int) -> str:
    """What `--profile` prints, of one process.

    Args:
        seconds: by stage.
        wall: seconds of the whole.
        counts: `rows`, `calls`, `images` of the denoiser pool.
        rows: how many rows a call has.
    """
    idle = max(0.0, wall - sum(seconds.values()))
    lines = [f"{'stage':<10}  {'seconds':>9}  {'share':>6}"]
    for name, spent in [*seconds.items(), ("idle", idle)]:
        lines.append(f"{name:<10}  {spent:>9.2f}  {spent / max(wall, 1e-9):>6.1%}")
    calls = counts.get("calls", 0)
    fill = counts.get("rows", 0) / max(calls * rows, 1)
    lines.append(
        f"{counts.get('rows', 0)} rows in {calls} calls of {rows}: {fill:.1%} full; "
        f"{counts.get('images', 0)} images decoded"
    )
    return "\n".join(lines)
