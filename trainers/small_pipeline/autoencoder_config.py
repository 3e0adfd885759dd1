"""The options of autoencoder training."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.trainers.base.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(TrainingConfig):
    """A small `AutoencoderKL`, from nothing. Equal configs and sources give equal weights."""

    resolution: int = option(64, "Side of the training square.")
    block_out_channels: list[int] = option(
        [16, 32, 64], "Widths of the levels; each but the last halves the image."
    )
    latent_channels: int = option(4, "Channels of the latents.")
    layers_per_block: int = option(1, "Residual layers of a level.")
    norm_num_groups: int = option(8, "Groups of the normalisation.")
    gradient_weight: float = option(0.5, "Weight of the L1 error of the image's differences.")
    kl_weight: float = option(2e-5, "Weight of the latents' Kullback-Leibler divergence.")

    def __post_init__(self) -> None:
        super().__post_init__()
        odd = [c for c in self.block_out_channels if c % self.norm_num_groups]
        if odd:
            raise ValueError(
                f"`block_out_channels` must be multiples of `norm_num_groups` "
                f"({self.norm_num_groups}). Got {odd[0]}."
            )
        multiple = 2 ** (len(self.block_out_channels) - 1)
        if self.resolution % multiple:
            raise ValueError(
                f"`resolution` must be a multiple of {multiple}. Got {self.resolution}."
            )
