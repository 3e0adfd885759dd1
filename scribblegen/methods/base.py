"""What a method is, what it makes, and the table of methods.

A method takes the items of a source (photographs with scribbles, prompts, rows of a finished
subset) and gives `Record`s: each a row of one of its `subsets`. It knows nothing of files,
processes or resuming; the run knows nothing of what is in a row.
"""

import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Generic, Protocol, TypeVar

from datasets import Features

from scribblegen.runs.config import OutputConfig
from scribblegen.sources import Source

Item_contra = TypeVar("Item_contra", contravariant=True)
Value = TypeVar("Value")

ENTRY_POINTS = "scribblegen.methods"  # the group under which other packages name their methods


@dataclass(frozen=True, eq=False, kw_only=True)
class Subset:
    """One subset of a dataset: a config of the Hub.

    Args:
        name: of the subset, and of its folder.
        features: its columns. `source_id` is one of them: it joins rows of several subsets.
        settings: what tells it from its siblings, by name: the columns of the card's table, the
            order of the gallery.
        splits: that it has. Of the others it has no file.
        records_per_item: records that an item of these splits gives it, rejected ones included.
        generated: whether the method makes its rows, or passes on what the source has.
        pictures: columns that the gallery shows of it, each with its heading. A `label` is drawn
            in class colours over the `image`.
    """

    name: str
    features: Features
    settings: Mapping[str, float | str] = field(default_factory=dict)
    splits: Sequence[str] = ("train",)
    records_per_item: int = 1
    generated: bool = True
    pictures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "source_id" not in self.features:
            raise ValueError(
                f"`features` of subset {self.name} must have a column `source_id`. Got "
                f"{list(self.features)}."
            )
        missing = sorted(set(self.pictures) - set(self.features))
        if missing:
            raise ValueError(
                f"`pictures` of subset {self.name} must be columns of it. Got {missing}."
            )


@dataclass(frozen=True)
class Place:
    """Where an item stands in a run.

    Args:
        split: that it belongs to.
        group: a number of what is written together; groups rise.
        position: in the source of its split.
    """

    split: str
    group: int
    position: int


@dataclass(frozen=True, eq=False)
class Record:
    """A row of a subset, still to be encoded.

    Args:
        place: of the item that it is made from.
        subset: its name.
        order: among the records that this item gives this subset, from 0.
        row: makes the row, column by column; called once, in a thread that encodes. A string is
            the reason for which the record is rejected.
    """

    place: Place
    subset: str
    order: int
    row: Callable[[], dict[str, Any] | str]


class Method(Protocol[Item_contra]):
    """Makes records of items.

    `config` is the frozen dataclass of its options, as they were settled. `subsets` are all that it
    makes, the default one first. An item gives every subset of its split exactly
    `records_per_item` records.
    """

    config: Any
    subsets: Sequence[Subset]

    def identity(self) -> dict[str, str | None]:
        """What must agree, besides options and source, for a run to be resumed: weights, device."""

    def generate(self, items: Iterable[tuple[Place, Item_contra]]) -> Iterator[Record]:
        """The records of `items`, in any order; none of a group is left when `items` is two
        groups further."""

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """A table of where the time went; empty where there is nothing to tell.

        Args:
            seconds: that the run has spent reading and writing.
            wall: seconds of it all.
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class Opening:
    """What a method is opened with, besides its own options.

    Args:
        sources: of every split; `train` is always there.
        output: how rows are stored.
        begun: what the manifest of the same folder says must agree, where a run was begun in it.
        judge: opens the segmentor of that name for the sources' classes.
        family: the networks, where they are in memory already; else the options name them.
        memory_budget: gigabytes that a process may fill; a share of what is free if None.
    """

    sources: Mapping[str, Source]
    output: OutputConfig
    begun: Mapping[str, Any]
    judge: Callable[[str], Any]
    family: Any = None
    memory_budget: float | None = None


@dataclass(frozen=True)
class Entry:
    """A line of the table of methods; both are imported when they are asked for.

    Args:
        config: `module:class` of its options, a frozen dataclass.
        open: `module:function` of (config, `Opening`) that gives a `Method`.
        source: the source that it reads if none is named.
    """

    config: str
    open: str
    source: str = "scenes"

    def config_type(self) -> type:
        found: type = _imported(self.config)
        return found

    def open_method(self, config: Any, opening: Opening) -> Method[Any]:
        method: Method[Any] = _imported(self.open)(config, opening)
        return method


METHODS = {
    "scribblegen": Entry(
        config="scribblegen.methods.scribblegen_config:ScribbleGenConfig",
        open="scribblegen.methods.scribblegen_open:open_method",
    ),
}


def method_entry(name: str) -> Entry:
    """A method by its name: of this package, or of one that names it as an entry point.

    Raises:
        ValueError: there is none.
    """
    if name in METHODS:
        return METHODS[name]
    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in others:
        entry = others[name].load()
        if not isinstance(entry, Entry):
            raise ValueError(
                f"`method` {name}: the entry point {others[name].value} must be a "
                f"`scribblegen.methods.base.Entry`. Got {type(entry).__name__}."
            )
        return entry
    raise ValueError(f"`method` must be one of {sorted({*METHODS, *others})}. Got {name!r}.")


def method_name(config: Any) -> str:
    """The name of the method that a config belongs to.

    Raises:
        ValueError: it belongs to none.
    """
    kind = f"{type(config).__module__}:{type(config).__qualname__}"
    for name, entry in METHODS.items():
        if entry.config == kind:
            return name
    for point in entry_points(group=ENTRY_POINTS):
        if method_entry(point.name).config_type() is type(config):
            return point.name
    raise ValueError(f"`method_config` must be the options of a method. Got a {kind}.")


class Shared(Generic[Value]):
    """A value that several records need: made by the first thread that asks, once."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make: Callable[[], Value] | None = make
        self._lock = threading.Lock()
        self._value: Value

    def __call__(self) -> Value:
        with self._lock:
            if self._make is not None:
                self._value = self._make()
                self._make = None  # with all that it held
        return self._value


def _imported(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
