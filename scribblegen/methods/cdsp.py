"""CDSP's first stage (arXiv 2402.17555): scribbles and the classes they name -> pseudo labels."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from datasets import ClassLabel, Image, List, Value
from torch import Tensor

from scribblegen.classes import Classes, present_classes
from scribblegen.images import encode_label
from scribblegen.methods.base import Opening, Place, Record, Subset
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.records import Sample, image_cell, real_features, real_row
from scribblegen.segmenting.pseudo_labels import pseudo_label
from scribblegen.segmenting.tags import background_of

SUBSET = "cdsp"


class Maps(Protocol):
    """What shows where in an image which class is, such as the maps of a classifier."""

    def maps(self, image: np.ndarray, present: Collection[int]) -> Tensor:
        """(H, W, 3) uint8 and its classes -> (K, H, W) float32 in [0, 1]."""

    def fingerprint(self) -> str:
        """Changes with any of its weights."""


class Cdsp:
    """The method: every photograph with its scribble and a dense label made of it.

    Args:
        config: its options.
        classes: of the scribbles.
        background: the id of the class that is no tag, or None.
        maps: where each class is.
        device: the kind of device that they are made on.
        splits: that the source has.
        image_format: of photographs whose files cannot be stored as they are.
    """

    def __init__(
        self,
        config: CdspConfig,
        classes: Classes,
        background: int | None,
        maps: Maps,
        *,
        device: str,
        splits: Sequence[str],
        image_format: str,
    ) -> None:
        self.config, self.classes, self.background = config, classes, background
        self.maps, self.device, self.image_format = maps, device, image_format
        self._fingerprint = maps.fingerprint()
        features = real_features(classes)
        features["pseudo_label"] = Image()
        features["pseudo_source"] = Value("string")
        features["tags"] = List(ClassLabel(names=list(classes.names)))
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
            )
        ]

    def identity(self) -> dict[str, str | None]:
        """The fingerprint of what makes the maps, and the kind of device."""
        return {"classifier": self._fingerprint, "device": self.device}

    def generate(self, items: Iterable[tuple[Place, Sample]]) -> Iterator[Record]:
        """One record of each photograph; its label is made in a thread that encodes."""
        for place, sample in items:
            drawn = present_classes(sample.scribble)
            maps = self.maps.maps(sample.image, drawn)
            yield Record(place, SUBSET, 0, partial(self._row, sample, drawn, maps))

    def remarks(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def profile(self, seconds: Mapping[str, float], wall: float) -> str:
        """Nothing."""
        return ""

    def _row(self, sample: Sample, drawn: list[int], maps: Tensor) -> dict[str, Any] | str:
        label = pseudo_label(
            maps,
            background=self.background,
            background_threshold=self.config.background_threshold,
            ignore_band=self.config.ignore_band,
            scribble=sample.scribble,
            image=sample.image,
            refine=self.config.refine,
        )
        source = f"activation maps {self._fingerprint}, refine {self.config.refine}"
        return {
            **real_row(sample, self.classes, image_format=self.image_format),
            "pseudo_label": image_cell(encode_label(label, self.classes)),
            "pseudo_source": source,
            "tags": [k for k in drawn if k != self.background],
        }


def open_method(config: CdspConfig, opening: Opening) -> Cdsp:
    """Opens the classifier, and checks that it knows the classes of the source.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    from scribblegen.runs.processes import process_state

    classes = opening.sources["train"].classes
    if config.classifier is None:
        raise ValueError(
            "`classifier` must be given: the folder or Hub id of a classifier of the source's "
            "classes. `scribblegen train-classifier` makes one."
        )
    background = background_of(classes.names, config.background)
    if background is None and config.refine == "two_label":
        raise ValueError(
            "`refine` must be all_labels or none where no class is `background`. Got 'two_label'."
        )
    return Cdsp(
        config,
        classes,
        background,
        opening.classifier(config.classifier, background),
        device=process_state().device.type,
        splits=list(opening.sources),
        image_format=opening.output.image_format,
    )
