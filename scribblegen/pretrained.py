"""Pipelines in diffusers' layout, from a folder or the Hub -> `Diffusion`. safetensors only."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from scribblegen.diffusion import Diffusion

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_diffusion(
    pipeline: str | Path,
    controlnet: str | Path | None = None,
    *,
    revision: str | None = None,
    variant: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Diffusion:
    """Loads a pipeline in diffusers' layout and its ControlNet.

    Args:
        pipeline: folder or Hub id of the base pipeline.
        controlnet: folder or Hub id of the ControlNet; None takes `pipeline`'s own subfolder.

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
    return Diffusion(**parts, device=device, dtype=dtype)


def load_base(
    pipeline: str | Path,
    *,
    revision: str | None = None,
    variant: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Everything of a pipeline but its ControlNet, as keyword arguments of `Diffusion`."""
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
    try:
        return ControlNetModel.from_pretrained(controlnet, use_safetensors=True, torch_dtype=dtype)
    except (OSError, ValueError) as error:
        raise OSError(f"`controlnet` {controlnet} cannot be loaded: {error}") from error


def _weights(revision: str | None, variant: str | None, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "revision": revision,
        "variant": variant,
        "use_safetensors": True,
        "torch_dtype": dtype,
    }


def _load_part(name: str, part: Any, pipeline: str | Path, kwargs: dict[str, Any]) -> Any:
    try:
        return part.from_pretrained(str(pipeline), subfolder=name, **kwargs)
    except (OSError, ValueError) as error:
        raise OSError(f"`pipeline` {pipeline} has no usable {name}: {error}") from error
