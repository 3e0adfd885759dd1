"""The features that a segmentor sees an image by, whatever its architecture."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor


def deepest_features(outputs: Any, size: Sequence[int], config: Any) -> Tensor:
    """The last hidden state of a segmentor's encoder, as a map.

    Args:
        outputs: what the segmentor gave, called with `output_hidden_states=True`.
        size: (H, W) of the image that it saw.
        config: of the segmentor; tokens of a transformer are laid out by its `patch_size`.

    Returns:
        (B, C, h, w).

    Raises:
        ValueError: the segmentor does not say its features, or they cannot be laid out.
    """
    states = getattr(outputs, "hidden_states", None)
    last = states[-1] if states else None
    if last is not None and last.ndim == 4:
        return last
    patch = getattr(config, "patch_size", None)
    if last is not None and last.ndim == 3 and isinstance(patch, int):
        height, width = size[0] // patch, size[1] // patch
        others = last.shape[1] - height * width  # tokens of no place come first
        if height * width > 0 and others >= 0:
            map_: Tensor = last[:, others:].transpose(1, 2).unflatten(2, (height, width))
            return map_
    found = "none" if last is None else f"{tuple(last.shape)} for an image of {tuple(size)}"
    raise ValueError(
        f"`rectification_weight` must be 0 for `architecture` {config.model_type}: it needs "
        f"features (B, C, h, w) or tokens of square patches. Got {found}."
    )
