"""The model cards of the parts of a small pipeline."""

from typing import Any

from huggingface_hub import ModelCardData

from scribblegen.cards.template import card_environment, read_template

_TAGS = ["diffusers", "diffusers-training", "scribblegen"]

AUTOENCODER, TEXT_TO_IMAGE = "autoencoder", "text-to-image"
_WHAT = {
    AUTOENCODER: "A small autoencoder for latent diffusion",
    TEXT_TO_IMAGE: "A small text-to-image pipeline, the base of a ControlNet",
}
_CLASS = {AUTOENCODER: "AutoencoderKL", TEXT_TO_IMAGE: "StableDiffusionPipeline"}


def render_small_model_card(
    kind: str, options: dict[str, Any], metrics: dict[str, Any], *, name: str, version: str
) -> str:
    """The README.md of a trained autoencoder or text-to-image pipeline.

    Args:
        kind: `AUTOENCODER` or `TEXT_TO_IMAGE`.
        options: of the training, flat, without paths of the machine.
        metrics: what was measured.
        name: of the folder or repository.
        version: of this package.
    """
    tags = [kind, *_TAGS] if kind == TEXT_TO_IMAGE else _TAGS
    loaded = _CLASS[kind]
    return (
        card_environment()
        .from_string(read_template("small_model_card.md"))
        .render(
            card_data=ModelCardData(library_name="diffusers", tags=tags).to_yaml(),
            name=name,
            what=_WHAT[kind],
            resolution=options["resolution"],
            use=f'from diffusers import {loaded}\n\nmodel = {loaded}.from_pretrained("{name}")',
            options=options,
            metrics=metrics,
            version=version,
        )
    )
