"""Photographs with their scribbles as a dataset, and nothing else: what trainings are shown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from scribblegen.classes import Classes
from scribblegen.methods.base import Opening, Place, Record, Subset
from scribblegen.methods.photographs_config import PhotographsMethodConfig
from scribblegen.records import DEFAULT_SUBSET, Sample, real_features, real_row


class Photographs:
    """The method: every photograph with its scribble, and its mask where the source has one.

    Args:
        config: its options.
        classes: of the scribbles.
        splits: that the source has.
        image_format: of photographs whose files cannot be stored as they are.
    """

    def __init__(
        self,
        config: PhotographsMethodConfig,
        classes: Classes,
        *,
        splits: Sequence[str],
        image_format: str,
    ) -> None:
        self.config, self.classes, self.image_format = config, classes, image_format
        self.subsets = [
            Subset(
                name=DEFAULT_SUBSET,
                features=real_features(classes),
                splits=tuple(splits),
                pictures={"image": "photograph", "label": "scribble"},
            )
        ]

    def identity(self) -> dict[str, str | None]:
        """Nothing: no network is asked."""
        return {}

    def generate(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record]:
        """One record of each photograph."""
        for place, sample in items:
            row = partial(real_row, sample, self.classes, image_format=self.image_format)
            yield Record(place, DEFAULT_SUBSET, 0, row)

    def remarks(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Nothing."""
        return ""


def open_method(config: PhotographsMethodConfig, opening: Opening) -> Photographs:
    """The method for the classes of the source."""
    return Photographs(
        config,
        opening.sources["train"].classes,
        splits=list(opening.sources),
        image_format=opening.output.image_format,
    )
