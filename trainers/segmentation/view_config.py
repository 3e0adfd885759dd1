"""The options of trainings on random views whose networks are measured on whole images."""

from dataclasses import dataclass

import torch

from scribblegen.configs import option
from scribblegen.trainers.base.subset_config import SubsetTrainingConfig
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.inference import Inference
from scribblegen.trainers.segmentation.maps import ONLY_LABEL, Maps


@dataclass
class ViewTrainingConfig(SubsetTrainingConfig):
    """What a training is shown; a subclass says what it learns from it."""

    crop_size: int = option(320, "Side of the training crop.")
    scale_min: float = option(1.0, "Smallest random scale of the shorter side against the crop.")
    scale_max: float = option(1.5, "Largest random scale.")
    flip: float = option(0.5, "Probability to mirror.")
    blur: float = option(0.0, "Probability of a Gaussian blur.")
    jitter: float = option(0.2, "Largest relative change of brightness, contrast, saturation.")
    cache_gb: float = option(1.0, "GB of decoded pictures that each loading process keeps.")

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else bfloat16 is refused
        super().__post_init__()
        self.remove_unused_columns = False  # the views are made from what it would remove
        if self.load_best_model_at_end:
            raise ValueError(
                "`load_best_model_at_end` must not be set: the best checkpoint is not chosen on "
                "the split that is reported."
            )
        self.augmentation()

    def maps(self) -> Maps:
        """The columns that are read beside the image."""
        return ONLY_LABEL

    def augmentation(self) -> Augmentation:
        """What may happen to a training image."""
        return Augmentation(
            crop_size=self.crop_size,
            scale=(self.scale_min, self.scale_max),
            flip=self.flip,
            blur=self.blur,
            jitter=self.jitter,
        )

    def inference(self) -> Inference:
        """How an image is shown to the network when it is measured."""
        return Inference(size=self.crop_size)
