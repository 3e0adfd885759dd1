"""How a ControlNet was trained, kept in its own config and checked where it is used."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.families.stable_diffusion.conditioning import NULL_CONDITIONS

# diffusers passes private keys of a model's config through loading and saving.
_KEY = "_scribblegen"


@dataclass(frozen=True, kw_only=True)
class ControlNetRecord:
    """What generation must know of the training. The defaults stand for a foreign ControlNet.

    Args:
        null_conditions: what it learned to do without; stock training drops the text alone.
        null_conditioning: what stands for no scribble, one value for each channel; None for zeros.
        conditioning_encoding: how scribbles were encoded; None where unknown.
        class_names: in id order; None where unknown.
        ignore_index: label value of unlabelled pixels.
        prompt_mode, prompt_stem: of the training prompts; None where unknown.
    """

    null_conditions: tuple[str, ...] = ("text",)
    null_conditioning: tuple[float, ...] | None = None
    conditioning_encoding: str | None = None
    class_names: tuple[str, ...] | None = None
    ignore_index: int = IGNORE_INDEX
    prompt_mode: str | None = None
    prompt_stem: str | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.null_conditions) - set(NULL_CONDITIONS))
        if unknown:
            raise ValueError(
                f"the ControlNet's record must name null conditions among {NULL_CONDITIONS}. "
                f"Got {unknown}."
            )


def read_record(controlnet: Any) -> ControlNetRecord:
    """The record in a ControlNet's config; the defaults where it has none."""
    known = {f.name for f in fields(ControlNetRecord)}
    stored: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value
        for key, value in controlnet.config.get(_KEY, {}).items()
        if key in known
    }
    return ControlNetRecord(**stored)


def write_record(controlnet: Any, record: ControlNetRecord) -> None:
    """Puts the record into a ControlNet's config; `save_pretrained` then keeps it."""
    listed = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(record).items()
    }
    controlnet.register_to_config(**{_KEY: listed})


def check_record(record: ControlNetRecord, classes: Classes, conditioning_encoding: str) -> None:
    """Refuses a ControlNet that was trained on other classes, or on another encoding of them."""
    if (
        record.conditioning_encoding is not None
        and record.conditioning_encoding != conditioning_encoding
    ):
        raise ValueError(
            f"`conditioning_encoding` must be {record.conditioning_encoding}, which the ControlNet "
            f"was trained with. Got {conditioning_encoding!r}."
        )
    if record.class_names is not None and record.class_names != classes.names:
        raise ValueError(
            f"`controlnet` was trained on the classes {', '.join(record.class_names)}; the source "
            f"has {', '.join(classes.names)}. Use a ControlNet trained on these."
        )


def choose_null_condition(record: ControlNetRecord, null_condition: str | None) -> str | None:
    """What the unconditional branch drops: what is asked for, or the record's first.

    None where the ControlNet learned to do without nothing: it cannot be guided.

    Raises:
        ValueError: the ControlNet never learned to do without what would be dropped.
    """
    if null_condition is None:
        return record.null_conditions[0] if record.null_conditions else None
    if null_condition not in record.null_conditions:
        raise ValueError(
            "`null_condition` must be one that the ControlNet was trained with, "
            f"{list(record.null_conditions)}. Got {null_condition!r}, on which it never learned to "
            "predict."
        )
    return null_condition
