"""Descriptions of a subset, each with the words of a vocabulary that it names, as a source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from scribblegen.builders.descriptions_config import DescriptionsConfig
from scribblegen.builders.repository import VOCABULARY_FILE
from scribblegen.builders.subset_rows import SubsetRows, open_subset_rows
from scribblegen.descriptions import (
    MASK_CLASSES,
    SUBSET,
    Description,
    description_features,
    description_of,
)
from scribblegen.images import BadImageError
from scribblegen.runs.manifest import MANIFEST, read_manifest
from scribblegen.sources import Source
from scribblegen.text_files import read_json, shown, shown_message
from scribblegen.vocabulary import MOST_WORDS, Vocabulary, vocabulary_of

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
        listed: Any = read_manifest(opened.run).get("vocabulary")
        where = opened.run / MANIFEST
    else:
        where = Path(name) / VOCABULARY_FILE
        if not Path(name).is_dir():
            where = _of_hub(name, config.descriptions_revision) or where
        listed = read_json(where, _MAKE) if where.is_file() else None
    if listed is None:
        raise FileNotFoundError(
            f"`descriptions` must be of a repository with a vocabulary. {name} has none. {_MAKE}"
        )
    try:
        return vocabulary_of(listed)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{where} was edited or damaged: it must hold a vocabulary ({shown_message(error)}). "
            f"{_MAKE}"
        ) from error


def _of_hub(name: str, revision: str | None) -> Path | None:
    """The file of a repository of the Hub; None where it has none."""
    try:
        return Path(hf_hub_download(name, VOCABULARY_FILE, repo_type="dataset", revision=revision))
    except LocalEntryNotFoundError as error:
        raise OSError(f"`descriptions` {name} cannot be read: {shown_message(error)}.") from error
    except EntryNotFoundError:
        return None
