"""The options of the sources `vocabulary` and `descriptions`."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.vocabulary import MOST_WORDS


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """Words, each of which is asked for in equally many descriptions."""

    LOCATIONS: ClassVar = ("vocabulary",)

    vocabulary: str = option(
        "scenes",
        "File of words: YAML (names, or name, id, sense, synonyms, plural and parents of each), a "
        "name a line, or index:name a line; scenes or voc, which ship; or names separated by "
        "commas.",
    )
    descriptions_per_class: int = option(10, "Descriptions in which it is a word's turn.")
    classes_per_description: int = option(
        1,
        "Words that a description is asked for, up to this many: one in the first round, two in "
        "the second, and so on; each is beside others equally often.",
    )
    description_seed: int = option(0, "Root seed of what is drawn for descriptions.")

    def __post_init__(self) -> None:
        if self.descriptions_per_class < 1:
            raise ValueError(
                f"`descriptions_per_class` must be at least 1. Got {self.descriptions_per_class}."
            )
        if not 1 <= self.classes_per_description <= MOST_WORDS:
            raise ValueError(
                f"`classes_per_description` must be from 1 to {MOST_WORDS}. Got "
                f"{self.classes_per_description}."
            )


@dataclass(frozen=True, kw_only=True)
class DescriptionsConfig:
    """Descriptions that are written already: a subset of a run's folder, or of the Hub."""

    LOCATIONS: ClassVar = ("descriptions",)

    ids: str | None = option(None, "Split, or a part of one such as train[:100]; train if unset.")
    descriptions: str | None = option(
        None, "REPO:subset, Hub id or folder, as `scribblegen describe` makes it; REPO will do."
    )
    descriptions_revision: str | None = option(None, "Revision of that repository on the Hub.")
    max_samples: int | None = option(None, "Use at most this many descriptions.")

    def __post_init__(self) -> None:
        if self.max_samples is not None and self.max_samples < 1:
            raise ValueError(f"`max_samples` must be at least 1. Got {self.max_samples}.")
