"""The options of losses that spread strokes over what looks alike."""

import math
from dataclasses import dataclass

from scribblegen.configs import option


@dataclass
class AffinityOptions:
    """How the prediction between strokes follows the colours of the photograph."""

    self_labelling_weight: float = option(
        0.0,
        "Weight of the collision cross-entropy against soft labels with a Potts term; for a "
        "`model_name_or_path` that has learned strokes already: it believes what it predicts.",
    )
    potts_weight: float = option(
        5.0,
        "Weight of neighbours that look alike in the soft labels, against 1 for what the segmentor "
        "predicts.",
    )
    potts_sigma_rgb: float = option(
        30.0, "Standard deviation of colours (0 to 255) in the Potts term."
    )
    self_labelling_steps: int = option(5, "Steps by which the soft labels are solved for.")
    tree_energy_weight: float = option(
        0.0, "Weight of the tree energy loss, over the tree of colours; the paper's is 0.4."
    )
    tree_sigma_rgb: float = option(15.0, "Standard deviation of colours (0 to 255) along the tree.")
    affinity_stride: int = option(
        4, "Side (pixels) of the cells in which soft labels and tree energy see the crop."
    )

    def check_affinity_options(self) -> None:
        """Refuses values that mean nothing.

        Raises:
            ValueError: the message says which.
        """
        for name in ("self_labelling_weight", "tree_energy_weight", "potts_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be 0 or more. Got {getattr(self, name)}.")
        for name in ("potts_sigma_rgb", "tree_sigma_rgb"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be above 0. Got {getattr(self, name)}.")
        for name in ("self_labelling_steps", "affinity_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be 1 or more. Got {getattr(self, name)}.")
