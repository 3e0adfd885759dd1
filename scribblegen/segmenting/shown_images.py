"""How detectors and segmenters are shown an image: resized, padded, normalised.

The same here as in the image processors of transformers, some of which need torchvision; so what a
network sees does not depend on what else is installed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers.image_processing_base import ImageProcessingMixin

from scribblegen.families.loading_errors import loading
from scribblegen.text_files import shown

MOST_SIDE = 8192  # pixels of a picture, as a network sees it


@dataclass(frozen=True)
class Normalisation:
    """Of the channels of an image in [0, 1]: `(image - mean) / std`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not (len(self.mean) == len(self.std) == 3 and min(self.std) > 0):
            raise ValueError(
                "`image_mean` and `image_std` must be three numbers each, the latter above 0. Got "
                f"{shown(self.mean)} and {shown(self.std)}."
            )

    def __call__(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 -> (1, 3, H, W) float32."""
        pixels = torch.tensor(image).permute(2, 0, 1)[None]
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return (pixels.float() / 255 - mean) / std


def read_processor(option: str, name: str) -> tuple[dict[str, Any], Normalisation]:
    """What a model's folder says of how it is shown images.

    Args:
        option: that names it, for errors.
        name: folder or Hub id.

    Returns:
        All of it, and the normalisation.

    Raises:
        OSError: there is none, or it is no normalisation.
    """
    with loading(option, name, "has no image processor"):
        found, _ = ImageProcessingMixin.get_image_processor_dict(name)
        mean, std = (
            tuple(float(v) for v in found.get(key) or ()) for key in ("image_mean", "image_std")
        )
        return found, Normalisation(mean, std)  # type: ignore[arg-type]  # it checks them itself


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (height, width, 3) uint8, bilinear; what is reduced is averaged."""
    if image.shape[:2] == (height, width):
        return image
    picture = Image.fromarray(image)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def longest_side(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width with the longer side `longest` and the same shape."""
    scale = longest / max(size)
    height, width = (max(1, int(side * scale + 0.5)) for side in size)
    return height, width


def shortest_side(size: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """Height and width with the shorter side `shortest`, or less where the longer one would be
    more than `longest`."""
    scale = min(shortest / min(size), longest / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def padded(image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8, black below and to the right."""
    square = np.zeros((side, side, 3), np.uint8)
    square[: image.shape[0], : image.shape[1]] = image
    return square
