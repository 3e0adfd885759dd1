"""Pictures of any mixture of source, scribble and prompt."""

from collections.abc import Iterable

import numpy as np
import torch
from tqdm import tqdm

from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.classes import present_classes
from scribblegen.engine.encode_ratio import timesteps_of
from scribblegen.engine.jobs import Conditions, Job
from scribblegen.engine.pool import DenoiserPool, Denoising
from scribblegen.families.stable_diffusion.conditioning import (
    conditioning_image,
    null_conditioning_image,
)
from scribblegen.families.stable_diffusion.networks import Diffusion
from scribblegen.images import image_to_tensor, tensor_to_image
from scribblegen.prompts import sample_prompt
from scribblegen.records import Sample
from scribblegen.seeds import derive_seed

SIZE = 64
STEPS = 20


class Studio:
    """Draws any mixture of source, scribble and prompt.

    Args:
        diffusion: the pipeline.
        samples: held-out scenes.
    """

    def __init__(self, diffusion: Diffusion, samples: list[Sample]) -> None:
        self.diffusion, self.samples = diffusion, samples
        record = diffusion.record
        channels = diffusion.conditioning_channels
        empty = null_conditioning_image(channels, SIZE, SIZE, record.null_conditioning)
        self.no_conditioning = diffusion.embed_conditioning(torch.from_numpy(empty)[None])[0]
        self.no_text = diffusion.embed_prompt("")
        self.conditionings, self.prompts, self.latents = [], [], []
        for sample in samples:
            conditioning = conditioning_image(sample.scribble, SCENE_CLASSES, "one_hot")
            self.conditionings.append(
                diffusion.embed_conditioning(torch.from_numpy(conditioning)[None])[0]
            )
            names = [SCENE_CLASSES.names[i] for i in present_classes(sample.scribble)]
            prompt = sample_prompt(
                names, sample.prompt, str(record.prompt_mode), str(record.prompt_stem)
            )
            self.prompts.append(diffusion.embed_prompt(prompt))
            mean, _ = diffusion.encode(image_to_tensor(sample.image)[None])
            self.latents.append(diffusion.vae.config.scaling_factor * mean[0])

    def conditions(self, conditioning: bool, text: bool, null: str) -> list[Conditions]:
        """Of every sample, with or without its conditioning and text; `null` is dropped too."""
        made = []
        for own_conditioning, own_text in zip(self.conditionings, self.prompts, strict=True):
            shown = own_conditioning if conditioning else self.no_conditioning
            said = own_text if text else self.no_text
            made.append(
                Conditions(
                    prompts=(said, self.no_text if null in ("text", "both") else said),
                    conditionings=(
                        shown,
                        self.no_conditioning if null in ("hint", "both") else shown,
                    ),
                )
            )
        return made

    def draw(
        self,
        conditions: list[Conditions],
        guidance_scales: Iterable[float],
        encode_ratios: Iterable[float],
        *,
        seed: int = 0,
        conditioning_scale: float = 1.0,
        description: str,
    ) -> dict[tuple[float, float], np.ndarray]:
        """(guidance scale, encode ratio) -> images (N, 64, 64, 3) uint8, in the samples' order."""
        schedule = self.diffusion.prediction.schedule
        grids = {r: timesteps_of(r, STEPS, schedule=schedule) for r in encode_ratios}
        ratio_of = {grid: r for r, grid in grids.items()}
        scales = tuple(guidance_scales)
        pool = DenoiserPool(
            self.diffusion,
            rows=32,
            decode_rows=16,
            denoising=Denoising(conditioning_scale=conditioning_scale),
        )
        jobs = (
            Job(
                key=number,
                group=0,
                latents=self.latents[number % len(self.latents)],
                noise=self._noise(number, seed),
                conditions=condition,
                cells=tuple((grid, scales) for grid in grids.values()),
            )
            for number, condition in enumerate(conditions)
        )
        drawn = {
            (w, r): np.zeros((len(conditions), SIZE, SIZE, 3), np.uint8)
            for w in scales
            for r in grids
        }
        total = len(drawn) * len(conditions)
        for twin in tqdm(pool.run(jobs), total=total, desc=description, unit="image"):
            assert isinstance(twin.key, int)
            cell = drawn[twin.guidance_scale, ratio_of[twin.grid]]
            cell[twin.key] = tensor_to_image(twin.image)
        return drawn

    def reconstructions(self) -> np.ndarray:
        """Encoded and decoded, (N, 64, 64, 3) uint8."""
        images = [self.diffusion.decode(latents[None])[0] for latents in self.latents]
        return np.stack([tensor_to_image(image) for image in images])

    def _noise(self, number: int, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(derive_seed(seed, "quality", number))
        return torch.randn(self.diffusion.latent_shape(SIZE, SIZE), generator=generator)
