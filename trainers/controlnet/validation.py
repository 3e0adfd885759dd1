"""What a ControlNet makes of fixed sources while it is trained."""

import copy
from typing import Any

import torch
from diffusers import ControlNetModel

from scribblegen.cards.gallery import GalleryRow, draw_scribble, render_gallery
from scribblegen.families.stable_diffusion.conditioning import fit_scribble
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.images import resize_image, tensor_to_image
from scribblegen.methods.base import Place
from scribblegen.methods.scribblegen import ScribbleGen
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.records import Sample
from scribblegen.sources import Source
from scribblegen.trainers.controlnet.config import ControlNetConfig

_ENCODE_RATIOS = [0.2, 0.5, 0.8, 1.0]
_STEPS = 20


def validation_picture(
    base_parts: dict[str, Any],
    controlnet: ControlNetModel,
    source: Source,
    config: ControlNetConfig,
    *,
    resolution: int,
    num_images: int,
    device: torch.device,
) -> bytes:
    """A PNG: the first usable sources in rows; photograph, scribble and encode ratios in columns.

    Guided with scale 2 where the training lets it be guided. The ControlNet is copied, not changed.
    """
    method_config = ScribbleGenConfig(
        guidance_scales=[2.0 if config.null_conditions else 1.0],
        encode_ratios=_ENCODE_RATIOS,
        num_inference_steps=_STEPS,
        conditioning_encoding=config.conditioning_encoding,
        prompt_mode=config.prompt_mode,
        prompt_stem=config.prompt_stem,
        resolution=resolution,
        output_size="model",
        rows=8,
    )
    parts = {**base_parts, "controlnet": copy.deepcopy(controlnet)}
    dtype = next(base_parts["unet"].parameters()).dtype
    diffusion = StableDiffusion(**parts, device=device, dtype=dtype)
    method = ScribbleGen(method_config, diffusion, source.classes)
    samples: list[Sample] = []
    for index in range(len(source)):
        if len(samples) == num_images:
            break
        sample = source.read(index)
        if isinstance(sample, Sample):
            samples.append(sample)
    twins: dict[tuple[int, float], Any] = {}
    places = (Place("train", 0, position) for position in range(len(samples)))
    for twin in method.twins(zip(places, samples, strict=True)):
        for cell in method.cells_of(twin):
            twins[twin.key.photograph.place.position, cell.encode_ratio] = tensor_to_image(
                twin.image
            )
    rows = []
    for position, sample in enumerate(samples):
        image = resize_image(sample.image, resolution, resolution)
        scribble = fit_scribble(sample.scribble, resolution, resolution)
        drawn = draw_scribble(image, scribble, source.classes)
        shown = [twins[position, ratio] for ratio in _ENCODE_RATIOS]
        rows.append(GalleryRow((image, drawn, *shown)))
    headings = [f"encode {ratio:g}" for ratio in _ENCODE_RATIOS]
    return render_gallery(["photograph", "scribble", *headings], rows)
