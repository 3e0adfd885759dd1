"""What the engine and the methods know of a model family: its schedule, its networks, its names.

A family is Stable Diffusion, a flow-matching transformer, or whatever else turns noise into
pictures step by step. Nothing outside its own folder knows more of it than what is written here.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from scribblegen.engine.encode_ratio import Timesteps

# What one row is denoised under: tensors by name, without a batch axis. Only the family knows what
# the names mean; a row that lacks one does without what it stands for.
Condition = Mapping[str, Tensor]


class Schedule(Protocol):
    """Noise levels, and what an output of the network means at each: x_t = signal x0 + noise eps.

    Timesteps are whatever the family's network is told: whole numbers, or noise levels themselves.
    """

    def levels(
        self, timesteps: Sequence[float], dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Signal and noise at B timesteps, `FINAL` among them: (B,) each, on the CPU.

        `dtype` is also what they are computed in.
        """

    def clean_and_noise(
        self, noisy: Tensor, output: Tensor, timesteps: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        """x0 and eps that an output stands for; all of them (B, C, h, w) float32."""

    def timesteps(
        self,
        encode_ratio: float,
        num_inference_steps: int,
        *,
        sampler: str = "ddim",
        mode: str = "proportional",
        aligned_start: bool = True,
        pure_noise_at_one: bool = True,
    ) -> Timesteps:
        """The denoising run of an encode ratio, as `engine.encode_ratio.timesteps_of` defines it.

        Raises:
            ValueError: the schedule has no such run.
        """


class Denoiser(Protocol):
    """Evaluates the networks for B rows at once; each row has its own everything."""

    def __call__(
        self,
        latents: Tensor,
        timesteps: Tensor,
        condition: Condition,
        *,
        shared: frozenset[str] | None = None,
    ) -> Tensor:
        """The networks' output.

        Args:
            latents: (B, C, h, w) float32, noisy.
            timesteps: (B,).
            condition: (B, ...) for every name that the rows have; names that the family does not
                know are not looked at. Unless calls are compiled, rows with and without a name may
                come together: zeros stand for a row without it, and must give it the same bits.
            shared: None for rows in any order. Of guided pairs, the second half of `latents` and
                `timesteps` repeats the first, and so do the tensors of these names.

        Returns:
            (B, C, h, w) float32, for `Schedule.clean_and_noise`.
        """

    def observed(self, latents: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        """The same through `Family.networks` as they are: not compiled, no two rows sharing work.

        A hook on any of their modules sees all B rows, in order.
        """


class Family(Protocol):
    """Frozen networks on one device, each as one call of a fixed shape."""

    # `classifier_free`: a guided step has a conditional and an unconditional row. `embedded`: the
    # network is told the guidance scale, as "guidance_scale" () among a row's tensors.
    guidance: Literal["classifier_free", "embedded"]
    device: torch.device
    dtype: torch.dtype
    is_compiled: bool

    @property
    def schedule(self) -> Schedule: ...

    @property
    def denoiser(self) -> Denoiser: ...

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """What `Denoiser.observed` calls, by name: where probes attach."""

    @property
    def size_multiple(self) -> int:
        """Image sides must be a multiple of this many pixels."""

    @property
    def default_resolution(self) -> int:
        """Side, in pixels, of the square images that the networks were trained on."""

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of a (height, width) image."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) in [-1, 1] -> mean and std of the unscaled latents, (B, C, h, w) float32."""

    def sample_latents(self, mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
        """Scaled latents of `encode`'s `mean` and `std`, with `noise` from N(0, 1)."""

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) float32 -> images (B, 3, H, W) float32, nominally in [-1, 1]."""

    def prompt(self, text: str) -> Condition:
        """What a row needs to be told a text."""

    def conditioning(self, image: Tensor, *, scale: float = 1.0) -> Condition:
        """What a row needs to follow a picture (C, H, W) in [0, 1], such as a drawn scribble.

        Args:
            image: of as many pixels as the latents stand for.
            scale: how strongly; 0 is not at all.

        Raises:
            ValueError: the family was opened without the network that follows pictures.
        """

    def fingerprint(self) -> str:
        """Changes with whatever changes a picture: weights, noise levels, dtype."""
