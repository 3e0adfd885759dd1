"""What a method is, and what it makes.

A method takes the items of a source (photographs with scribbles, prompts, rows of a finished
subset) and gives `Record`s: each a row of one of its `subsets`. It knows nothing of files,
processes or resuming; the run knows nothing of what is in a row.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from datasets import Features

from scribblegen.runs.config import OutputConfig
from scribblegen.sources import Source
from scribblegen.vocabulary import Vocabulary

Item_contra = TypeVar("Item_contra", contravariant=True)
Value = TypeVar("Value")
# A picture (H, W, 3) uint8 of those that are shown of a row, by column: an `image` as it is, labels
# as class ids (H, W) uint8.
Drawing = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True, eq=False, kw_only=True)
class Subset:
    """One subset of a dataset: a config of the Hub.

    Args:
        name: the name of the subset, and of its folder.
        features: its columns. `source_id` is one of them: it joins rows of several subsets.
        settings: what tells it from its siblings, by name: the columns of the card's table, the
            order of the gallery.
        splits: that it has. Of the others it has no file.
        records_per_item: records that an item of these splits gives it, rejected ones included.
        generated: whether the method makes its rows, or passes on what the source has.
        pictures: columns that the gallery shows of it, each with its heading. A `label` is drawn
            in class colours over the `image`.
        drawn: what a run's gallery shows beside them that is no column, by its heading.
        selective: whether rows are left out because others are better: that most are is no fault.
    """

    name: str
    features: Features
    settings: Mapping[str, float | str] = field(default_factory=dict)
    splits: Sequence[str] = ("train",)
    records_per_item: int = 1
    generated: bool = True
    pictures: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[str, Drawing] = field(default_factory=dict)
    selective: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w+-][\w.+-]*", self.name):
            raise ValueError(
                "`name` of a subset must be of letters, digits and . + - _, since a folder and a "
                f"config of the Hub are called so. Got {self.name!r}."
            )
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
        place: the place of the item that it is made from.
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

    def remarks(self) -> Mapping[str, int]:
        """What its user should know of the work so far, each with how often it came up."""

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """A table of where the time went; empty where there is nothing to tell.

        Args:
            seconds: that the run has spent reading and writing.
            wall: seconds of it all.
        """


class Judge(Protocol):
    """A segmentor that looks at twins."""

    def agreement(self, image: np.ndarray, label: np.ndarray) -> float:
        """How much of a label (H, W) it finds in a picture (H, W, 3), both uint8: 0 to 1."""

    def fingerprint(self) -> str:
        """Changes with any of its weights."""


@dataclass(frozen=True, eq=False)
class SeenWords:
    """Where a segmentor sees W words in an image.

    Args:
        probabilities: (W, H, W') float32 in [0, 1].
        winner: (H, W') int64: the position of the word that is likelier than all else that the
            segmentor knows, -1 where none is.
    """

    probabilities: np.ndarray
    winner: np.ndarray


class WordJudge(Protocol):
    """A segmentor that looks for words of a vocabulary, some of which it may not know."""

    def look(self, image: np.ndarray, ids: Sequence[int]) -> SeenWords | None:
        """Where it sees words, by their ids, in a picture (H, W, 3) uint8; None where it does not
        know them all."""

    def fingerprint(self) -> str:
        """Changes with any of its weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Opening:
    """What a method is opened with, besides its own options.

    Args:
        sources: the sources of every split; `train` is always there.
        output: how rows are stored.
        begun: what the manifest of the same folder says must agree, where a run was begun in it.
        judge: opens the segmentor of that name for the sources' classes.
        word_judge: opens the segmentor of that name for a vocabulary.
        classifier: opens the classifier of that name for the sources' classes, of which the second
            argument is the id of the background, or None.
        segmentor: opens the segmentation model of that name for the same.
        affinity: opens the affinity network of that name, which spreads maps over an image.
        labels: opens a folder of dense labels for the photographs of all splits; the second
            argument is their convention, None where nobody says.
        texts: opens the writer of descriptions that options of describing name.
        family: the networks, where they are in memory already; else the options name them.
        memory_budget: gigabytes that a process may fill; a share of what is free if None.
    """

    sources: Mapping[str, Source]
    output: OutputConfig
    begun: Mapping[str, Any]
    judge: Callable[[str], Any]
    word_judge: Callable[[str, Vocabulary], Any]
    classifier: Callable[[str, int | None], Any]
    segmentor: Callable[[str, int | None], Any]
    affinity: Callable[[str], Any]
    labels: Callable[[str, str | None], Any]
    texts: Callable[[Any], Any]
    family: Any = None
    memory_budget: float | None = None


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
