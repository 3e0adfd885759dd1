"""What each opt-in approximation saves, and how far its images are from the exact ones.

    python -m tests.benchmarks.approximations

The pipeline that ships, 20 steps, guidance 2, encode ratios 0.5 and 1, one thread, by turns.
Writes `results/approximations.json`. The tiny VAE's weights are random here: its distance means
nothing and is not told. The base was not distilled, so that of `lcm` is large.
"""

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny

from scribblegen.builders.config import ScenesConfig
from scribblegen.builders.sources import open_source
from scribblegen.families.open import load_diffusion
from scribblegen.images import tensor_to_image
from scribblegen.methods.base import Place
from scribblegen.methods.scribblegen import ScribbleGen
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.records import Sample
from scribblegen.tiny import tiny_folder
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster

SCENES = 8
ROUNDS = 5
EXACT = "exact (ddim, 20 steps)"
WAYS: dict[str, dict[str, Any]] = {
    EXACT: {},
    "another seed": {"seed": 1},
    "ddim, 10 steps": {"num_inference_steps": 10},
    "dpmsolver++, 10 steps": {"num_inference_steps": 10, "sampler": "dpmsolver++"},
    "lcm, 4 steps": {"num_inference_steps": 4, "sampler": "lcm"},
    "control_guidance_end 0.5": {"control_guidance_end": 0.5},
    "deep_cache_interval 2": {"deep_cache_interval": 2},
    "deep_cache_interval 3": {"deep_cache_interval": 3},
    "tiny_vae": {},
}


def main() -> None:
    """The command."""
    torch.set_num_threads(1)
    source = open_source(ScenesConfig(ids=f"1000:{1000 + SCENES}"))
    assert source is not None
    samples = [s for s in map(source.read, range(len(source))) if isinstance(s, Sample)]
    diffusion = load_diffusion(tiny_folder())
    small = load_diffusion(tiny_folder())
    small.tiny_vae = AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32),
        decoder_block_out_channels=(32, 32, 32),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    ).eval()
    images: dict[str, np.ndarray] = {}

    def draw(name: str) -> None:
        config = ScribbleGenConfig(
            **{
                "guidance_scales": [2],
                "encode_ratios": [0.5, 1.0],
                "num_inference_steps": 20,
                "output_size": "model",
                **WAYS[name],
            }
        )
        method = ScribbleGen(config, small if name == "tiny_vae" else diffusion, source.classes)
        twins = method.twins((Place("train", 0, i), sample) for i, sample in enumerate(samples))
        by_key = {
            (
                twin.key.photograph.place.position,
                method.cells_of(twin)[0].encode_ratio,
            ): tensor_to_image(twin.image)
            for twin in twins
        }
        images[name] = np.stack([by_key[key] for key in sorted(by_key)]).astype(np.float32)

    taken = in_turns({name: (lambda name=name: draw(name)) for name in WAYS}, rounds=ROUNDS)
    result = {}
    for name in WAYS:
        away = np.abs(images[name] - images[EXACT])  # ratio 0.5 and 1 in turn
        result[name] = {
            "milliseconds_per_image": spread(taken[name], per=2 * len(samples) / 1000),
            "times_faster": times_faster(taken, EXACT, name),
            "grey_levels_away": None
            if name == "tiny_vae"
            else {"ratio 0.5": float(away[::2].mean()), "ratio 1": float(away[1::2].mean())},
        }
        print(name, result[name], flush=True)
    save("approximations", {"environment": environment(), **result})


if __name__ == "__main__":
    main()
