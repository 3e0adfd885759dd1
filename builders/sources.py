"""The table of sources, and how one is opened.

Nothing heavy is imported before a source is opened: the command line reads the table for `--help`.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scribblegen.builders.config import LabelFilesConfig, PhotographsConfig
from scribblegen.choices import Choice, import_name
from scribblegen.classes import is_folder
from scribblegen.configs import to_dict
from scribblegen.parts import parse_part
from scribblegen.text_files import shown

if TYPE_CHECKING:
    from scribblegen.sources import Source


class Entry(NamedTuple):
    """Where a source's config and its opener are, as `module:name`."""

    config: str
    open: str


_CONFIGS = "scribblegen.builders.config"

SOURCES = {
    "scenes": Entry(f"{_CONFIGS}:ScenesConfig", "scribblegen.builders.scenes.source:open_scenes"),
    "folder": Entry(f"{_CONFIGS}:FolderConfig", "scribblegen.builders.folder:FolderSource"),
    "pascal_scribble": Entry(
        f"{_CONFIGS}:PascalScribbleConfig",
        "scribblegen.builders.pascal_scribble:PascalScribbleSource",
    ),
    "hub": Entry(f"{_CONFIGS}:HubConfig", "scribblegen.builders.hub:HubSource"),
    "subset": Entry(f"{_CONFIGS}:SubsetConfig", "scribblegen.builders.subset:SubsetSource"),
    "prompts": Entry(
        "scribblegen.builders.prompts_config:PromptsConfig",
        "scribblegen.builders.prompts:PromptSource",
    ),
    "vocabulary": Entry(
        "scribblegen.builders.descriptions_config:VocabularyConfig",
        "scribblegen.builders.asked_words:VocabularySource",
    ),
    "descriptions": Entry(
        "scribblegen.builders.descriptions_config:DescriptionsConfig",
        "scribblegen.builders.descriptions:DescriptionSource",
    ),
}
# Those that read a repository, by what they give; `--source REPO` stands for one of them. The
# option that names the repository is called as its source is.
OF_REPOSITORIES = {
    "scribblegen.records:Sample": "subset",
    "scribblegen.descriptions:Description": "descriptions",
}


def source_config_type(name: str) -> type:
    """The config of a source; `name` is a key of `SOURCES`."""
    if name not in SOURCES:
        raise ValueError(f"`source` must be one of {list(SOURCES)}. Got {name!r}.")
    found: type = import_name(SOURCES[name].config)
    return found


SOURCE = Choice(
    option="source",
    names=tuple(SOURCES),
    default="scenes",
    config_type=source_config_type,
    help="What the items are read from, or made from.",
)
PHOTOGRAPHS = replace(
    SOURCE,
    names=tuple(n for n in SOURCES if issubclass(source_config_type(n), PhotographsConfig)),
    help="What the photographs are read from.",
)


def repository_flags(value: str, item: str) -> list[str]:
    """What `--source REPO` or `--source REPO:subset` stands for; nothing for another value.

    Args:
        value: that is no key of `SOURCES`.
        item: `module:class` of what the source is to give.
    """
    kind = OF_REPOSITORIES.get(item)
    if kind is None or not ("/" in value or ":" in value or is_folder(Path(value))):
        return []
    return [f"--{SOURCE.option}={kind}", f"--{kind}={value.rstrip('/')}"]


def source_name(config: Any) -> str:
    """The name in `SOURCES` of the source that `config` is the config of.

    Raises:
        TypeError: it is the config of no source.
    """
    path = f"{type(config).__module__}:{type(config).__qualname__}"
    for name, entry in SOURCES.items():
        if entry.config == path:
            return name
    raise TypeError(f"`config` must be the config of a source. Got {type(config).__name__}.")


def source_options(config: Any) -> dict[str, Any]:
    """All options of a source in a flat dict, its name first, as YAML and the command line have
    them."""
    return {SOURCE.option: source_name(config), **to_dict(config)}


def open_source(config: Any, split: str = "train") -> "Source[Any] | None":
    """The source of one split; None where the config names no such split.

    Args:
        config: the options of a source.
        split: `train`, `validation` or `test`.

    Raises:
        ValueError, FileNotFoundError: the source cannot be opened as configured.
    """
    from scribblegen.builders.label_check import check_labels
    from scribblegen.sources import select_fraction, select_part

    name = source_name(config)
    options = to_dict(config)
    part = options.get("held_out") if split != "validation" else None
    option = "ids" if split == "train" or part else f"{split}_ids"
    ids = options.get(option)
    if split != "train" and ids is None and not part:
        return None
    opened = import_name(SOURCES[name].open)(config, ids)
    if len(opened) == 0:
        raise ValueError(
            f"`{option}` must lead to at least one item: the {split} split of source {name} holds "
            f"none. Got {shown(ids)}."
        )
    if isinstance(config, LabelFilesConfig):
        check_labels(opened, config.label_convention)
    source: Source[Any] = opened
    if part:
        source = select_part(source, *parse_part(part), outside=split == "train")
    return source if split != "train" else select_fraction(source, options.get("train_fraction", 1))


def open_sources(config: Any) -> "dict[str, Source[Any]]":
    """The source of every split that the config names, by split; `train` is always there.

    Raises:
        ValueError, FileNotFoundError: the source cannot be opened as configured.
    """
    from scribblegen.runs.shards import SPLITS

    opened = {split: open_source(config, split) for split in SPLITS}
    return {split: source for split, source in opened.items() if source is not None}
