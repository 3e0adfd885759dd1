"""The model card of a trained ControlNet."""

from typing import Any

from huggingface_hub import ModelCardData

from scribblegen.cards.template import card_environment, read_template
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord

_TAGS = ["stable-diffusion", "stable-diffusion-diffusers", "text-to-image", "diffusers",
         "controlnet", "diffusers-training", "scribblegen"]  # fmt: skip


def render_controlnet_card(
    record: ControlNetRecord,
    options: dict[str, Any],
    *,
    name: str,
    base: str,
    channels: int,
    steps: int,
    step_size: int,
    version: str,
) -> str:
    """The README.md of a ControlNet folder.

    Args:
        record: how it was trained.
        options: of the training, flat, without paths of the machine.
        name: of the folder or repository.
        base: the frozen pipeline, a Hub id or a folder's name.
        channels: of the conditioning.
        steps, step_size: optimiser steps, and samples in each.
        version: of this package.
    """
    card_data = ModelCardData(
        library_name="diffusers", tags=_TAGS, base_model=base if "/" in base else None
    )
    return (
        card_environment()
        .from_string(read_template("controlnet_card.md"))
        .render(
            card_data=card_data.to_yaml(),
            name=name,
            base=base,
            record=record,
            classes=record.class_names or (),
            channels=channels,
            steps=steps,
            step_size=step_size,
            options=options,
            version=version,
            method_text=read_template("methods/scribblegen.md"),
        )
    )
