"""CDSP's first stage (arXiv 2402.17555): scribbles and the classes they name -> pseudo labels."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from datasets import ClassLabel, Image, List, Value

from scribblegen.classes import Classes, present_classes
from scribblegen.images import encode_label
from scribblegen.methods.base import Drawing, Opening, Place, Record, Subset
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.methods.cdsp_labels import (
    FromLabels,
    FromMaps,
    FromStrokes,
    Make,
    Making,
    shown_in_class_colour,
)
from scribblegen.records import Sample, image_cell, real_features, real_row
from scribblegen.segmenting.distance import boundary_distance_weight, scribble_distance_weight
from scribblegen.segmenting.tags import background_of

SUBSET = "cdsp"
_ONE_CLASS = "photographs with strokes of one class alone"
_NO_BACKGROUND = "photographs without a stroke of the background"


class Cdsp:
    """The method: every photograph with its scribble and a dense label made of it.

    Args:
        config: its options.
        classes: of the scribbles.
        background: the id of the class that is no tag, or None.
        making: makes the labels.
        splits: that the source has.
        image_format: of photographs whose files cannot be stored as they are.
        carried: columns that its samples carry, each with its type.
    """

    def __init__(
        self,
        config: CdspConfig,
        classes: Classes,
        background: int | None,
        making: Making,
        *,
        splits: Sequence[str],
        image_format: str,
        carried: Mapping[str, Any],
    ) -> None:
        self.config, self.classes, self.background = config, classes, background
        self.making, self.image_format = making, image_format
        self._remarks: Counter[str] = Counter()
        features = real_features(classes)
        features["pseudo_label"] = Image()
        features["pseudo_source"] = Value("string")
        features["tags"] = List(ClassLabel(names=list(classes.names)))
        features.update(carried)
        self._carried = tuple(carried)
        self.subsets = [
            Subset(
                name=SUBSET,
                features=features,
                splits=tuple(splits),
                settings={"refine": config.refine},
                pictures={
                    "image": "photograph",
                    "label": "scribble",
                    "pseudo_label": "pseudo label",
                },
                drawn=self._drawn(),
            )
        ]

    def identity(self) -> dict[str, str | None]:
        """The fingerprint of what makes the labels; the kind of device, where a network does."""
        return dict(self.making.identity)

    def generate(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record]:
        """One record of each photograph; its label is made in a thread that encodes."""
        for place, sample in items:
            drawn = present_classes(sample.scribble)
            self._remarks[_ONE_CLASS] += len(drawn) == 1
            self._remarks[_NO_BACKGROUND] += (
                self.background is not None and self.background not in drawn
            )
            make = self.making.begin(sample, drawn)
            yield Record(place, SUBSET, 0, partial(self._row, place.split, sample, drawn, make))

    def remarks(self) -> Mapping[str, int]:
        """Photographs whose strokes leave much to the labels: those of one class, or of things
        alone."""
        return +self._remarks

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Nothing."""
        return ""

    def _row(
        self, split: str, sample: Sample, drawn: list[int], make: Make
    ) -> dict[str, Any] | str:
        label = make()
        if isinstance(label, str):
            return label
        if label is None and split == "train":
            return "no pseudo label"
        carried = {name: sample.carried.get(name) for name in self._carried}
        return {
            **real_row(sample, self.classes, image_format=self.image_format),
            # What is only measured on needs none.
            "pseudo_label": None
            if label is None
            else image_cell(encode_label(label, self.classes)),
            "pseudo_source": None if label is None else self.making.told,
            "tags": [k for k in drawn if k != self.background],
            **carried,
        }

    def _drawn(self) -> dict[str, Drawing]:
        """What the gallery shows that is no column: distances are made where they are used."""

        def seen(shown: Mapping[str, np.ndarray], maps: Any) -> np.ndarray:
            return shown_in_class_colour(
                shown["image"],
                shown["label"],
                maps=maps,
                classes=self.classes,
                background=self.background,
            )

        drawn: dict[str, Drawing] = {}
        if isinstance(self.making, FromMaps):
            drawn["where a class\nis seen"] = partial(seen, maps=self.making.maps)
        return {
            **drawn,
            "distance\nto strokes": lambda shown: _grey(scribble_distance_weight(shown["label"])),
            "distance\nto borders": lambda shown: _grey(
                boundary_distance_weight(shown["pseudo_label"])
            ),
        }


def _grey(weights: np.ndarray) -> np.ndarray:
    """(H, W) float in [0, 1] -> (H, W, 3) uint8."""
    return np.repeat((weights * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def open_method(config: CdspConfig, opening: Opening) -> Cdsp:
    """Opens what the labels are made of, and checks that it knows the classes of the source.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    train = opening.sources["train"]
    background = background_for(config, train.classes.names)
    if config.pseudo_label_dir is not None:
        config = replace(config, refine="none")  # they are as they are, and so it is told
    elif config.from_strokes:
        config = replace(config, refine="all_labels")  # so they are made
    making = _making(config, opening, background)
    return Cdsp(
        config,
        train.classes,
        background,
        making,
        splits=list(opening.sources),
        image_format=opening.output.image_format,
        carried=train.carried,
    )


def background_for(config: CdspConfig, names: Sequence[str]) -> int | None:
    """The id of the class that is no tag, or None.

    Raises:
        ValueError: it is no class, or the labels cannot be refined without one.
    """
    background = background_of(names, config.background)
    refined = config.made_of not in ("pseudo_label_dir", "from_strokes")
    if background is None and config.refine == "two_label" and refined:
        raise ValueError(
            "`refine` must be all_labels or none where no class is `background`. Got 'two_label'."
        )
    return background


def _making(config: CdspConfig, opening: Opening, background: int | None) -> Making:
    from scribblegen.runs.processes import process_state

    if config.pseudo_label_dir is not None:
        labels = opening.labels(config.pseudo_label_dir, config.pseudo_label_convention)
        return FromLabels(config, labels, opening.sources["train"].classes)
    if config.from_strokes:
        return FromStrokes(config, len(opening.sources["train"].classes))
    kind = "classifier" if config.pseudo_label_model is None else "pseudo_label_model"
    name = config.classifier or config.pseudo_label_model
    if name is None:
        raise ValueError(
            "`classifier` must be given: the folder or Hub id of a classifier of the source's "
            "classes, which `scribblegen train-classifier` makes. Or give `pseudo_label_dir`, "
            "`pseudo_label_model` or `from_strokes`; or call `scribblegen pseudo-label`, which "
            "trains one."
        )
    opened = opening.classifier if kind == "classifier" else opening.segmentor
    device = process_state().device.type
    return FromMaps(config, opened(name, background), kind, background, device)
