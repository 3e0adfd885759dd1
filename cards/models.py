"""The model cards: of a ControlNet, of a segmentor, of the parts of a small pipeline."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from scribblegen.cards.escape import literal
from scribblegen.cards.template import card_environment, method_text
from scribblegen.families.stable_diffusion.controlnet_record import ControlNetRecord

AUTOENCODER, TEXT_TO_IMAGE, CLIP = "autoencoder", "text-to-image", "clip"

_CONTROLNET_TAGS = [
    "stable-diffusion",
    "stable-diffusion-diffusers",
    "text-to-image",
    "diffusers",
    "controlnet",
    "diffusers-training",
    "scribblegen",
]
_OF_SCRIBBLES = "scribble-supervision"
_SEGMENTOR_TAGS = [
    "image-segmentation",
    "semantic-segmentation",
    _OF_SCRIBBLES,
    "scribblegen",
]
_DIFFUSERS_TAGS = ["diffusers", "diffusers-training", "scribblegen"]
_SMALL_MODEL_TAGS = {
    AUTOENCODER: _DIFFUSERS_TAGS,
    TEXT_TO_IMAGE: [TEXT_TO_IMAGE, *_DIFFUSERS_TAGS],
    CLIP: [CLIP, "zero-shot-image-classification", "scribblegen"],
}
_SUPERVISION = {
    "scribble": "scribbles (class ids on a few percent of the pixels)",
    "mask": "masks",
}
_TWINS = " and synthetic twins of the photographs under the same labels,"
_UNPAIRED = " and synthetic images under labels of their own,"
_ONLY_SYNTHETIC = "synthetic images under labels of their own and no photograph,"
_METRICS = {
    "mean_iou": "Mean IoU",
    "mean_iou_seen": "Mean IoU of seen classes",
    "mean_iou_unseen": "Mean IoU of unseen classes",
    "harmonic_mean_iou": "Harmonic mean IoU",
    "mean_accuracy": "Mean accuracy",
    "overall_accuracy": "Overall accuracy",
}
_ZERO_SHOT = ("mean_iou_seen", "mean_iou_unseen", "harmonic_mean_iou")
_WHAT = {
    AUTOENCODER: "A small autoencoder for latent diffusion",
    TEXT_TO_IMAGE: "A small text-to-image pipeline, the base of a ControlNet",
    CLIP: "A small pair of an image encoder and a text encoder with one space",
}
_LOADED_BY = {
    AUTOENCODER: ("diffusers", "AutoencoderKL"),
    TEXT_TO_IMAGE: ("diffusers", "StableDiffusionPipeline"),
    CLIP: ("transformers", "CLIPModel"),
}


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
        record: how the ControlNet was trained.
        options: the options of the training, flat, without paths of the machine.
        name: the name of the folder or repository.
        base: the frozen pipeline, a Hub id or a folder's name.
        channels: how many channels the conditioning has.
        steps, step_size: optimiser steps, and samples in each.
        version: the version of this package.
    """
    card_data = ModelCardData(
        library_name="diffusers", tags=_CONTROLNET_TAGS, base_model=base if "/" in base else None
    )
    return _rendered(
        "controlnet_card.md",
        card_data,
        method="scribblegen",
        name=name,
        base=base,
        record=record,
        classes=record.class_names or (),
        channels=channels,
        steps=steps,
        step_size=step_size,
        options=options,
        version=version,
    )


