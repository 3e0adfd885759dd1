"""Pipelines in diffusers' layout, from a folder or the Hub -> a family. safetensors only."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from scribblegen.families.loading_errors import loading
from scribblegen.families.stable_diffusion.family import StableDiffusion

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_diffusion(
    pipeline: str | Path,
    controlnet: str | Path | None = None,
    *,
    revision: str | None = None,
    variant: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    tiny_vae: str | Path | None = None,
    compile_calls: bool = False,
) -> StableDiffusion:
    """Loads a pipeline in diffusers' layout and its ControlNet.

    Args:
        pipeline: folder or Hub id of the base pipeline.
        controlnet: folder or Hub id of the ControlNet; None takes `pipeline`'s own subfolder.
        tiny_vae: folder or Hub id of an `AutoencoderTiny` that decodes instead of the VAE.
        compile_calls: through torch.compile.

    Raises:
        OSError: a part is missing; the message names it.
        ValueError: the parts do not fit each other.
    """
    own_controlnet = controlnet is None
    if own_controlnet and Path(pipeline).is_dir() and not (Path(pipeline) / "controlnet").is_dir():
        raise FileNotFoundError(
            f"`pipeline` {pipeline} has no ControlNet in it. Name one with `controlnet`."
        )
    parts = load_base(pipeline, revision=revision, variant=variant, dtype=dtype)
    if own_controlnet:
        options = _weights(revision, variant, dtype)
        parts["controlnet"] = _load_part("controlnet", ControlNetModel, pipeline, options)
    else:
        parts["controlnet"] = load_controlnet(str(controlnet), dtype)
    if tiny_vae is not None:
        parts["tiny_vae"] = _load_tiny_vae(str(tiny_vae), dtype)
    return StableDiffusion(**parts, device=device, dtype=dtype, compile_calls=compile_calls)


def load_base(
    pipeline: str | Path,
    *,
    revision: str | None = None,
    variant: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Everything of a pipeline but its ControlNet, as keyword arguments of `StableDiffusion`."""
    weights = _weights(revision, variant, dtype)
    parts: dict[str, Any] = {}
    for name, part, options in (
        ("vae", AutoencoderKL, weights),
        ("unet", UNet2DConditionModel, weights),
        ("text_encoder", CLIPTextModel, weights),
        ("tokenizer", CLIPTokenizer, {"revision": revision}),
    ):
        parts[name] = _load_part(name, part, pipeline, options)
    scheduler = DDIMScheduler.load_config(str(pipeline), subfolder="scheduler", revision=revision)
    return {**parts, "scheduler_config": dict(scheduler)}


def load_controlnet(controlnet: str, dtype: torch.dtype = torch.float32) -> ControlNetModel:
    """A ControlNet from a folder or the Hub."""
    with loading("controlnet", controlnet):
        return ControlNetModel.from_pretrained(controlnet, use_safetensors=True, torch_dtype=dtype)


def _load_tiny_vae(tiny_vae: str, dtype: torch.dtype) -> AutoencoderTiny:
    with loading("tiny_vae", tiny_vae):
        return AutoencoderTiny.from_pretrained(tiny_vae, use_safetensors=True, torch_dtype=dtype)


def _weights(revision: str | None, variant: str | None, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "revision": revision,
        "variant": variant,
        "use_safetensors": True,
        "torch_dtype": dtype,
    }


def _load_part(name: str, part: Any, pipeline: str | Path, kwargs: dict[str, Any]) -> Any:
    with loading("pipeline", pipeline, f"has no usable {name}"):
        return part.from_pretrained(str(pipeline), subfolder=name, **kwargs)
