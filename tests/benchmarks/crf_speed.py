"""The dense random field: two labels beside 21, the lattice beside all pairs.

    python -m tests.benchmarks.crf_speed

On a drawn scene, in turns; both counts of labels at 512 pixels, both methods at 128. Writes
`results/crf_speed.json`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.segmenting.crf import dense_crf
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster


def rough_maps(mask: Tensor, classes: int, *, seed: int) -> Tensor:
    """(H, W) -> (K, H, W): a mask blurred and under coarse noise, as activation maps are."""
    random = torch.Generator().manual_seed(seed)
    height, width = mask.shape
    one_hot = F.one_hot(mask.long().clamp(max=classes - 1), classes).permute(2, 0, 1).float()
    noise = torch.rand(1, classes, height // 6 + 1, width // 6 + 1, generator=random)
    noise = F.interpolate(noise, size=(height, width), mode="bilinear")[0]
    return torch.softmax(3 * (F.avg_pool2d(one_hot, 9, 1, 4) + noise), dim=0)


def crf_speed(size: int, small: int, rounds: int) -> dict[str, Any]:
    """Seconds of each way and their ratios.

    Args:
        size: side at which the counts of labels are compared.
        small: side at which the methods are compared.
        rounds: of turns.
    """
    shown = {}
    for side in (size, small):
        scene = open_source(ScenesConfig(ids="0:1", scene_size=side)).load(0)
        image = torch.from_numpy(scene.image.copy()).permute(2, 0, 1)
        mask = torch.from_numpy(scene.mask.copy())
        shown[side] = (image, {k: rough_maps(mask, k, seed=0) for k in (2, 21)})
    image, maps = shown[size]
    labels = in_turns(
        {f"{k} labels": lambda k=k: dense_crf(maps[k], image) for k in (2, 21)}, rounds=rounds
    )
    image, maps = shown[small]
    methods = in_turns(
        {m: lambda m=m: dense_crf(maps[2], image, method=m) for m in ("fast", "exact")},
        rounds=rounds,
    )
    return {
        f"seconds at {size} pixels": {name: spread(taken) for name, taken in labels.items()},
        f"seconds at {small} pixels": {name: spread(taken) for name, taken in methods.items()},
        "2 labels, times faster than 21": times_faster(labels, "21 labels", "2 labels"),
        "fast, times faster than exact": times_faster(methods, "exact", "fast"),
    }


def main() -> None:
    found = crf_speed(512, 128, rounds=5)
    save("crf_speed", {"environment": environment(), **found})
    print(found)


if __name__ == "__main__":
    main()
