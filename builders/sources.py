"""The table of sources."""

import importlib

from scribblegen.builders.config import SourceConfig
from scribblegen.sources import Source, select_fraction

# Imported when asked for: a source pulls in only the libraries that it reads with.
SOURCES = {
    "scenes": "scribblegen.builders.scenes.source:open_scenes",
    "folder": "scribblegen.builders.folder:FolderSource",
    "pascal_scribble": "scribblegen.builders.pascal_scribble:PascalScribbleSource",
    "hub": "scribblegen.builders.hub:HubSource",
}

# What each source reads besides `max_samples`, `ids` and how scribbles are drawn.
_OPTIONS = {
    "scenes": {"scene_size", "scene_seed"},
    "folder": {"data_dir", "classes", "image_dir", "mask_dir", "scribble_dir"},
    "pascal_scribble": {"data_dir", "classes", "scribble_dir"},
    "hub": {"dataset_name", "dataset_config_name", "dataset_revision", "classes", "image_column",
            "label_column", "mask_column", "caption_column", "id_column"},
}  # fmt: skip


def open_source(config: SourceConfig, split: str = "train") -> Source | None:
    """The source of one split of `real`; None where the config names no such split.

    Args:
        config: all options of the source.
        split: `train`, `validation` or `test`.

    Raises:
        ValueError, FileNotFoundError: the source cannot be opened as configured.
    """
    if config.source not in SOURCES:
        raise ValueError(f"`source` must be one of {list(SOURCES)}. Got {config.source!r}.")
    _refuse_foreign_options(config)
    ids = {
        "train": config.ids,
        "validation": config.validation_ids,
        "test": config.test_ids,
    }[split]
    if split != "train" and ids is None:
        return None
    module, name = SOURCES[config.source].split(":")
    source: Source = getattr(importlib.import_module(module), name)(config, ids)
    if len(source) == 0:
        raise ValueError(f"the {split} split of source {config.source} holds no photograph.")
    return select_fraction(source, config.train_fraction) if split == "train" else source


def _refuse_foreign_options(config: SourceConfig) -> None:
    """An option of another source would be without effect, and the user believes otherwise."""
    default = SourceConfig()
    everywhere = set.union(*_OPTIONS.values())
    foreign = [
        name
        for name in sorted(everywhere - _OPTIONS[config.source])
        if getattr(config, name) != getattr(default, name)
    ]
    if foreign:
        raise ValueError(
            f"`{foreign[0]}` has no meaning for source {config.source}. "
            f"It takes {', '.join(sorted(_OPTIONS[config.source]))}."
        )
