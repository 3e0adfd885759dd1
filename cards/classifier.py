"""The model card of a classifier of tags."""

from typing import Any

from huggingface_hub import ModelCardData

from scribblegen.cards.template import card_environment

_TAGS = ["image-classification", "multi-label", "scribble-supervision", "scribblegen"]


def render_classifier_card(
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
    """The README.md of a classifier's folder.

    Args:
        identity: the options of the training without paths of the machine, `classes` (the tags),
            `photographs`, and whether there is a `background` that is no tag.
        measured: `eval_mean_average_precision`, `eval_precision_<class>`, ...; empty where nothing
            was reported.
        name: the name of the folder or repository.
        architecture: the class of the model.
        own_code: the model needs code that lies beside its weights.
        weights: what its backbone began with, licence and digest; empty where the options say it.
        steps: how many steps the optimiser took.
        command: the command that trains it again.
        version: the version of this package.
    """
    counted = ("classes", "photographs", "background")
    card_data = ModelCardData(
        library_name="transformers", pipeline_tag="image-classification", tags=_TAGS
    )
    precision = {c: measured.get(f"eval_precision_{c}") for c in identity["classes"]}
    return (
        card_environment()
        .get_template("classifier_card.md")
        .render(
            card_data=card_data.to_yaml(),
            method_text=None,
            name=name,
            architecture=architecture,
            own_code=own_code,
            weights=weights,
            measured=measured,
            precision=precision,
            report=f"{identity['eval_data'] or identity['real']}, split {identity['eval_split']}",
            real=identity["real"],
            steps=steps,
            command=command,
            options={k: v for k, v in identity.items() if k not in counted},
            version=version,
            **{key: identity[key] for key in counted},
        )
    )
