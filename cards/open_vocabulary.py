"""The model card of a segmentor of any words."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCardData

from scribblegen.cards.models import hub_id
from scribblegen.cards.template import card_environment

_TAGS = ["image-segmentation", "open-vocabulary", "zero-shot", "magicseg", "scribblegen"]


def render_open_vocabulary_card(
    options: dict[str, Any],
    metrics: Mapping[str, Any],
    *,
    name: str,
    examples: tuple[str, ...],
    version: str,
) -> str:
    """The README.md of a folder that `train-open-vocabulary` left.

    Args:
        options: of the training, flat, without paths of the machine.
        metrics: `words` of the vocabulary, `rows` by what they were learned from as, `steps`.
        name: the name of the folder or repository.
        examples: a few words of the vocabulary, for the commands.
        version: the version of this package.
    """
    repositories = [text.rpartition(":")[0] for text in options["synthetic"]]
    card_data = ModelCardData(
        pipeline_tag="image-segmentation",
        tags=_TAGS,
        base_model=hub_id(options["clip"]),
        datasets=[found for found in map(hub_id, dict.fromkeys(repositories)) if found] or None,
    )
    return (
        card_environment()
        .get_template("open_vocabulary_card.md")
        .render(
            card_data=card_data.to_yaml(),
            method_text=None,
            name=name,
            examples=examples,
            words=metrics["words"],
            rows=metrics["rows"],
            steps=metrics["steps"],
            options=options,
            version=version,
        )
    )
