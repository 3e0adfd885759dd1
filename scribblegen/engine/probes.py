"""Probes: what rows leave beside a prediction, and what later steps may go on from.

A probe hooks into the networks while a call runs, keeps some tensors of every row, and folds them
into what the row's earlier steps kept. It may sum attention maps over all steps, to make masks of
them, or keep the deep features of a step for the next ones to reuse, as `DeepCache` does.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Protocol

from torch import Tensor, nn

from scribblegen.families.base import Condition

CONDITIONAL, UNCONDITIONAL = 0, 1  # the branches of a guided step

Kept = Mapping[str, Tensor]  # of one row, by name


class Use(IntEnum):
    """What a step has to do with a probe. Rows of one call have it in common."""

    PLAIN = 0  # nothing: the denoiser is called as if there were no probe
    PROBED = 1  # the probe is attached while the networks run
    REPLACED = 2  # the probe predicts, from what it kept


class Probe(Protocol):
    """Inherit from it for the defaults: the conditional rows of every step are probed, each step's
    tensors take the place of the last one's, and the image takes them along.

    A probe never changes a prediction of the step that it watches.
    """

    def use(self, step: int, num_steps: int, branch: int) -> Use:
        """How the `step`-th of `num_steps` steps is evaluated for the rows of a branch.

        The first step of a run cannot be `REPLACED`.
        """
        return Use.PROBED if branch == CONDITIONAL else Use.PLAIN

    def attach(
        self, networks: Mapping[str, nn.Module], condition: Condition
    ) -> AbstractContextManager[None]:
        """Hooks for one call, taken off again at the end of the `with` block.

        Args:
            networks: `Family.networks`; a hook sees all B rows of a call, in order.
            condition: what the rows are denoised under, (B, ...) by name. Names that only the probe
                reads, such as which tokens' maps to keep, may be among them.
        """

    def collect(self) -> Mapping[str, Tensor]:
        """What the call inside the last `attach` left, (B, ...) each; the same names every time."""

    def fold(self, kept: Kept | None, new: Kept, step: int) -> Kept:
        """What a row keeps after a step: of `new`, and of what it kept before, None at first.

        Neither is changed: rows that part after a step share what they kept.
        """
        return new

    def finish(self, kept: Kept) -> Kept:
        """What a finished image takes along of what its conditional rows kept."""
        return kept

    def predict(
        self,
        networks: Mapping[str, nn.Module],
        latents: Tensor,
        timesteps: Tensor,
        condition: Condition,
        kept: Mapping[str, Tensor],
    ) -> Tensor:
        """The output for rows of a step that is `REPLACED`, as of `Denoiser.__call__`.

        Args:
            networks: `Family.networks`.
            latents: (B, C, h, w) float32, noisy.
            timesteps: (B,).
            condition: (B, ...) by name.
            kept: what the rows kept, (B, ...) by name.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name} replaces no step")
