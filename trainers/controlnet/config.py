"""The options of ControlNet training; named as in diffusers' `train_controlnet.py`."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.families.stable_diffusion.conditioning import CONDITIONING_ENCODINGS
from scribblegen.prompts import PROMPT_MODES, PROMPT_STEM
from scribblegen.trainers.base.config import TrainingConfig, TrainingRunConfig

NULL_CONDITIONINGS = ("zero", "learned")


@dataclass(frozen=True, kw_only=True)
class ControlNetConfig(TrainingConfig):
    """What is trained. Equal configs over equal sources give equal weights."""

    pretrained_model_name_or_path: str | None = option(
        None, "Folder or Hub id of the base pipeline in diffusers' layout; it stays frozen."
    )
    controlnet_model_name_or_path: str | None = option(
        None, "ControlNet to start from; a copy of the base's UNet encoder if unset."
    )
    revision: str | None = option(None, "Revision of the base pipeline on the Hub.")
    variant: str | None = option(None, "Variant of the base pipeline's weights, such as fp16.")
    conditioning_encoding: str = option("one_hot", "one_hot (a plane per class) or rgb_palette.")
    conditioning_dropout: float = option(0.1, "Probability to drop the conditioning alone.")
    text_dropout: float = option(0.0, "Probability to drop the text alone.")
    both_dropout: float = option(0.0, "Probability to drop conditioning and text together.")
    null_conditioning: str = option(
        "zero", "The conditioning that stands for no scribble: zero, or learned."
    )
    prompt_mode: str = option(
        "classes", "classes (stem and class names), stem, or caption (the source's own)."
    )
    prompt_stem: str = option(PROMPT_STEM, "First words of the prompt.")
    resolution: int | None = option(None, "Side of the training square; the base's if unset.")
    random_flip: bool = option(False, "Mirror photographs and scribbles at random.")
    crop_scale: float = option(
        1.0, "Show random parts, of at least this share of a photograph's sides. For few data."
    )
    num_views: int = option(8, "Views of a photograph, if it is mirrored or cut: one is all of it.")
    gradient_checkpointing: bool = option(False, "Less memory for more time.")
    snr_gamma: float | None = option(
        None, "Clamp of Min-SNR loss weighting, usually 5; all timesteps weigh alike if unset."
    )
    cache_latents: bool = option(
        False, "Encode every view of a photograph once and keep its latents in memory."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (
            ("conditioning_encoding", CONDITIONING_ENCODINGS),
            ("prompt_mode", PROMPT_MODES),
            ("null_conditioning", NULL_CONDITIONINGS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        if not 0 < self.crop_scale <= 1:
            raise ValueError(f"`crop_scale` must be in (0, 1]. Got {self.crop_scale}.")
        if self.num_views < 1:
            raise ValueError(f"`num_views` must be at least 1. Got {self.num_views}.")
        rates = (self.conditioning_dropout, self.text_dropout, self.both_dropout)
        if min(rates) < 0 or sum(rates) > 1:
            raise ValueError(
                "`conditioning_dropout`, `text_dropout` and `both_dropout` must be 0 or more and "
                f"sum to 1 at most. Got {rates}."
            )

    @property
    def views(self) -> int:
        """Views that every photograph is shown in."""
        return self.num_views if self.random_flip or self.crop_scale < 1 else 1

    @property
    def null_conditions(self) -> tuple[str, ...]:
        """What the ControlNet learns to do without, the most frequent first."""
        rates = {
            "hint": self.conditioning_dropout,
            "text": self.text_dropout,
            "both": self.both_dropout,
        }
        return tuple(sorted((k for k, rate in rates.items() if rate), key=lambda k: -rates[k]))


@dataclass(frozen=True, kw_only=True)
class ControlNetRunConfig(TrainingRunConfig):
    """Where results go and how often. Changes no weight."""

    validation_steps: int | None = option(None, "Optimiser steps between validation pictures.")
    num_validation_images: int = option(4, "Sources in a validation picture.")
    id_lists: list[str] = option(
        [],
        "Train one ControlNet for each of these `ids`, such as 1_2 1_4 1_8, in folders of "
        "these names in `output_dir`.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_validation_images < 1:
            raise ValueError(
                f"`num_validation_images` must be at least 1. Got {self.num_validation_images}."
            )
