"""Subsets that this project made, as a source of photographs and twins with labels."""

from collections.abc import Sequence
from dataclasses import replace

import datasets

from scribblegen.builders.config import SubsetConfig
from scribblegen.builders.rows import RowSource
from scribblegen.builders.subset_rows import open_subset_rows
from scribblegen.classes import Classes, load_classes
from scribblegen.records import DEFAULT_SUBSET, Sample, row_id
from scribblegen.runs.manifest import MANIFEST

# What is said of a synthetic image beside its pictures: its photograph, its order, how it was made
# and how good it is.
CARRIED_COLUMNS = (
    "replicate",
    "guidance_scale",
    "encode_ratio",
    "num_inference_steps",
    "seed",
    "prompt_source",
    "thresholds",
    "scores",
)


class SubsetSource(RowSource):
    """The rows of a subset, each a photograph or a twin with its label, like any photograph.

    The id of a row is its `source_id`; of replicate 2 of source a it is `a-r2`, since the twins of
    one source differ. What else the row of a twin says, such as its `encode_ratio`, goes with it.

    Args:
        config: `subset`, as REPO:subset. A run's folder is read through its manifest, so that one
            still at work gives what it has finished; anything else goes through `load_dataset`.
        ids: the split, such as `train` (where None) or `train[:100]`.

    Raises:
        FileNotFoundError: no such repository, or no finished shard.
        ValueError: no such subset or split; or its rows are not `image`, `label`, `source_id`.
    """

    def __init__(self, config: SubsetConfig, ids: str | None) -> None:
        if config.subset is None:
            raise ValueError("`subset` must be given for source subset, as REPO:subset.")
        opened = open_subset_rows(
            "subset",
            config.subset,
            DEFAULT_SUBSET,
            revision=config.subset_revision,
            split=ids or "train",
        )
        rows, self.shards_digest = opened.rows, opened.shards_digest
        if opened.run is None:
            classes = _classes(rows.features, config.subset)
        else:
            classes = load_classes(opened.run / MANIFEST)
        lacking = sorted({"image", "label", "source_id"} - set(rows.column_names))
        if lacking:
            raise ValueError(
                "`subset` must have the columns image, label and source_id. "
                f"{config.subset} lacks {', '.join(lacking)}."
            )
        if config.max_samples is not None:
            rows = rows.select(range(min(config.max_samples, len(rows))))
        columns = {
            "image": "image",
            "label": "label",
            "mask": "mask" if "mask" in rows.column_names else None,
            "caption": "prompt" if "prompt" in rows.column_names else None,
        }
        super().__init__(rows, columns, classes, _row_ids(rows), config)
        self.subset, self.columns_there = opened.name.subset, dict(rows.features)
        names = [name for name in CARRIED_COLUMNS if name in rows.column_names]
        names = ["source_id", *names] if names else []
        self.carried = {name: rows.features[name] for name in names}
        self._carried = rows.select_columns(names) if names else rows

    def load(self, index: int) -> Sample:
        sample = super().load(index)
        return replace(sample, carried=self._carried[index]) if self.carried else sample

    def content_keys(self) -> Sequence[str]:
        if self.shards_digest is not None:
            return [self.shards_digest] * len(self)
        keys = super().content_keys()
        if not self.carried:
            return keys
        return [f"{key} {row!r}" for key, row in zip(keys, self._carried, strict=True)]


def _classes(features: datasets.Features, subset: str) -> Classes:
    items = getattr(features.get("classes"), "feature", None)
    if not isinstance(items, datasets.ClassLabel) or not items.names:
        raise ValueError(
            f"`subset` must have a column `classes` of class labels, which tells what the ids "
            f"mean. {subset} has none."
        )
    return Classes(tuple(items.names))


def _row_ids(rows: datasets.Dataset) -> list[str]:
    ids = list(rows["source_id"])
    if "replicate" not in rows.column_names:
        return ids
    replicates = list(rows["replicate"])
    return [row_id(i, r) for i, r in zip(ids, replicates, strict=True)]
