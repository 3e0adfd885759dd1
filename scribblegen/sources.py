"""A source: photographs with scribbles, readable by position in any process."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from scribblegen.classes import Classes
from scribblegen.images import BadImageError
from scribblegen.records import Rejection, Sample, check_sample
from scribblegen.seeds import derive_seed


class Source(ABC):
    """Photographs with scribbles, each with an id; position i is always the same photograph.

    A subclass lists `source_ids` when it is made and decodes one sample in `load`.
    """

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

    def read(self, index: int) -> Sample | Rejection:
        """The sample at `index`, or why it cannot be used. A bad file never raises."""
        source_id = self.source_ids[index]
        try:
            sample = self.load(index)
        except BadImageError as error:
            return Rejection(source_id, str(error))
        except FileNotFoundError as error:
            # The reason is published: of the path it tells folder and name, nothing of the disk.
            name = "/".join(Path(error.filename or str(error)).parts[-2:])
            return Rejection(source_id, f"missing file: {name}")
        problem = check_sample(sample, self.classes)
        return Rejection(source_id, problem) if problem else sample

    @abstractmethod
    def load(self, index: int) -> Sample:
        """Decodes the sample at `index`.

        Raises:
            BadImageError, FileNotFoundError: for a sample that has to be rejected.
        """

    @abstractmethod
    def content_keys(self) -> Sequence[str]:
        """What identifies the content at each position: a digest, or a size and a name."""

    def fingerprint(self) -> str:
        """Changes when any photograph, label, id or class changes."""
        digest = hashlib.sha256(repr((self.classes, self.source_ids)).encode())
        for key in self.content_keys():
            digest.update(f"{key}\0".encode())
        return digest.hexdigest()[:16]


class SelectedSource(Source):
    """Some samples of a source, in its order.

    Args:
        source: to choose from.
        positions: in `source`, ascending.
    """

    def __init__(self, source: Source, positions: Sequence[int]) -> None:
        super().__init__(source.classes, [source.source_ids[i] for i in positions])
        self.source, self.positions = source, tuple(positions)

    def load(self, index: int) -> Sample:
        return self.source.load(self.positions[index])

    def content_keys(self) -> Sequence[str]:
        keys = self.source.content_keys()
        return [keys[i] for i in self.positions]


def select_fraction(source: Source, fraction: float) -> Source:
    """The share `fraction` of a source, at least one sample, chosen by ids alone.

    The same ids come first whatever the fraction: those of a smaller one are all in a larger one.
    """
    count = max(1, round(fraction * len(source)))
    if count == len(source):
        return source
    order = sorted(
        range(len(source)), key=lambda i: derive_seed(0, "fraction", source.source_ids[i])
    )
    return SelectedSource(source, sorted(order[:count]))
