"""The model card of a trained segmentor."""

from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from scribblegen.cards.template import card_environment, read_template

_TAGS = ["image-segmentation", "semantic-segmentation", "scribble-supervision", "scribblegen"]
_SUPERVISION = {
    "scribble": "scribbles (class ids on a few percent of the pixels)",
    "mask": "masks",
}
_TWINS = " and synthetic twins of the photographs under the same labels,"
_METRICS = {
    "mean_iou": "Mean IoU",
    "mean_accuracy": "Mean accuracy",
    "overall_accuracy": "Overall accuracy",
}


def render_segmentation_card(
    identity: dict[str, Any],
    measured: dict[str, Any],
    *,
    name: str,
    architecture: str,
    own_code: bool,
    steps: int,
    command: str,
    version: str,
) -> str:
    """The README.md of a segmentor's folder.

    Args:
        identity: options, `classes`, `photographs` and `twins`, without paths of the machine.
        measured: `eval_mean_iou`, `eval_iou_<class>`, ...; empty where nothing was reported.
        name: of the folder or repository.
        architecture: class of the model.
        own_code: the model needs code that lies beside its weights.
        steps: of the optimiser.
        command: that trains it again.
        version: of this package.
    """
    options = {k: v for k, v in identity.items() if k not in ("classes", "photographs", "twins")}
    supervision = _SUPERVISION[identity["labels"]] + (_TWINS if identity["synthetic"] else "")
    report = identity["eval_data"] or identity["real"]
    datasets = [text.rpartition(":")[0] or text
                for text in (identity["real"], *identity["synthetic"])]  # fmt: skip
    card_data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-segmentation",
        tags=_TAGS,
        base_model=_hub_id(identity["model_name_or_path"]),
        datasets=sorted({d for d in datasets if _hub_id(d)}) or None,
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
    return (
        card_environment()
        .from_string(read_template("segmentation_card.md"))
        .render(
            card_data=card_data.to_yaml(),
            name=name,
            architecture=architecture,
            own_code=own_code,
            classes=identity["classes"],
            supervision=supervision,
            synthetic=identity["synthetic"],
            mean_iou=measured.get("eval_mean_iou"),
            images=measured.get("eval_images"),
            report=f"{report}, split {identity['eval_split']}",
            eval_labels=identity["eval_labels"],
            own_size=identity["eval_protocol"] == "full",
            per_class=[
                {
                    "name": c,
                    "iou": _figure(measured.get(f"eval_iou_{c}")),
                    "accuracy": _figure(measured.get(f"eval_accuracy_{c}")),
                }
                for c in identity["classes"]
            ],
            photographs=identity["photographs"],
            real=identity["real"],
            twins=identity["twins"],
            scheme=identity["scheme"],
            steps=steps,
            command=command,
            options=options,
            version=version,
            method_text=read_template("methods/scribblegen.md"),
        )
    )


def _figure(value: float | None) -> str:
    return "does not occur" if value is None else f"{value:.4f}"


def _hub_id(name: str | None) -> str | None:
    """The name where it may be one of the Hub: `owner/name`."""
    return name if name and name.count("/") == 1 and not name.startswith((".", "/")) else None
