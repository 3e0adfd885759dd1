"""A trained affinity network that spreads maps over an image."""

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoImageProcessor

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.segmenting.affinity import affinity_matrix
from scribblegen.segmenting.propagation import random_walk
from scribblegen.trainers.affinity.models import load_affinity_network
from scribblegen.trainers.affinity.network import MOST_CELLS
from scribblegen.trainers.segmentation.views import as_pixels

_OPTION = "affinity_model"


class AffinityWalk:
    """The random walk over the affinities of an image. Any number of threads may ask at once.

    Args:
        name: folder or Hub id of an affinity network and its image processor.
        device: that it runs on.

    Raises:
        ValueError: it is another kind of model.
        OSError: there is no such model, its weights are pickled, or its grid is too fine.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.network = load_affinity_network(_OPTION, name).to(device).eval()
        with loading(_OPTION, name, "has no image processor"):
            self.processor = AutoImageProcessor.from_pretrained(name)
            shown = [self.processor.image_mean, self.processor.image_std]
            self._mean, self._std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in shown)
        config = self.network.config
        with loading(_OPTION, name, "cannot be walked over"):
            if not config.stride <= config.side <= MOST_CELLS * config.stride:
                raise ValueError(
                    f"`side` in its config.json must be 1 to {MOST_CELLS} times `stride`. Got "
                    f"{config.side} and {config.stride}."
                )
            self.spread(np.zeros((64, 64, 3), np.uint8), torch.zeros(1, 64, 64))

    @torch.inference_mode()
    def spread(self, image: np.ndarray, maps: Tensor) -> Tensor:
        """Each place takes the mean of those that it belongs with; what is alike all over stays.

        Args:
            image: (H, W, 3) uint8.
            maps: (K, H, W) float, not negative.

        Returns:
            (K, H, W) float32, on the CPU.
        """
        pixels = as_pixels(image)[None].to(self._mean.device)
        shown = self.network.shown((pixels.float() / 255 - self._mean) / self._std)
        features = self.network(pixel_values=shown).features[0]
        affinity = affinity_matrix(features, self.network.config.radius)
        small = F.interpolate(maps[None].to(affinity.device), features.shape[-2:], mode="area")
        walked = random_walk(small[0], affinity)
        return F.interpolate(walked[None], maps.shape[-2:], mode="bilinear", align_corners=False)[
            0
        ].cpu()

    def fingerprint(self) -> str:
        """Changes with any weight, with the grid, and with how pictures are shown."""
        config = self.network.config
        digest = hashlib.blake2b(self.processor.to_json_string().encode())
        digest.update(f"{config.stride} {config.side} {config.radius}".encode())
        add_weights(digest, self.network)
        return digest.hexdigest()[:16]
