"""Pictures of any mixture of source, scribble and prompt."""

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.classes import present_classes
from scribblegen.engine.jobs import Job, Trajectory
from scribblegen.engine.pool import DenoiserPool
from scribblegen.families.base import Condition
from scribblegen.families.stable_diffusion.conditioning import (
    conditioning_image,
    null_conditioning_image,
)
from scribblegen.families.stable_diffusion.family import StableDiffusion
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

    def __init__(self, diffusion: StableDiffusion, samples: list[Sample]) -> None:
        self.diffusion, self.samples = diffusion, samples
        record = diffusion.record
        channels = diffusion.conditioning_channels
        empty = null_conditioning_image(channels, SIZE, SIZE, record.null_conditioning)
        self.no_conditioning = diffusion.conditioning(torch.from_numpy(empty))
        self.no_text = diffusion.prompt("")
        self.conditionings, self.prompts, self.latents = [], [], []
        for sample in samples:
            conditioning = conditioning_image(sample.scribble, SCENE_CLASSES, "one_hot")
            self.conditionings.append(diffusion.conditioning(torch.from_numpy(conditioning)))
            names = [SCENE_CLASSES.names[i] for i in present_classes(sample.scribble)]
            prompt = sample_prompt(
                names, sample.prompt, str(record.prompt_mode), str(record.prompt_stem)
            )
            self.prompts.append(diffusion.prompt(prompt))
            mean, _ = diffusion.encode(image_to_tensor(sample.image)[None])
            self.latents.append(diffusion.vae.config.scaling_factor * mean[0])

    def conditions(
        self, conditioning: bool, text: bool, null: str
    ) -> list[tuple[Condition, Condition]]:
        """Of every sample, with or without its conditioning and text, and with `null` dropped."""
        made = []
        for own_conditioning, own_text in zip(self.conditionings, self.prompts, strict=True):
            shown = own_conditioning if conditioning else self.no_conditioning
            said = own_text if text else self.no_text
            null_said = self.no_text if null in ("text", "both") else said
            null_shown = self.no_conditioning if null in ("hint", "both") else shown
            made.append(({**said, **shown}, {**null_said, **null_shown}))
        return made

    def text_alone(self, caption: str) -> tuple[Condition, Condition]:
        """Of a caption, without the ControlNet."""
        return self.diffusion.prompt(caption), self.no_text

    def draw(
        self,
        conditions: list[tuple[Condition, Condition]],
        guidance_scales: Sequence[float],
        encode_ratios: Sequence[float],
        *,
        seed: int = 0,
        description: str,
    ) -> dict[tuple[float, float], np.ndarray]:
        """(guidance scale, encode ratio) -> images (N, 64, 64, 3) uint8, in the samples' order."""
        runs = {r: self.diffusion.schedule.timesteps(r, STEPS) for r in encode_ratios}
        cells = [(w, r) for r in runs for w in guidance_scales]
        pool: DenoiserPool[tuple[int, float, float]] = DenoiserPool(
            self.diffusion, rows=32, decode_rows=16
        )
        jobs = (
            Job(
                group=0,
                noise=self._noise(number, seed),
                latents=self.latents[number % len(self.latents)],
                trajectories=tuple(Trajectory((number, w, r), runs[r], w, *both) for w, r in cells),
            )
            for number, both in enumerate(conditions)
        )
        drawn = {
            cell: np.zeros((len(conditions), SIZE, SIZE, 3), np.uint8) for cell in sorted(cells)
        }
        total = len(drawn) * len(conditions)
        for twin in tqdm(pool.run(jobs), total=total, desc=description, unit="image"):
            number, w, r = twin.key
            drawn[w, r][number] = tensor_to_image(twin.image)
        return drawn

    def reconstructions(self) -> np.ndarray:
        """Encoded and decoded, (N, 64, 64, 3) uint8."""
        images = [self.diffusion.decode(latents[None])[0] for latents in self.latents]
        return np.stack([tensor_to_image(image) for image in images])

    def _noise(self, number: int, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(derive_seed(seed, "quality", number))
        return torch.randn(self.diffusion.latent_shape(SIZE, SIZE), generator=generator)
