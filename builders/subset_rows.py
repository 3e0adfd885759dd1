"""The rows of a subset that this project made: of a run, finished or not, or of the Hub."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import datasets

from scribblegen.builders.base import ShardBuilder
from scribblegen.builders.rows import split_rows
from scribblegen.parquet_files import opening_rows
from scribblegen.runs.manifest import MANIFEST, finished_shards, read_manifest
from scribblegen.subset_name import SubsetName
from scribblegen.text_files import shown_message


class FinishedShards(ShardBuilder):
    """`FinishedShards("out/facade", "guidance2-encode0.5")`; `real` is a subset too."""


@dataclass(frozen=True, eq=False)
class SubsetRows:
    """The rows of one split of a subset.

    Args:
        name: of the subset.
        rows: a table of `datasets`.
        run: the folder of the run that makes them; None where they are no run's.
        shards_digest: of that run's finished files; None likewise.
    """

    name: SubsetName
    rows: datasets.Dataset
    run: Path | None
    shards_digest: str | None


def open_subset_rows(
    option: str, text: str, default: str, *, revision: str | None, split: str
) -> SubsetRows:
    """Opens a subset. A run's folder is read through its manifest, so that one still at work gives
    what it has finished; anything else goes through `load_dataset`.

    Args:
        option: that named it, for messages.
        text: REPO:subset, or REPO alone for the `default` subset.
        default: that subset.
        revision: of the repository on the Hub.
        split: such as `train` or `train[:100]`.

    Raises:
        FileNotFoundError: no such repository, or no finished shard.
        ValueError: no such subset or split.
    """
    name = SubsetName.parse(text, default, option=option)
    folder = Path(name.repository)
    if (folder / MANIFEST).is_file():
        digest = _digest(folder, name.subset, split.partition("[")[0], option)
        builder = FinishedShards(name.repository, name.subset)
        return SubsetRows(name, split_rows(builder, split, text), folder, digest)
    rows = split_rows(_builder(name, revision, option), split, text)
    return SubsetRows(name, rows, None, None)


def _digest(folder: Path, subset: str, split: str, option: str) -> str:
    """Of the finished shards of one split, which may have none."""
    shards = finished_shards(folder, subset)
    if not shards:
        known = {name for unit in read_manifest(folder)["units"] for name in unit["files"]}
        raise FileNotFoundError(
            f"`{option}` must be one with a finished shard, of {', '.join(sorted(known)) or 'none'}"
            f" in {folder}. Got {subset!r}."
        )
    text = " ".join(shard.sha256 for shard in shards.get(split, []))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _builder(name: SubsetName, revision: str | None, option: str) -> datasets.DatasetBuilder:
    try:
        with opening_rows(option, name.repository):
            return datasets.load_dataset_builder(name.repository, name.subset, revision=revision)
    except ValueError as error:  # `datasets` lists the known configs
        raise ValueError(
            f"`{option}` must be one of {name.repository}. Got {name.subset!r}: "
            f"{shown_message(error, 1000)}"
        ) from error