def render_segmentation_card(
    identity: dict[str, Any],
    measured: dict[str, Any],
    *,
    name: str,
    architecture: str,
    own_code: bool,
    weights: str = "",
    steps: int,
    command: str,
    version: str,
) -> str:
    """The README.md of a segmentor's folder.

    Args:
        identity: the options of the training without paths of the machine, `classes`, and the
            numbers of `photographs`, of their `twins` and of `unpaired` synthetic images.
        measured: `eval_mean_iou`, `eval_iou_<class>`, ...; empty where nothing was reported.
        name: the name of the folder or repository.
        architecture: the class of the model.
        own_code: the model needs code that lies beside its weights.
        weights: what its backbone began with, licence and digest; empty where the options say it.
        steps: how many steps the optimiser took.
        command: the command that trains it again.
        version: the version of this package.
    """
    counted = {key: identity[key] for key in ("classes", "photographs", "twins", "unpaired")}
    supervision = _SUPERVISION[identity["labels"]]
    tags = _SEGMENTOR_TAGS
    if identity.get("pseudo_label_weight"):
        supervision += " and pseudo labels"
    supervision += _TWINS if counted["twins"] else _UNPAIRED if counted["unpaired"] else ""
    if identity["real"] is None:
        supervision = _ONLY_SYNTHETIC
        tags = [tag for tag in tags if tag != _OF_SCRIBBLES]
    report = identity["eval_data"] or identity["real"]
    trained_on = (*([identity["real"]] if identity["real"] else []), *identity["synthetic"])
    datasets = {text.rpartition(":")[0] or text for text in trained_on}
    card_data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-segmentation",
        tags=tags,
        base_model=hub_id(identity.get("backbone") or identity["model_name_or_path"]),
        datasets=sorted(d for d in datasets if hub_id(d)) or None,
        metrics=["mean_iou"],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="image-segmentation",
                dataset_type=report,
                dataset_name=report,
                dataset_split=identity["eval_split"],
                metric_type=key,
                metric_name=shown,
                metric_value=measured[f"eval_{key}"],
            )
            for key, shown in _METRICS.items()
            if f"eval_{key}" in measured
        ],
    )
    return _rendered(
        "segmentation_card.md",
        card_data,
        method="scribblegen" if counted["twins"] else None,
        name=name,
        architecture=architecture,
        own_code=own_code,
        weights=weights,
        supervision=supervision,
        synthetic=identity["synthetic"],
        mean_iou=measured.get("eval_mean_iou"),
        images=measured.get("eval_images"),
        report=f"{report}, split {identity['eval_split']}",
        eval_labels=identity["eval_labels"],
        own_size=identity["eval_protocol"] == "full",
        unseen=identity.get("unseen_classes"),
        hide_unseen=identity.get("hide_unseen"),
        zero_shot=[
            (shown, _figure(measured[f"eval_{key}"]))
            for key, shown in _METRICS.items()
            if key in _ZERO_SHOT and f"eval_{key}" in measured
        ],
        chosen_on_report=identity.get("select_on") == "report",
        per_class=[
            {
                "name": c,
                "iou": _figure(measured.get(f"eval_iou_{c}")),
                "accuracy": _figure(measured.get(f"eval_accuracy_{c}")),
            }
            for c in identity["classes"]
        ],
        real=identity["real"],
        scheme=identity["scheme"],
        steps=steps,
        command=command,
        options={k: v for k, v in identity.items() if k not in counted},
        version=version,
        **counted,
    )


def render_small_model_card(
    kind: str, options: dict[str, Any], metrics: dict[str, Any], *, name: str, version: str
) -> str:
    """The README.md of a trained autoencoder, text-to-image pipeline or pair of encoders.

    Args:
        kind: `AUTOENCODER`, `TEXT_TO_IMAGE` or `CLIP`.
        options: the options of the training, flat, without paths of the machine.
        metrics: what was measured.
        name: the name of the folder or repository.
        version: the version of this package.
    """
    library, loaded = _LOADED_BY[kind]
    return _rendered(
        "small_model_card.md",
        ModelCardData(library_name=library, tags=_SMALL_MODEL_TAGS[kind]),
        name=name,
        what=_WHAT[kind],
        resolution=options["resolution"],
        use=f"from {library} import {loaded}\n\nmodel = {loaded}.from_pretrained({literal(name)})",
        options=options,
        metrics=metrics,
        version=version,
    )


def _rendered(
    template: str, card_data: ModelCardData, *, method: str | None = None, **values: Any
) -> str:
    """A template that extends `model_card.md`; with what a method's cards say of it, if any."""
    text = method_text(method) if method else None
    return (
        card_environment()
        .get_template(template)
        .render(card_data=card_data.to_yaml(), method_text=text, **values)
    )


def _figure(value: float | None) -> str:
    return "does not occur" if value is None else f"{value:.4f}"


def hub_id(name: str | None) -> str | None:
    """The name where it is one of the Hub, `owner/name`, and not a folder here."""
    may_be = name and name.count("/") == 1 and not name.startswith((".", "/"))
    return name if may_be and name and not Path(name).exists() else None
