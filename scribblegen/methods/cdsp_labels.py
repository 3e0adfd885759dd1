"""What pseudo labels are made of: maps of where each class is, or labels that are there already."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import BadImageError
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.records import Sample, label_size_fault
from scribblegen.segmenting.pseudo_labels import pseudo_label, strokes_over
from scribblegen.segmenting.stroke_maps import stroke_maps

# Makes a dense label (H, W) uint8 in a thread that encodes; None where there is none, a string is
# the reason for which there is none that can be used.
Make = Callable[[], np.ndarray | str | None]


class Maps(Protocol):
    """What shows where in an image which class is, such as the maps of a classifier."""

    def maps(self, image: np.ndarray, present: Collection[int]) -> Tensor:
        """(H, W, 3) uint8 and its classes -> (K, H, W) float32 in [0, 1]."""

    def fingerprint(self) -> str:
        """Changes with any of its weights."""


class Labels(Protocol):
    """Dense labels that were made elsewhere."""

    name: str

    def read(self, source_id: str) -> tuple[str, np.ndarray] | None:
        """The name of a photograph's label and its class ids (H, W) uint8; None where it has none.

        Raises:
            BadImageError: it is no label.
        """

    def fingerprint(self) -> str:
        """Changes with any label."""


class Making(Protocol):
    """How the pseudo label of a photograph is made.

    `told` is what made it, in words; `identity` what must agree for a run to be resumed.
    """

    told: str
    identity: Mapping[str, str | None]

    def begin(self, sample: Sample, drawn: Collection[int]) -> Make:
        """What a network has to do is done here; the rest in what is returned.

        Args:
            sample: a photograph.
            drawn: its classes.
        """


@dataclass(eq=False)
class FromMaps:
    """Pseudo labels of maps.

    Args:
        config: how maps become labels.
        maps: where each class is.
        kind: what they are of, `classifier` or `pseudo_label_model`.
        background: the id of the class that is no tag, or None.
        device: the kind of device that they are made on.
    """

    config: CdspConfig
    maps: Maps
    kind: str
    background: int | None
    device: str
    told: str = field(init=False)
    identity: Mapping[str, str | None] = field(init=False)

    def __post_init__(self) -> None:
        fingerprint = self.maps.fingerprint()
        of = "activation maps" if self.kind == "classifier" else "class probabilities"
        self.told = f"{of} {fingerprint}, refine {self.config.refine}"
        self.identity = {self.kind: fingerprint, "device": self.device}

    def begin(self, sample: Sample, drawn: Collection[int]) -> Make:
        return partial(self._label, sample, self.maps.maps(sample.image, drawn))

    def _label(self, sample: Sample, maps: Tensor) -> np.ndarray:
        return pseudo_label(
            maps,
            background=self.background,
            background_threshold=self.config.background_threshold,
            ignore_band=self.config.ignore_band,
            scribble=sample.scribble,
            image=sample.image,
            refine=self.config.refine,
            write_strokes=self.config.write_strokes,
        )


@dataclass(eq=False)
class FromLabels:
    """Pseudo labels that are there already, each checked as any label is.

    Args:
        config: whether strokes are written over them.
        labels: by the ids of the photographs.
        classes: of the scribbles.
    """

    config: CdspConfig
    labels: Labels
    classes: Classes
    told: str = field(init=False)
    identity: Mapping[str, str | None] = field(init=False)

    def __post_init__(self) -> None:
        fingerprint = self.labels.fingerprint()
        self.told = f"labels of {self.labels.name}, {fingerprint}"
        self.identity = {"pseudo labels": fingerprint}

    def begin(self, sample: Sample, drawn: Collection[int]) -> Make:
        return partial(self._label, sample)

    def _label(self, sample: Sample) -> np.ndarray | str | None:
        try:
            found = self.labels.read(sample.source_id)
        except BadImageError as error:
            return f"pseudo_label: {error}"
        if found is None:
            return None
        file, label = found
        name = f"pseudo_label {file}"
        if fault := label_size_fault(name, label, sample.scribble.shape):
            return fault
        if stray := self.classes.stray_ids(label):
            return f"{name} holds {stray}, outside the {len(self.classes)} classes"
        return strokes_over(sample.scribble, label) if self.config.write_strokes else label


@dataclass(eq=False)
class FromStrokes:
    """Pseudo labels of the strokes alone.

    Nothing is said where the two likeliest classes are within `ignore_band` of each other.

    Args:
        config: how sure a label must be.
        num_classes: of the scribbles.
    """

    config: CdspConfig
    num_classes: int
    told: str = field(init=False, default="strokes, spread over what is near and looks alike")
    identity: Mapping[str, str | None] = field(init=False, default_factory=dict)

    def begin(self, sample: Sample, drawn: Collection[int]) -> Make:
        return partial(self._label, sample)

    def _label(self, sample: Sample) -> np.ndarray:
        maps = stroke_maps(sample.scribble, sample.image, self.num_classes).numpy()
        label = maps.argmax(axis=0).astype(np.uint8)
        if self.num_classes > 1:
            runner_up, first = np.partition(maps, -2, axis=0)[-2:]
            label[first - runner_up < self.config.ignore_band] = IGNORE_INDEX
        return label


def shown_in_class_colour(
    image: np.ndarray, label: np.ndarray, *, maps: Maps, classes: Classes, background: int | None
) -> np.ndarray:
    """Where the class is seen whose strokes are longest, the background aside, in its colour.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8, its scribble.
        maps: where each class is.
        classes: of the scribble.
        background: the id of the class that is no tag, or None.

    Returns:
        (H, W, 3) uint8; white where it is not seen.
    """
    counts = np.bincount(label.ravel(), minlength=256)[: len(classes)]
    if background is not None:
        counts[background] = 0
    number = int(counts.argmax())
    seen = maps.maps(image, [number])[number].numpy()[..., None]
    colour = np.array(classes.palette[number], np.float32)
    return (255 + (colour - 255) * seen).round().astype(np.uint8)
