"""The options of segmentation training: those of `TrainingArguments`, and these."""

from dataclasses import dataclass
from typing import Any

from transformers import TrainingArguments

from scribblegen.configs import option
from scribblegen.trainers.augmentation import Augmentation
from scribblegen.trainers.schemes import SCHEMES
from scribblegen.trainers.segmentation_data import LABELS
from scribblegen.trainers.segmentation_inference import Inference


@dataclass
class SegmentationConfig(TrainingArguments):
    """How a segmentor is trained on real and synthetic subsets."""

    real: str | None = option(None, "REPO or REPO:subset of the photographs: folder or Hub id.")
    synthetic: list[str] = option([], "REPO:subset of each set of twins.")
    labels: str = option("scribble", "scribble or mask, of the photographs.")
    scheme: str = option("none", f"How twins are mixed in: {', '.join(SCHEMES)}.")
    twins_per_real: int = option(1, "Twins drawn for every photograph.")
    replacement_rate: float = option(0.5, "Of scheme replacement.")
    iteration_matched: bool = option(
        True, "An epoch draws as many images as there are photographs, whatever the scheme."
    )
    eval_split: str = option("validation", "Split of `real` that is reported, by its masks.")
    selection_share: float = option(
        0.0, "Share of the training photographs kept apart to choose the best checkpoint by."
    )
    model_name_or_path: str | None = option(
        None, "Pretrained segmentor or backbone, folder or Hub id; untrained weights if unset."
    )
    architecture: str | None = option(
        None, "small, deeplabv3plus, or a model type of transformers such as segformer; that of "
        "`model_name_or_path` if unset, else small."
    )  # fmt: skip
    output_stride: int = option(16, "Of deeplabv3plus: 8 or 16.")
    head_learning_rate_factor: float = option(1.0, "Learning rate of the head, as a multiple.")
    crop_size: int = option(513, "Side of the training crop.")
    scale_min: float = option(0.5, "Smallest random scale of the shorter side against the crop.")
    scale_max: float = option(2.0, "Largest.")
    flip: float = option(0.5, "Probability to mirror.")
    blur: float = option(0.0, "Probability of a Gaussian blur.")
    jitter: float = option(0.0, "Largest relative change of brightness, contrast, saturation.")
    keep_decoded: bool = option(False, "Keep every decoded picture in memory.")
    absent_class_weight: float = option(0.0, "Weight of the absent-class loss.")
    dense_crf_weight: float = option(0.0, "Weight of the dense CRF loss; the paper's is 2e-9.")
    gated_crf_weight: float = option(0.0, "Weight of the gated CRF loss.")
    crf_sigma_rgb: float = option(15.0, "Of the dense CRF loss, of 255.")
    crf_sigma_xy: float = option(100.0, "Of the dense CRF loss, in pixels.")
    crf_scale: float = option(0.5, "Size at which the dense CRF loss is computed.")
    eval_window: int | None = option(None, "Side of a sliding window; whole images if unset.")
    eval_scales: list[float] = option([1.0], "Scales to average over.")
    eval_flip: bool = option(False, "Average over the mirrored image too.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.remove_unused_columns = False  # the views are made from what it would remove
        for name, known in (("labels", tuple(LABELS)), ("scheme", SCHEMES)):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        if not 0 <= self.selection_share < 1:
            raise ValueError(f"`selection_share` must be in [0, 1). Got {self.selection_share}.")
        self.augmentation()
        self.inference()

    def augmentation(self) -> Augmentation:
        """Of the training views."""
        return Augmentation(
            crop_size=self.crop_size,
            scale=(self.scale_min, self.scale_max),
            flip=self.flip,
            blur=self.blur,
            jitter=self.jitter,
        )

    def inference(self) -> Inference:
        """Of the evaluation."""
        return Inference(
            window=self.eval_window, scales=tuple(self.eval_scales), flip=self.eval_flip
        )

    def own_options(self) -> dict[str, Any]:
        """The options that are not those of `TrainingArguments`, for cards and identities."""
        theirs = set(TrainingArguments.__dataclass_fields__)
        return {k: getattr(self, k) for k in self.__dataclass_fields__ if k not in theirs}
