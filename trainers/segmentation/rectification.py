"""The localisation rectification module (LoRM) of CDSP (arXiv 2402.17555).

Features of an object should be what its other pixels say: every foreground feature is drawn to the
mean of all features, weighed by similarity. It takes part in training alone; no segmentor holds it.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from scribblegen.classes import IGNORE_INDEX

MASK_RESIZES = ("nearest", "bilinear")
_SIMILARITIES_AT_ONCE = 1 << 22  # 16 MB
_BACKGROUND = 0


class LocalizationRectification(nn.Module):
    """The loss of features against their rectified selves, over any backbone.

    Args:
        channels: of the features; those of the first call if None, which makes the weights then.
        temperature: that similarities, cosines, are divided by.
        mask_background: see `rectification_loss`.
    """

    def __init__(
        self,
        channels: int | None = None,
        *,
        temperature: float = 1.0,
        mask_background: bool = False,
    ) -> None:
        super().__init__()
        self.temperature, self.mask_background = temperature, mask_background
        self.gamma = nn.Parameter(torch.ones(()))
        self.query: nn.Linear | None = None
        self.key: nn.Linear | None = None
        if channels is not None:
            self.make_weights(channels)

    def make_weights(self, channels: int) -> None:
        """Makes the weights for features of so many channels, where there are none yet."""
        if self.query is None:
            self.query, self.key = (
                nn.Linear(channels, channels, device=self.gamma.device) for _ in range(2)
            )
            for layer in (self.query, self.key):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, foreground: Tensor, valid: Tensor | None = None) -> Tensor:
        """The loss, see `rectification_loss`; in float32 whatever the network computes in.

        Args:
            features: (B, C, h, w).
            foreground: (B, h, w) bool.
            valid: (B, h, w) bool; all if None.
        """
        self.make_weights(features.shape[1])
        assert self.query is not None and self.key is not None
        # Sums over thousands of channels and positions leave the range of float16.
        with torch.autocast(features.device.type, enabled=False):
            positions = features.float().flatten(2).transpose(1, 2)
            return rectification_loss(
                positions,
                self.query(positions),
                self.key(positions),
                self.gamma,
                foreground.flatten(1),
                valid=None if valid is None else valid.flatten(1),
                temperature=self.temperature,
                mask_background=self.mask_background,
            )


def rectification_loss(
    features: Tensor,
    queries: Tensor,
    keys: Tensor,
    gamma: Tensor,
    foreground: Tensor,
    *,
    valid: Tensor | None = None,
    temperature: float = 1.0,
    mask_background: bool = False,
    at_once: int = _SIMILARITIES_AT_ONCE,
) -> Tensor:
    """Mean square of features minus `gamma` times the mean that their similarities weigh.

    Similarities are made for some queries at a time and again in the backward pass: memory grows
    with the number of positions N, not with its square. Inputs are not changed.

    Args:
        features, queries, keys: (B, N, C); the features are the values too.
        gamma: scalar.
        foreground: (B, N) bool. The background is rectified to zero: its features are drawn there.
        valid: (B, N) bool, False on padding, which takes no part at all; all if None.
        temperature: that cosines are divided by.
        mask_background: let the background take no part at all.
        at_once: similarities that are held.

    Returns:
        Scalar, float32: the sum over positions and channels, over the number of squares that are
        not zero; zero, with a gradient of zeros, where nothing takes part.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"`temperature` must be a positive number. Got {temperature}.")
    taking = torch.ones_like(foreground) if valid is None else valid
    if mask_background:
        taking = taking & foreground
    sums, counts = [], []
    for image, places in enumerate(taking):
        x, q, k = (of[image][places] for of in (features, queries, keys))
        q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
        rectified = foreground[image][places]
        squares = x[~rectified].square()
        sums.append(squares.sum())
        counts.append((squares.detach() != 0).sum())
        for rows in rectified.nonzero()[:, 0].split(max(1, at_once // max(1, len(x)))):
            part, count = checkpoint(
                _squares_of,
                x[rows],
                q[rows] / temperature,
                k,
                x,
                gamma,
                use_reentrant=False,
                preserve_rng_state=False,
            )
            sums.append(part)
            counts.append(count)
    return torch.stack(sums).sum() / torch.stack(counts).sum().clamp(min=1)


def _squares_of(
    features: Tensor, queries: Tensor, keys: Tensor, values: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor]:
    """Sum, and number of those that are not zero, of the squares of some rows."""
    attention = torch.softmax(queries @ keys.T, dim=1)
    squares = (features - gamma * (attention @ values)).square()
    return squares.sum(), (squares.detach() != 0).sum()


def foreground_at(pseudo_label: Tensor, size: Sequence[int], resize: str = "nearest") -> Tensor:
    """Where the features of a pseudo label's objects are, all classes merged.

    Args:
        pseudo_label: (B, H, W) int64; `IGNORE_INDEX` is background.
        size: (h, w) of the features.
        resize: nearest, of what is an object; or bilinear, of the class ids themselves, as the
            reference does, which dilates objects a little.

    Returns:
        (B, h, w) bool.
    """
    ids = torch.where(pseudo_label == IGNORE_INDEX, _BACKGROUND, pseudo_label)
    if resize == "nearest":
        return at_features(ids != _BACKGROUND, size)
    values = F.interpolate(
        ids[:, None].float(), size=tuple(size), mode="bilinear", align_corners=True
    )
    return values[:, 0] > 0


def at_features(places: Tensor, size: Sequence[int]) -> Tensor:
    """(B, H, W) bool -> (B, h, w) bool: what lies in the middle of every feature."""
    return F.interpolate(places[:, None].float(), size=tuple(size), mode="nearest-exact")[:, 0] > 0
