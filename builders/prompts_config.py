"""The options of source `prompts`."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.prompt_words import AUTO

_TEMPLATES = ["Photo of a {class}"]
_PLAIN_SHARE = 0.3  # 70 % sub-classes, as DatasetDM has it


@dataclass(frozen=True, kw_only=True)
class PromptsConfig:
    """Prompts that name classes, for methods that start from text."""

    LOCATIONS: ClassVar = ("prompt_words", "prompt_file", "prompt_model")

    classes: str | None = option(
        None,
        "voc, ade20k, a classes.json or text file, or names separated by commas; background gets "
        "no prompt. If unset, those of the procedural scenes, with captions of their kind.",
    )
    prompt_templates: list[str] = option(
        _TEMPLATES,
        "Texts of plain prompts, {class} where the name goes; each class takes them in turn. An a "
        "in front of {class} becomes an where the name wants it.",
    )
    num_samples: int | None = option(
        None,
        "Prompts, shared out evenly among the classes; if unset, one of each template, or every "
        "caption of `prompt_file`.",
    )
    images_per_class: int | None = option(
        None, "Prompts of each class, instead of `num_samples` of all."
    )
    prompt_words: str = option(
        AUTO,
        "YAML file of sub-classes, aliases and templates of the classes; voc, cityscapes or scenes "
        "for one that ships; auto: the one that has all these classes, if there is one; none.",
    )
    plain_share: float = option(
        _PLAIN_SHARE,
        "Share of prompts that are a template with the names of the classes, in [0, 1]; captions "
        "of a file and of scenes are never.",
    )
    classes_per_prompt: int = option(1, "Name up to this many classes in a prompt of a template.")
    prompt_file: str | None = option(
        None,
        "File of captions to use instead of templates: plain lines, or a JSON list or JSON lines "
        "of {caption, classes}. Where no classes are said, the caption tells them.",
    )
    prompt_model: str | None = option(
        None,
        "Folder or Hub id of a language model that writes captions instead of templates, by "
        "transformers.",
    )
    prompt_model_revision: str | None = option(None, "Revision of that model on the Hub.")
    prompt_temperature: float = option(
        0.8, "How freely that model chooses its words; 0: always the likeliest."
    )
    prompt_seed: int = option(0, "Root seed of what is drawn for prompts.")

    @property
    def from_scenes(self) -> bool:
        """Whether prompts are captions as the procedural scenes have them."""
        others = (self.classes, self.prompt_file, self.prompt_model)
        return all(other is None for other in others) and self.prompt_words == AUTO

    def __post_init__(self) -> None:
        lacking = [text for text in self.prompt_templates if "{class}" not in text]
        if lacking or not self.prompt_templates:
            raise ValueError(
                "`prompt_templates` must be one or more texts that hold {class}. "
                f"Got {lacking or self.prompt_templates}."
            )
        for name in ("num_samples", "images_per_class", "classes_per_prompt"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {count}.")
        if not 0 <= self.plain_share <= 1:
            raise ValueError(f"`plain_share` must be in [0, 1]. Got {self.plain_share}.")
        if not 0 <= self.prompt_temperature < float("inf"):
            raise ValueError(
                f"`prompt_temperature` must be at least 0. Got {self.prompt_temperature}."
            )
        self._refuse_both("images_per_class", "num_samples", "both say how many prompts there are")
        self._refuse_both("prompt_model", "prompt_file", "both say where captions are from")
        if self.prompt_file is not None and self.classes_per_prompt > 1:
            raise ValueError(
                "`classes_per_prompt` must be left out where `prompt_file` is given: its captions "
                f"name what they name. Got {self.classes_per_prompt}."
            )

    def without_effect(self) -> list[str]:
        """Options that are given, and have no part in captions of scenes."""
        parts = {"prompt_templates": _TEMPLATES, "plain_share": _PLAIN_SHARE}
        defaults = {**parts, "classes_per_prompt": 1} if self.from_scenes else {}
        return [name for name, default in defaults.items() if getattr(self, name) != default]

    def _refuse_both(self, name: str, other: str, reason: str) -> None:
        if getattr(self, name) is not None and getattr(self, other) is not None:
            raise ValueError(
                f"`{name}` must be left out where `{other}` is given: {reason}. Got "
                f"{getattr(self, name)} and {getattr(self, other)}."
            )
