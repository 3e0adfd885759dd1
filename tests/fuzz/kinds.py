"""What is read in one way: whole files to begin with, and the reader."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scribblegen.records import Rejection
from tests.fuzz.mutators import mutate
from tests.fuzz.structures import STRUCTURES


@dataclass(frozen=True)
class File:
    """A file of a kind's folder; `repaired` where what it holds was changed, but not its form."""

    name: str
    data: bytes
    repaired: bool = False


@dataclass(frozen=True)
class Kind:
    """What is read in one way.

    Args:
        folder: that holds the originals.
        originals: by their paths in `folder`, all of them whole.
        read: gives nothing where it reads a value and finds it well formed, else the `Rejection`;
            raises what the reader raises.
        may_raise: whether errors that name the file or an option are an answer.
        structure: the share of inputs whose form stays right, where the file's kind has any.
    """

    folder: Path
    originals: Sequence[File]
    read: Callable[[File], Rejection | None]
    may_raise: bool = True
    structure: float = 0.4

    def input(self, seed: int, number: int) -> File:
        """The same for the same numbers, always."""
        rng = random.Random(f"{seed} {number}")
        original = rng.choice(self.originals)
        change = STRUCTURES.get(Path(original.name).suffix)
        if change is not None and rng.random() < self.structure:
            return File(original.name, change(original.data, rng), repaired=True)
        others = [file.data for file in self.originals]
        return File(original.name, mutate(original.data, others, rng))


def write_all(folder: Path, files: Sequence[File]) -> None:
    for file in files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)


def files_of(folder: Path, pattern: str = "**/*") -> list[File]:
    """The files of a folder, sorted by name."""
    paths = sorted(path for path in folder.glob(pattern) if path.is_file())
    return [File(str(path.relative_to(folder)), path.read_bytes()) for path in paths]
