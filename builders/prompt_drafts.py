"""What every writer of prompts does alike: ids, classes in turn, and draws that no order changes.

Prompt i is of the class i mod K, K classes, and the (i div K)-th of that class. So every beginning
of a source is as even among the classes as can be, and more samples leave those before them as
they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from scribblegen.seeds import derive_seed

T = TypeVar("T")


@dataclass(frozen=True)
class Draft:
    """A text, before it is told which classes it names.

    Args:
        text: of the prompt.
        prompt_source: where it is from, as `Prompt` has it.
        class_ids: what it is known to name, whether or not the text says so.
        complete: whether it names nothing else; or the text tells of more.
    """

    text: str
    prompt_source: str
    class_ids: tuple[int, ...]
    complete: bool = False


class Writer(Protocol):
    """Writes the prompts of a source; each depends on its position and on options alone."""

    @property
    def source_ids(self) -> Sequence[str]:
        """Unique; an item's position is that of its id."""

    def write(self, position: int) -> Draft:
        """The text at a position in `source_ids`."""

    def content_key(self, position: int) -> str:
        """What the text depends on: the text itself, where it is cheap."""


@dataclass(frozen=True)
class Turns:
    """Classes in turn.

    Args:
        class_ids: the K classes, in the order of their turns.
        names: of all classes, by id.
        count: prompts in all.
    """

    class_ids: tuple[int, ...]
    names: tuple[str, ...]
    count: int

    def source_ids(self) -> list[str]:
        """`dog-000012` is the prompt of dog that has 12 before it."""
        turns = (self.turn(position) for position in range(self.count))
        return [f"{self.names[i].replace(' ', '_')}-{number:06d}" for i, number in turns]

    def turn(self, position: int) -> tuple[int, int]:
        """The class of a position, and how many prompts this class has before."""
        number, place = divmod(position, len(self.class_ids))
        return self.class_ids[place], number


def draw(seed: int, *parts: str | int) -> float:
    """A number in [0, 1) for one thing."""
    return derive_seed(seed, *parts) / 2**63


def choose(options: Sequence[tuple[T, float]], at: float) -> T:
    """The option at a share `at` of all weights, in [0, 1); weights are above 0."""
    left = at * sum(weight for _, weight in options)
    for option, weight in options:
        left -= weight
        if left < 0:
            return option
    return options[-1][0]
