"""Descriptions of a subset, each with the words of a vocabulary that it names, as a source."""

from collections.abc import Sequence

from scribblegen.builders.descriptions_config import DescriptionsConfig
from scribblegen.builders.subset_rows import SubsetRows, open_subset_rows
from scribblegen.descriptions import (
    MASK_CLASSES,
    SUBSET,
    Description,
    description_features,
    description_of,
)
from scribblegen.images import BadImageError
from scribblegen.repository_vocabulary import listed_vocabulary, repository_vocabulary
from scribblegen.runs.manifest import MANIFEST, read_manifest
from scribblegen.sources import Source
from scribblegen.text_files import shown, shown_message
from scribblegen.vocabulary import MOST_WORDS, Vocabulary

_MAKE = "`scribblegen describe` makes one."


class DescriptionSource(Source[Description]):
    """The rows of a subset of descriptions; their vocabulary is that of the subset.

    A run's folder is read through its manifest, so that one still at work gives what it has.

    Args:
        config: `descriptions`, as REPO or REPO:subset.
        ids: the split, such as `train` (where None) or `train[:100]`.

    Raises:
        FileNotFoundError: no such repository, no finished shard, or no vocabulary.
        ValueError: no such subset or split; or its rows are no descriptions.
    """

    item = Description

    def __init__(self, config: DescriptionsConfig, ids: str | None = None) -> None:
        if config.descriptions is None:
            raise ValueError(
                f"`descriptions` must be given for source descriptions, as REPO:subset. {_MAKE}"
            )
        opened = open_subset_rows(
            "descriptions",
            config.descriptions,
            SUBSET,
            revision=config.descriptions_revision,
            split=ids or "train",
        )
        rows = opened.rows
        lacking = [name for name in description_features() if name not in rows.column_names]
        if lacking:
            raise ValueError(
                f"`descriptions` must have the columns {', '.join(description_features())}. "
                f"{config.descriptions} lacks {', '.join(lacking)}. {_MAKE}"
            )
        self.vocabulary: Vocabulary = _vocabulary(opened, config)
        if config.max_samples is not None:
            rows = rows.select(range(min(config.max_samples, len(rows))))
        super().__init__(MASK_CLASSES, list(rows["source_id"]))
        self.subset, self.columns_there = opened.name.subset, dict(rows.features)
        self.rows = rows.select_columns(list(description_features()))
        self.shards_digest = opened.shards_digest

    def load(self, index: int) -> Description:
        try:
            return description_of(self.rows[index])
        except (TypeError, KeyError, ValueError) as error:
            raise BadImageError(f"no description: {shown_message(error)}") from error

    def check(self, item: Description) -> str | None:
        return description_fault(item, self.vocabulary)

    def content_keys(self) -> Sequence[str]:
        if self.shards_digest is not None:
            return [self.shards_digest] * len(self)
        return [repr(row) for row in self.rows]


def description_fault(item: Description, vocabulary: Vocabulary) -> str | None:
    """Why nothing can be drawn of a description; None where it can."""
    if not item.text.strip():
        return "description is empty"
    if not 1 <= len(item.mentions) <= MOST_WORDS:
        return f"description must name 1 to {MOST_WORDS} words, and names {len(item.mentions)}"
    if [m.local for m in item.mentions] != list(range(1, len(item.mentions) + 1)):
        return "description must count its words from 1"
    for mention in item.mentions:
        word = vocabulary.by_id.get(mention.id)
        if word is None or word.name != mention.name:
            return f"description names {shown(mention.name)}, which its vocabulary has not"
        if not mention.spans:
            return f"description does not name {word.name}"
        for start, stop in mention.spans:
            if not 0 <= start < stop <= len(item.text):
                return f"description has {word.name} outside of its text"
    return None


def _vocabulary(opened: SubsetRows, config: DescriptionsConfig) -> Vocabulary:
    name = opened.name.repository
    if opened.run is not None:
        listed = read_manifest(opened.run).get("vocabulary")
        found = None if listed is None else listed_vocabulary(listed, opened.run / MANIFEST, _MAKE)
    else:
        found = repository_vocabulary(
            name, config.descriptions_revision, option="descriptions", advice=_MAKE
        )
    if found is None:
        raise FileNotFoundError(
            f"`descriptions` must be of a repository with a vocabulary. {name} has none. {_MAKE}"
        )
    return found
