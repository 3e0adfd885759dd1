"""Activation maps: a batch beside a plain loop over images, scales and flips.

    python -m tests.benchmarks.activation_map_speed

Over a small network, in turns. Writes `results/activation_map_speed.json`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scribblegen.segmenting.activation_maps import SCALES, activation_maps
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster


def plain_loop(
    features: Callable[[Tensor], Tensor],
    weight: Tensor,
    images: Tensor,
    present: Tensor,
    *,
    scales: Sequence[float] = SCALES,
    flip: bool = True,
) -> Tensor:
    """As `activation_maps`, one view of one image after the other, as one would write it."""
    found = []
    for image, tags in zip(images, present, strict=True):
        total = torch.zeros(len(weight), *image.shape[1:])
        for scale in scales:
            size = [max(1, round(side * scale)) for side in image.shape[1:]]
            views = []
            for mirrored in (False, True) if flip else (False,):
                view = image.flip(-1) if mirrored else image
                view = F.interpolate(view[None], size=size, mode="bilinear")
                seen = F.relu(torch.einsum("kc,bchw->bkhw", weight, features(view)))
                views.append(seen.flip(-1) if mirrored else seen)
            strongest = torch.stack(views).amax(dim=0)
            total += F.interpolate(strongest, size=image.shape[1:], mode="bilinear")[0]
        total -= total.amin(dim=(1, 2), keepdim=True)
        total /= total.amax(dim=(1, 2), keepdim=True) + 1e-5
        found.append(total * tags[:, None, None])
    return torch.stack(found)


@torch.no_grad()
def activation_map_speed(count: int, side: int, rounds: int) -> dict[str, Any]:
    """Seconds an image of both ways, their ratio, and by how much they differ."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels, wide in ((3, 32), (32, 64), (64, 96), (96, 96)):
        layers += [nn.Conv2d(channels, wide, 3, stride=2, padding=1), nn.ReLU()]
    network = nn.Sequential(*layers).eval()
    weight = torch.randn(21, 96)
    images = 3 * F.interpolate(torch.randn(count, 3, 8, 8), size=(side, side))
    present = torch.rand(count, 21) < 0.15
    ways = {
        "batch": lambda: activation_maps(network, weight, images, present),
        "loop": lambda: plain_loop(network, weight, images, present),
    }
    taken = in_turns(ways, rounds=rounds)
    return {
        "seconds an image": {name: spread(t, count) for name, t in taken.items()},
        "batch, times faster than the loop": times_faster(taken, "loop", "batch"),
        "difference": float((ways["batch"]() - ways["loop"]()).abs().max()),
    }


def main() -> None:
    found = activation_map_speed(count=8, side=256, rounds=5)
    save("activation_map_speed", {"environment": environment(), **found})
    print(found)


if __name__ == "__main__":
    main()
