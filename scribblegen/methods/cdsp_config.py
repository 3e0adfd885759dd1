"""The options of CDSP's pseudo labels. No torch: the command line reads it."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.scribbles.label_conventions import CONVENTIONS
from scribblegen.segmenting.refinements import REFINEMENTS


@dataclass(frozen=True, kw_only=True)
class CdspConfig:
    """What pseudo labels are made with. Equal configs give equal labels."""

    LOCATIONS: ClassVar = ("classifier", "pseudo_label_dir", "pseudo_label_model")

    classifier: str | None = option(
        None, "Folder or Hub id of a classifier of tags, as train-classifier makes it."
    )
    pseudo_label_dir: str | None = option(
        None,
        "Folder of pseudo labels made elsewhere, as large as their photographs and named by their "
        "ids; instead of a classifier.",
    )
    pseudo_label_convention: str | None = option(
        None,
        "What the files of `pseudo_label_dir` hold; as `label_convention` of source folder, where "
        "255, or nobody drew, is where nothing is said.",
    )
    pseudo_label_model: str | None = option(
        None,
        "Folder or Hub id of a semantic segmentation model that knows the classes by their names: "
        "its probabilities stand for activation maps; instead of a classifier.",
    )
    from_strokes: bool = option(
        False,
        "Spread the strokes themselves over what is near and looks alike, instead of a classifier.",
    )
    write_strokes: bool = option(
        True, "Write the strokes over the pseudo labels: a person drew them."
    )
    background: str | None = option(
        None,
        "Class that is no tag; the one named background if unset, an empty one if every class is.",
    )
    background_threshold: float = option(
        0.45, "How high a class's map or probability must be, of 1, to win over the background."
    )
    ignore_band: float = option(
        0.1,
        "Say nothing where the label differs between this much above and below the threshold; with "
        "no background, where no map is as high as the lower of the two; of strokes alone, where "
        "two classes are within this much of each other.",
    )
    refine: str = option(
        "all_labels",
        "A dense random field then moves: none, two_label (background against all else, in less "
        "time), or all_labels (borders between classes too).",
    )

    def __post_init__(self) -> None:
        given = self._given()
        if len(given) > 1:
            raise ValueError(
                f"`{given[0]}` must be left out where `{given[1]}` is given: each says what the "
                "pseudo labels are made of."
            )
        if self.from_strokes and not self.write_strokes:
            raise ValueError(
                "`write_strokes` must be True with `from_strokes`: the strokes are what is spread."
            )
        convention = self.pseudo_label_convention
        if convention is not None and self.pseudo_label_dir is None:
            raise ValueError(
                "`pseudo_label_convention` must be left out without `pseudo_label_dir`, whose "
                f"files it is of. Got {convention!r}."
            )
        if convention not in (None, *CONVENTIONS):
            raise ValueError(
                f"`pseudo_label_convention` must be one of {CONVENTIONS}. Got {convention!r}."
            )
        if self.refine not in REFINEMENTS:
            raise ValueError(f"`refine` must be one of {REFINEMENTS}. Got {self.refine!r}.")
        threshold, band = self.background_threshold, self.ignore_band
        if not 0 < threshold - band <= threshold + band < 1:
            raise ValueError(
                "`background_threshold` must be between 0 and 1, with `ignore_band` on either "
                f"side. Got {threshold} and {band}."
            )

    @property
    def made_of(self) -> str | None:
        """The option that says what the labels are made of; None where none does."""
        return next(iter(self._given()), None)

    def _given(self) -> list[str]:
        return [name for name in (*self.LOCATIONS, "from_strokes") if getattr(self, name)]
