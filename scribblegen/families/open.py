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
from scribblegen.families.schedule import read_schedule
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.families.weights import NOTHING, Allowed, load_weights

# Of transformers before its release 4.31: a list of numbers from 0, which the network has anew.
_TEXT_ENCODER = Allowed(unexpected=(r"(text_model\.)?embeddings\.position_ids$",))

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
    with_controlnet: bool = True,
) -> StableDiffusion:
    """Loads a pipeline in diffusers' layout and its ControlNet.

    Args:
        pipeline: folder or Hub id of the base pipeline.
        controlnet: folder or Hub id of the ControlNet; None takes `pipeline`'s own subfolder.
        tiny_vae: folder or Hub id of an `AutoencoderTiny` that decodes instead of the VAE.
        compile_calls: through torch.compile.
        with_controlnet: whether there is one: False where nothing follows a picture.

    Raises:
        OSError: a part is missing, or some of its weights are; the message names them. Or the
            parts do not fit each other.
    """
    own_controlnet = controlnet is None and with_controlnet
    if own_controlnet and Path(pipeline).is_dir() and not (Path(pipeline) / "controlnet").is_dir():
        raise FileNotFoundError(
            f"`pipeline` {pipeline} has no ControlNet in it. Name one with `controlnet`."
        )
    parts = load_base(pipeline, revision=revision, variant=variant, dtype=dtype)
    if own_controlnet:
        options = _weights(revision, variant, dtype)
        parts["controlnet"] = _load_part(
            "pipeline", "controlnet", ControlNetModel, pipeline, options
        )
    elif with_controlnet:
        parts["controlnet"] = load_controlnet(str(controlnet), dtype)
    if tiny_vae is not None:
        parts["tiny_vae"] = load_weights(AutoencoderTiny, "tiny_vae", tiny_vae, torch_dtype=dtype)
    with loading("pipeline", pipeline, "has parts that do not fit"):
        return StableDiffusion(**parts, device=device, dtype=dtype, compile_calls=compile_calls)


def load_base(
    pipeline: str | Path,
    *,
    revision: str | None = None,
    variant: str | None = None,
    dtype: torch.dtype = torch.float32,
    option: str = "pipeline",
) -> dict[str, Any]:
    """Everything of a pipeline but its ControlNet, as keyword arguments of `StableDiffusion`.

    Raises:
        OSError: a part is missing, or some of its weights are; the message names them and `option`.
    """
    weights = _weights(revision, variant, dtype)
    parts: dict[str, Any] = {}
    for name, part, allowed in (
        ("vae", AutoencoderKL, NOTHING),
        ("unet", UNet2DConditionModel, NOTHING),
        ("text_encoder", CLIPTextModel, _TEXT_ENCODER),
    ):
        parts[name] = _load_part(option, name, part, pipeline, weights, allowed)
    with loading(option, pipeline, "has no usable tokenizer"):
        parts["tokenizer"] = CLIPTokenizer.from_pretrained(
            str(pipeline), subfolder="tokenizer", revision=revision
        )
    with loading(option, pipeline, "has no usable scheduler"):
        scheduler = DDIMScheduler.load_config(
            str(pipeline), subfolder="scheduler", revision=revision
        )
        read_schedule(dict(scheduler))  # refused here, before any network is put to work
        return {**parts, "scheduler_config": dict(scheduler)}


def load_controlnet(
    controlnet: str, dtype: torch.dtype = torch.float32, *, option: str = "controlnet"
) -> ControlNetModel:
    """A ControlNet from a folder or the Hub, which `option` names.

    Raises:
        OSError: it is missing, or some of its weights are; the message names them and `option`.
    """
    model: ControlNetModel = load_weights(ControlNetModel, option, controlnet, torch_dtype=dtype)
    return model


def _weights(revision: str | None, variant: str | None, dtype: torch.dtype) -> dict[str, Any]:
    return {"revision": revision, "variant": variant, "torch_dtype": dtype}


def _load_part(
    option: str,
    name: str,
    part: Any,
    pipeline: str | Path,
    arguments: dict[str, Any],
    allowed: Allowed = NOTHING,
) -> Any:
    what = f"has no usable {name}"
    return load_weights(
        part, option, pipeline, what=what, allowed=allowed, subfolder=name, **arguments
    )
