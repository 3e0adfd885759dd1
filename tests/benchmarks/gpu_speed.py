"""G1 to G7: the pool on a GPU, at Stable Diffusion 1.5's shapes with random weights.

    python -m tests.benchmarks.gpu_speed

Ours, the stock pipeline one image at a time, and the stock pipeline batched and compiled, in one
run. Prints the dense-matmul rate of the same run beside them. Writes `results/gpu_speed.json`.
"""

import argparse
import random
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from scribblegen.engine.pool import DenoiserPool
from scribblegen.images import encode_image, tensor_to_image
from scribblegen.runs.patient_executor import PatientExecutor
from tests.benchmarks.engine_networks import SIZES
from tests.benchmarks.engine_speed import ROWS, SCALES, Bench, Cell, grid_cells, grid_speed
from tests.benchmarks.timing import environment, save, spread, wall_clock

GRIDS = {f"G{steps}": (steps, [i / 10 for i in range(1, 11)]) for steps in (20, 50)}
# What others have published of Stable Diffusion 1.5 with a ControlNet, 512 x 512, pairs of rows.
PUBLISHED = {
    "H100, plain, steps/s": 35.8,
    "H100, stable-fast, steps/s": 72.6,
    "A100, TensorRT 9, no ControlNet, steps/s": 61.1,
}


def matmul_rate(device: str, dtype: torch.dtype, side: int = 8192) -> float:
    """TFLOP/s of one large dense product, the best of ten."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = wall_clock()
        a @ b
        best = min(best, wall_clock() - started)
    return 2 * side**3 / best / 1e12


@torch.inference_mode()
def operations(bench: Bench) -> dict[str, float]:
    """Floating-point operations of a denoiser row, of a decoded and of an encoded image."""
    diffusion, source = bench.diffusion, bench.sources[0]
    device = diffusion.device
    shape = diffusion.latent_shape(*source.image.shape[2:])
    latents, timesteps = torch.zeros(1, *shape, device=device), torch.ones(1, device=device).long()
    row = {**diffusion.prompt("a"), **diffusion.conditioning(source.conditioning[0])}
    condition = {name: tensor[None] for name, tensor in row.items()}
    calls = {
        "row": lambda: diffusion.denoiser(latents, timesteps, condition),
        "decode": lambda: diffusion.decode(latents),
        "encode": lambda: diffusion.encode(source.image),
    }
    counted = {}
    for name, call in calls.items():
        with FlopCounterMode(display=False) as counter:
            call()
        counted[name] = float(counter.get_total_flops())
    return counted


def ours_twice(bench: Bench, cells: list[Cell]) -> dict[str, Any]:
    """G6 and G7: images that differ when the order does, graphs compiled after the first run."""
    bench.ours(cells)
    first = dict(bench.images["ours"])
    graphs = _compiled_graphs()
    shuffled = list(cells)
    random.Random(0).shuffle(shuffled)
    bench.ours(shuffled)
    second = bench.images["ours"]
    return {
        "images": len(cells),
        "images that differ": sum(not torch.equal(first[c], second[c]) for c in cells),
        "compiled after warm-up": _compiled_graphs() - graphs,
    }


def _compiled_graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"].get("unique_graphs", 0))


def writer_cost(bench: Bench, cells: list[Cell]) -> dict[str, Any]:
    """G5: seconds of the pool with pictures encoded beside it, and with none."""
    numbers = sorted({number for number, _, _ in cells})
    pairs = sorted({(w, r) for _, w, r in cells})

    def run(encode: bool) -> float:
        pool = DenoiserPool(bench.diffusion, rows=ROWS)
        started = wall_clock()
        with PatientExecutor(4, 64) as executor:
            for twin in pool.run(bench.job(number, pairs, {}) for number in numbers):
                if encode:
                    executor.submit(
                        lambda twin=twin: encode_image(tensor_to_image(twin.image), "png")
                    )
        return wall_clock() - started

    run(False)
    with_writer, without = ([run(encode) for _ in range(3)] for encode in (True, False))
    return {
        "seconds with encoding": spread(with_writer),
        "seconds without": spread(without),
        "share lost": 1 - sorted(without)[1] / sorted(with_writer)[1],
    }


def gpu_benchmarks(
    size: str,
    device: str,
    dtype: torch.dtype,
    *,
    sources: int,
    rounds: int,
    compiled: bool,
    grids: dict[str, tuple[int, Sequence[float]]] = GRIDS,
) -> dict[str, Any]:
    """G1 to G7."""
    result: dict[str, Any] = {"published": PUBLISHED}
    rate = matmul_rate(device, dtype, 8192 if device == "cuda" else 256)
    result["dense matmul, TFLOP/s"] = rate
    for number, (name, (steps, ratios)) in enumerate(grids.items()):
        bench = Bench(size, sources, steps, device=device, dtype=dtype, compiled=compiled)
        cells = grid_cells(sources, ratios)
        found = grid_speed(bench, cells, rounds, tolerance=None if compiled else 1e-4)
        seconds = found["seconds"]["ours"]["median"]
        each = operations(bench)
        useful = (
            found["rows"] * each["row"] + len(cells) * each["decode"] + sources * each["encode"]
        )
        result[f"G1-G3 {name}"] = {
            **found,
            "images_per_second": len(cells) / seconds,
            "useful TFLOP/s": useful / seconds / 1e12,
            "share of the matmul rate": useful / seconds / 1e12 / rate,
        }
        if number == 0:
            result["G5 writer"] = writer_cost(bench, cells)
            result["G6-G7 order"] = ours_twice(bench, cells)
        del bench
    return result


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device: nothing is measured.")
    started = time.perf_counter()
    result = gpu_benchmarks(
        "sd15",
        "cuda",
        torch.bfloat16,
        sources=options.sources,
        rounds=options.rounds,
        compiled=True,
    )
    result = {"environment": environment(), "side": SIZES["sd15"].side, "scales": SCALES, **result}
    result["minutes in all"] = (time.perf_counter() - started) / 60
    save("gpu_speed", result)
    print(result)


if __name__ == "__main__":
    main()
