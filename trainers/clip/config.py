"""The options of training a pair of encoders."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.trainers.base.config import TrainingConfig

_SHARES = ("class_prompts", "regions")
_POSITIVE = ("patch_size", "vision_layers", "text_layers", "attention_heads", "projection_dim")


@dataclass(frozen=True, kw_only=True)
class ClipConfig(TrainingConfig):
    """A small `CLIPModel` (arXiv 2103.00020), from nothing.

    Equal configs and sources give equal weights, with as many processes.
    """

    train_batch_size: int = option(
        64, "Samples of a process in one call, which are told apart from each other."
    )
    resolution: int = option(64, "Side of the training square.")
    patch_size: int = option(8, "Pixels of a patch's side.")
    vision_width: int = option(128, "Width of the image encoder.")
    vision_layers: int = option(4, "Layers of the image encoder.")
    text_width: int = option(96, "Width of the text encoder.")
    text_layers: int = option(2, "Layers of the text encoder.")
    text_length: int = option(40, "Tokens of a text, first and last included.")
    attention_heads: int = option(4, "Heads of every attention.")
    projection_dim: int = option(96, "Width of the space of both.")
    class_prompts: float = option(
        0.3,
        "Share of whole photographs whose text is the stem and the class names in place of the "
        "caption; with 1 no captions are needed.",
    )
    prompt_stem: str = option("a photo", "First words of those texts.")
    regions: float = option(
        0.5,
        "Share of draws that show a part of the photograph, with the stem and the names of the "
        "classes that its label has there as the text.",
    )
    region_scale: float = option(0.2, "Sides of such a part, at least this share of the whole.")
    patch_weight: float = option(
        0.5,
        "Weight of the same loss on the mean of the patches' features, beside that on the image's "
        "own: patches are then of the classes that they show.",
    )
    random_flip: bool = option(True, "Mirror half of the draws.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train_batch_size < 2:
            raise ValueError(
                "`train_batch_size` must be at least 2: samples of a call are told apart from each "
                f"other. Got {self.train_batch_size}."
            )
        for name in _POSITIVE:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Got {getattr(self, name)}.")
        if not 0 < self.region_scale <= 1:
            raise ValueError(f"`region_scale` must be in (0, 1]. Got {self.region_scale}.")
        if not self.patch_weight >= 0:
            raise ValueError(f"`patch_weight` must be at least 0. Got {self.patch_weight}.")
        if self.resolution < self.patch_size or self.resolution % self.patch_size:
            raise ValueError(
                f"`resolution` must be a multiple of `patch_size` ({self.patch_size}). "
                f"Got {self.resolution}."
            )
        for name in ("vision_width", "text_width"):
            width = getattr(self, name)
            if width < self.attention_heads or width % self.attention_heads:
                raise ValueError(
                    f"`{name}` must be a multiple of `attention_heads` ({self.attention_heads}). "
                    f"Got {width}."
                )
