"""A source: items with ids, readable by position in any process."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from scribblegen.classes import Classes
from scribblegen.file_names import safe_text, shown_path
from scribblegen.images import BadImageError
from scribblegen.parts import places_in_part
from scribblegen.records import Rejection, Sample, check_sample
from scribblegen.seeds import derive_seed
from scribblegen.text_files import cut
from scribblegen.vocabulary import Vocabulary

Item = TypeVar("Item")


class Source(ABC, Generic[Item]):
    """Items, each with an id; position i is always the same item.

    A subclass says what kind of `item` it gives, lists `source_ids` when it is made, and makes one
    item in `load`. Where it reads twins, `carried` are the columns that its samples carry, each
    with its type. Where it reads the rows of a subset, `subset` is its name and `columns_there` all
    its columns, each with its type. Where items name words of a `vocabulary`, the `classes` are the
    values of masks in which an item counts its own words.
    """

    item: type[Any]
    carried: Mapping[str, Any] = {}
    subset: str | None = None
    columns_there: Mapping[str, Any] = {}
    vocabulary: Vocabulary | None = None

    def __init__(self, classes: Classes, source_ids: Sequence[str]) -> None:
        repeated = len(source_ids) - len(set(source_ids))
        if repeated:
            seen: set[str] = set()
            twice = [s for s in source_ids if s in seen or seen.add(s)]  # type: ignore[func-returns-value]
            raise ValueError(
                f"`source_ids` must differ from each other. Got {repeated} repeated, "
                f"such as {twice[0]!r}."
            )
        self.classes = classes
        self.source_ids = tuple(source_ids)

    def __len__(self) -> int:
        return len(self.source_ids)

    def read(self, index: int) -> Item | Rejection:
        """The item at `index`, or why it cannot be used. A bad file never raises."""
        source_id = self.source_ids[index]
        try:
            item = self.load(index)
        except BadImageError as error:
            return Rejection(source_id, str(error))
        except FileNotFoundError as error:
            # The reason is published: of the path it tells folder and name, nothing of the disk.
            told = error.filename is None  # a message of ours, with a path inside the source
            name = cut(safe_text(str(error))) if told else shown_path(Path(error.filename))
            return Rejection(source_id, f"missing file: {name}")
        problem = self.check(item)
        return Rejection(source_id, problem) if problem else item

    @abstractmethod
    def load(self, index: int) -> Item:
        """Makes the item at `index`.

        Raises:
            BadImageError, FileNotFoundError: for an item that has to be rejected.
        """

    @abstractmethod
    def check(self, item: Item) -> str | None:
        """Why an item that was loaded cannot be used, or None if it can."""

    @abstractmethod
    def content_keys(self) -> Sequence[str]:
        """What identifies the content at each position: a digest, or a size and a name."""

    def fingerprint(self) -> str:
        """Changes when any content, id or class changes."""
        words = () if self.vocabulary is None else self.vocabulary.words
        told = (self.classes, self.source_ids, *((words,) if words else ()))
        digest = hashlib.sha256(repr(told).encode())
        for key in self.content_keys():
            digest.update(f"{key}\0".encode())
        return digest.hexdigest()[:16]


class PhotographSource(Source[Sample]):
    """A source of photographs with scribbles; a subclass decodes one sample in `load`."""

    item = Sample

    def check(self, item: Sample) -> str | None:
        return check_sample(item, self.classes)


class SelectedSource(Source[Item]):
    """Some items of a source, in its order.

    Args:
        source: to choose from.
        positions: in `source`, ascending.
    """

    def __init__(self, source: Source[Item], positions: Sequence[int]) -> None:
        super().__init__(source.classes, [source.source_ids[i] for i in positions])
        self.source, self.positions, self.item = source, tuple(positions), source.item
        self.carried = source.carried
        self.subset, self.columns_there = source.subset, source.columns_there
        self.vocabulary = source.vocabulary

    def load(self, index: int) -> Item:
        return self.source.load(self.positions[index])

    def check(self, item: Item) -> str | None:
        return self.source.check(item)

    def content_keys(self) -> Sequence[str]:
        keys = self.source.content_keys()
        return [keys[i] for i in self.positions]


def select_fraction(source: Source[Item], fraction: float) -> Source[Item]:
    """The share `fraction` of a source, at least one item, chosen by ids alone.

    The same ids come first whatever the fraction: those of a smaller one are all in a larger one.
    """
    count = max(1, round(fraction * len(source)))
    if count == len(source):
        return source
    order = sorted(
        range(len(source)), key=lambda i: derive_seed(0, "fraction", source.source_ids[i])
    )
    return SelectedSource(source, sorted(order[:count]))


def select_part(
    source: Source[Item], part: int, parts: int, *, outside: bool = False
) -> Source[Item]:
    """One of `parts` parts of a source, equal but for one item, chosen by ids alone.

    Args:
        source: of at least as many items.
        part: from 1 to `parts`.
        parts: how many there are; together they are the source.
        outside: everything but that part instead.

    Raises:
        ValueError: the source has fewer items than parts.
    """
    inside = places_in_part(source.source_ids, part, parts)
    return SelectedSource(source, [i for i in range(len(source)) if (i in inside) != outside])


def require_items(source: Source[Any], item: type[Any], user: str) -> None:
    """Refuses a source whose items `user` cannot work with.

    Args:
        source: items of any kind.
        item: the kind of item that is needed, such as `Sample`.
        user: the method or command that needs it, for the message.

    Raises:
        ValueError: the source gives something else.
    """
    if not issubclass(source.item, item):
        raise ValueError(
            f"`source` must be one that gives items of the kind {item.__name__} for {user}. "
            f"Got {type(source).__name__}, which gives {source.item.__name__}. Choose another."
        )
