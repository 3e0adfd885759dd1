"""The options of text-to-image training."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.prompt_words import AUTO
from scribblegen.prompts import PROMPT_STEM
from scribblegen.trainers.base.config import TrainingConfig

PREDICTION_TYPES = ("epsilon", "v_prediction")


@dataclass(frozen=True, kw_only=True)
class TextToImageConfig(TrainingConfig):
    """A small latent diffusion pipeline over a trained autoencoder.

    Equal configs and sources give equal weights.
    """

    pretrained_model_name_or_path: str | None = option(
        None,
        "Folder or Hub id of a pipeline to go on from, of the sizes below; from nothing if unset. "
        "Where its UNet has no attention and the options ask for it, it adds nothing at first.",
    )
    vae_model_name_or_path: str | None = option(
        None, "Folder of the autoencoder, which stays frozen; that of the pipeline if unset."
    )
    resolution: int = option(64, "Side of the training square.")
    block_out_channels: list[int] = option(
        [64, 96, 96], "Widths of the UNet's levels, the finest first."
    )
    first_attending_level: int = option(
        1, "The finest level that attends to the text, counted from 0; all below it do too."
    )
    first_self_attending_level: int = option(
        0, "The finest level whose places attend to each other; finer ones to the text alone."
    )
    layers_per_block: int = option(1, "Residual layers of a level.")
    norm_num_groups: int = option(16, "Groups of the normalisation.")
    attention_heads: int = option(4, "Heads of every attention.")
    text_width: int = option(96, "Width of the text encoder.")
    text_layers: int = option(
        2, "Layers of the text encoder; without any, each word is told by itself."
    )
    text_length: int = option(40, "Tokens of a prompt, first and last included.")
    prediction_type: str = option("v_prediction", "epsilon or v_prediction.")
    snr_gamma: float | None = option(5.0, "Clamp of Min-SNR loss weighting; none if unset.")
    text_dropout: float = option(0.1, "Probability to drop the caption.")
    class_prompts: float = option(
        0.0,
        "Share of draws whose prompt is the stem and the class names in place of the caption; "
        "with 1 no captions are needed.",
    )
    prompt_stem: str = option(PROMPT_STEM, "First words of those prompts.")
    grounding_weight: float = option(
        0.0,
        "Weight of the loss that teaches cross-attention, at the two finest levels that have it, "
        "where the words of each class are, by the scribbles; 0: attention is left to itself.",
    )
    prompt_words: str = option(
        AUTO, "What names each class in captions, for that loss; as source prompts has it."
    )
    random_flip: bool = option(False, "Mirror every second draw of a photograph.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prediction_type not in PREDICTION_TYPES:
            raise ValueError(
                f"`prediction_type` must be one of {PREDICTION_TYPES}. "
                f"Got {self.prediction_type!r}."
            )
        for name in ("first_attending_level", "first_self_attending_level"):
            if not 0 <= getattr(self, name) < len(self.block_out_channels):
                raise ValueError(
                    f"`{name}` must be one of the levels of `block_out_channels`, 0 to "
                    f"{len(self.block_out_channels) - 1}. Got {getattr(self, name)}."
                )
        if self.grounding_weight < 0:
            raise ValueError(f"`grounding_weight` must be at least 0. Got {self.grounding_weight}.")
        for name in ("text_dropout", "class_prompts"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Got {getattr(self, name)}.")
