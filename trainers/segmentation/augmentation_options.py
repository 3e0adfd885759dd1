"""The options of what a view may show beside one image as it is: mosaics, warps, hidden parts."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.trainers.segmentation.distortions import (
    ERASE_FILLS,
    ERASE_LABELS,
    Erasing,
    Perspective,
)
from scribblegen.trainers.segmentation.splicing import GRIDS, Grid, Splicing


@dataclass
class AugmentationOptions:
    """Paired augmentation: image, labels and weights always alike (DiffuMask, arXiv 2303.11681)."""

    splice: bool = option(
        False,
        "Show mosaics of several draws in place of some views, each resized to its tile; for "
        "masks: scribbles get too thin to be left when they are resized.",
    )
    splice_rate: float = option(0.5, "With `splice`, probability that a view is a mosaic.")
    splice_grids: list[str] = option(
        list(GRIDS),
        "With `splice`, ROWSxCOLUMNS of the mosaics, or ROWSxCOLUMNS:WEIGHT to choose one more "
        "often; DiffuMask's if unset.",
    )
    perspective: float = option(0.0, "Probability of a random perspective warp.")
    perspective_strength: float = option(
        0.25, "How far corners move in it: at most half this share of a side, in or out."
    )
    erase: float = option(
        0.0, "Probability to hide a random rectangle, as if something stood before it."
    )
    erase_area: float = option(0.2, "Largest share of what is shown that is hidden; 0.02 or more.")
    erase_fill: str = option("noise", f"What hides it: {' or '.join(ERASE_FILLS)} colour.")
    erase_label: str = option(
        "keep",
        f"{' or '.join(ERASE_LABELS)}: what is hidden is learned from what is around it, or not at "
        "all; ignore it with losses that follow colours.",
    )

    def check_augmentation_options(self, crop_size: int) -> None:
        """Refuses values that mean nothing, also of what is off; where `splice` is on, it must fit.

        Raises:
            ValueError: the message says which.
        """
        Perspective(self.perspective, self.perspective_strength)
        Erasing(self.erase, self.erase_area, self.erase_fill, self.erase_label)
        for grid in self._splicing().grids:
            if self.splice and max(grid.rows, grid.columns) > crop_size:
                raise ValueError(
                    f"`splice_grids` must have tiles of a pixel or more in a `crop_size` of "
                    f"{crop_size}. Got {grid.rows}x{grid.columns}."
                )

    def splicing(self) -> Splicing | None:
        """Which views are mosaics; None for none."""
        return self._splicing() if self.splice and self.splice_rate else None

    def warping(self) -> Perspective | None:
        """How views are warped; None for not at all."""
        return (
            Perspective(self.perspective, self.perspective_strength) if self.perspective else None
        )

    def erasing(self) -> Erasing | None:
        """What hides parts of views; None for nothing."""
        if not self.erase:
            return None
        return Erasing(self.erase, self.erase_area, self.erase_fill, self.erase_label)

    def _splicing(self) -> Splicing:
        return Splicing(self.splice_rate, tuple(Grid.parse(text) for text in self.splice_grids))
