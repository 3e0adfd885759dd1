"""The model card of an affinity network."""

from typing import Any

from huggingface_hub import ModelCardData

from scribblegen.cards.template import card_environment

_TAGS = ["affinity", "weak-supervision", "scribblegen"]


def render_affinity_card(
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
    """The README.md of an affinity network's folder.

    Args:
        identity: the options of the training without paths of the machine, `classes`, and the
            number of `images`.
        measured: `eval_pair_accuracy`, `eval_affinity_<kind>`, ...; empty where nothing was
            reported.
        name: the name of the folder or repository.
        architecture: the class of the model.
        own_code: the model needs code that lies beside its weights; none does.
        weights: what its backbone began with, licence and digest; empty where the options say it.
        steps: how many steps the optimiser took.
        command: the command that trains it again.
        version: the version of this package.
    """
    counted = ("classes", "images")
    return (
        card_environment()
        .get_template("affinity_card.md")
        .render(
            card_data=ModelCardData(library_name="transformers", tags=_TAGS).to_yaml(),
            method_text=None,
            name=name,
            architecture=architecture,
            weights=weights,
            measured=measured,
            report=f"{identity['eval_data']}, split {identity['eval_split']}",
            synthetic=identity["synthetic"],
            steps=steps,
            command=command,
            options={k: v for k, v in identity.items() if k not in counted},
            version=version,
            **{key: identity[key] for key in counted},
        )
    )
