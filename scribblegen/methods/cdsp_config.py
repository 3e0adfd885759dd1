"""The options of CDSP's pseudo labels. No torch: the command line reads it."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.segmenting.refinements import REFINEMENTS


@dataclass(frozen=True, kw_only=True)
class CdspConfig:
    """What pseudo labels are made with. Equal configs give equal labels."""

    LOCATIONS: ClassVar = ("classifier",)

    classifier: str | None = option(
        None, "Folder or Hub id of a classifier of tags, as train-classifier makes it."
    )
    background: str | None = option(
        None,
        "Class that is no tag; the one named background if unset, an empty one if every class is.",
    )
    background_threshold: float = option(
        0.45, "How high a class's map must be, of 1, to win over the background."
    )
    ignore_band: float = option(
        0.1, "Say nothing where the label differs between this much above and below the threshold."
    )
    refine: str = option(
        "two_label",
        "A dense random field then moves: none, two_label (background against all else), or "
        "all_labels (borders between classes too).",
    )

    def __post_init__(self) -> None:
        if self.refine not in REFINEMENTS:
            raise ValueError(f"`refine` must be one of {REFINEMENTS}. Got {self.refine!r}.")
        threshold, band = self.background_threshold, self.ignore_band
        if not 0 < threshold - band <= threshold + band < 1:
            raise ValueError(
                "`background_threshold` must be between 0 and 1, with `ignore_band` on either "
                f"side. Got {threshold} and {band}."
            )
