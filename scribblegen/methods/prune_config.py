"""The options of pruning. No torch: the command line reads it."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option

KEEP = 0.7  # of the rows, where nobody says which stay


@dataclass(frozen=True, kw_only=True)
class PruneConfig:
    """Which rows stay. Equal configs over equal scores keep the same."""

    LOCATIONS: ClassVar = ("held_out_scores", "mask_rules")

    held_out_scores: list[str] = option(
        [],
        "Files of scores, one a fold, as `scribblegen prune` writes them; trained and measured on "
        "the way there if unset.",
    )
    keep: float | None = option(
        None,
        f"Share of the rows that stays, those of the best masks by class; {KEEP} if neither this "
        "nor `min_cv_iou` is given.",
    )
    min_cv_iou: float | None = option(
        None,
        "Keep instead all rows with whose masks held-out segmentors agree this much: the mean over "
        "classes of intersection over union.",
    )
    mask_rules: str | None = option(
        None,
        "What no mask may be: none, voc (DiffuMask's), or a YAML file of bounds by class; voc for "
        "masks of VOC's classes if unset, else none.",
    )

    def __post_init__(self) -> None:
        if self.keep is not None and self.min_cv_iou is not None:
            raise ValueError(
                "`min_cv_iou` must be left out where `keep` is given: each says which rows stay. "
                f"Got {self.min_cv_iou} and {self.keep}."
            )
        if self.keep is None and self.min_cv_iou is None:
            object.__setattr__(self, "keep", KEEP)
        if self.keep is not None and not 0 < self.keep <= 1:
            raise ValueError(f"`keep` must be a share, in (0, 1]. Got {self.keep}.")
        if self.min_cv_iou is not None and not 0 <= self.min_cv_iou <= 1:
            raise ValueError(f"`min_cv_iou` must be in [0, 1]. Got {self.min_cv_iou}.")
