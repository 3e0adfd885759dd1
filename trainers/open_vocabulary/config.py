"""The options of training a segmentor of any words."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.trainers.base.config import TrainingConfig
from scribblegen.trainers.segmentation.augmentation import Augmentation

CF_LOSSES = ("cosine", "text_anchored", "infonce", "dense")
_WEIGHTS = ("focal_weight", "dice_weight", "cf_weight", "cf_margin")
_COUNTS = ("words_per_image", "crop_size", "prompt_tokens", "decoder_layers", "decoder_heads")


@dataclass(frozen=True, kw_only=True)
class OpenVocabularyTrainingConfig(TrainingConfig):
    """How prompts and decoder are trained over a frozen CLIP model (arXiv 2603.19575).

    Equal configs and rows give equal weights, with as many processes.
    """

    synthetic: list[str] = option(
        [], "REPO:subset of pairs with masks, any number; as build --method magicseg makes."
    )
    clip: str | None = option(
        None, "Folder or Hub id of the CLIP model that is read, such as train-clip makes."
    )
    vocabulary: str | None = option(
        None,
        "Vocabulary that absent words are drawn from, as for describe; that of the repositories of "
        "`synthetic` if unset.",
    )
    crop_size: int = option(512, "Side of the training crop.")
    scale_min: float = option(0.5, "Smallest random scale of the shorter side against the crop.")
    scale_max: float = option(2.0, "Largest random scale.")
    random_flip: bool = option(True, "Mirror half of the images, with their twins.")
    jitter: float = option(0.2, "Largest relative change of brightness, contrast, saturation.")
    words_per_image: int = option(100, "Words that an image is asked for; its own come first.")
    exclude_related: bool = option(
        True,
        "Never ask an image for synonyms, parents and children of its words, nor for what else "
        "its text names.",
    )
    hard_negative_share: float = option(
        0.0, "Share of the absent words that are the nearest to an image's own; the rest is drawn."
    )
    cf_loss: list[str] = option(
        ["cosine"],
        "Losses of the counterfactual images, any of cosine (the paper's), text_anchored, infonce "
        "and dense; or none, and they are not read.",
    )
    cf_untested: bool = option(
        False, "Learn from counterfactual images that no test looked at, too."
    )
    focal_weight: float = option(100.0, "Weight of the focal loss of masks.")
    dice_weight: float = option(1.0, "Weight of the dice loss of masks.")
    cf_weight: float = option(1.0, "Weight of every loss of `cf_loss`.")
    cf_margin: float = option(0.2, "Margin of text_anchored, in cosines.")
    prompt_tokens: int = option(10, "Visual prompts of a layer.")
    prompt_layers: int | None = option(
        None, "How many of the last layers have them; all but the first if unset."
    )
    decoder_layers: int = option(3, "Layers of the decoder.")
    decoder_heads: int = option(8, "Heads of its attention.")
    learning_rate: float = option(2e-5, "Base learning rate of AdamW, after the warm-up.")
    learning_rate_factor: float = option(
        10.0, "Prompts, descriptor and decoder learn at so many times `learning_rate`."
    )
    lr_scheduler: str = option("polynomial", "As of the other trainings.")
    lr_power: float = option(0.9, "Power of lr_scheduler polynomial.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if strange := [name for name in self.counterfactual_losses if name not in CF_LOSSES]:
            raise ValueError(f"`cf_loss` must be of {CF_LOSSES}, or none. Got {strange[0]!r}.")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
        for name in _WEIGHTS:
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must be at least 0. Got {getattr(self, name)}.")
        if not 0 <= self.hard_negative_share <= 1:
            raise ValueError(
                f"`hard_negative_share` must be in [0, 1]. Got {self.hard_negative_share}."
            )
        if not self.learning_rate_factor > 0:
            raise ValueError(
                f"`learning_rate_factor` must be above 0. Got {self.learning_rate_factor}."
            )
        self.augmentation()

    @property
    def counterfactual_losses(self) -> list[str]:
        """`cf_loss`, without any for none."""
        return [] if self.cf_loss == ["none"] else self.cf_loss

    def augmentation(self) -> Augmentation:
        """What may happen to an image, its mask and its counterfactual."""
        return Augmentation(
            crop_size=self.crop_size,
            scale=(self.scale_min, self.scale_max),
            flip=0.5 if self.random_flip else 0.0,
            jitter=self.jitter,
        )
