"""The texts of MagicSeg (arXiv 2603.19575): words of a vocabulary -> descriptions of them."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from scribblegen.descriptions import SUBSET, Asked, Description, description_features
from scribblegen.methods.base import Opening, Place, Record, Subset
from scribblegen.methods.describe_config import DescribeConfig


class Writer(Protocol):
    """Writes descriptions; each depends on what is asked for and on options alone."""

    at_once: int  # that it can write at the same time

    def write(self, asked: Asked) -> Description | str:
        """A description; or why there is none. Called by several threads."""

    def identity(self) -> dict[str, str | None]:
        """What must agree for a run to be resumed, besides options."""

    def remarks(self) -> Mapping[str, int]:
        """What its user should know, each with how often it came up."""

    def close(self) -> None:
        """Nothing more is wanted: whoever waits stops waiting."""


class Describe:
    """The method: one description of all that is asked for.

    Args:
        config: its options.
        writer: of the texts.
    """

    def __init__(self, config: DescribeConfig, writer: Writer) -> None:
        self.config, self.writer = config, writer
        self.subsets = [Subset(name=SUBSET, features=description_features())]

    def identity(self) -> dict[str, str | None]:
        """The writer's."""
        return self.writer.identity()

    def generate(self, items: Iterable[tuple[Place, Asked]]) -> Iterator[Record]:
        """One record of each; as many are written at once as the writer can."""
        writing = ThreadPoolExecutor(self.writer.at_once)
        try:
            for place, asked in items:
                yield Record(place, SUBSET, 0, writing.submit(self._row, asked).result)
            writing.shutdown()
        finally:  # before that only where something went wrong
            self.writer.close()
            writing.shutdown(cancel_futures=True)

    def remarks(self) -> Mapping[str, int]:
        """The writer's."""
        return self.writer.remarks()

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Nothing."""
        return ""

    def _row(self, asked: Asked) -> dict[str, Any] | str:
        found = self.writer.write(asked)
        return found if isinstance(found, str) else found.row()


def open_method(config: DescribeConfig, opening: Opening) -> Describe:
    """Opens the writer.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    return Describe(config, opening.texts(config))
