"""A trained classifier that shows where in an image it sees which class."""

import hashlib
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor
from transformers import AutoImageProcessor

from scribblegen.classes import Classes
from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.segmenting.activation_maps import activation_maps, resized
from scribblegen.trainers.classifier.models import below_the_mean, load_classifier, outputs_of


class ClassMaps:
    """The activation maps of a classifier, by the classes of a source.

    Args:
        name: folder or Hub id of a classifier and its image processor.
        classes: of the source; found in the classifier by name, in whatever order it has them.
        background: the id of the class that is no tag, or None.
        device: that it runs on.

    Raises:
        ValueError: it lacks a class, or shows no maps.
        OSError: there is no such model, or its weights are pickled.
    """

    def __init__(
        self, name: str, classes: Classes, background: int | None, device: torch.device
    ) -> None:
        self.model = load_classifier("classifier", name).to(device).eval()
        with loading("classifier", name, "has no image processor"):
            self.processor = AutoImageProcessor.from_pretrained(name)
        self.outputs = outputs_of(self.model, classes.names, background, option="classifier")
        self.features, self.weight = below_the_mean(self.model, option="classifier")
        shown = [self.processor.image_mean, self.processor.image_std]
        self._mean, self._std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in shown)
        size = self.processor.size
        self._side = size.get("shortest_edge") or min(size.get("height", 0), size.get("width", 0))

    @torch.inference_mode()
    def maps(self, image: np.ndarray, present: Collection[int]) -> Tensor:
        """(H, W, 3) uint8 and the ids of its classes -> (K, H, W) float32 in [0, 1], on the CPU.

        The maps of all other classes, and of a background that it was not taught, are zero.
        """
        height, width = image.shape[:2]
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(self._mean.device)
        factor = (self._side or min(height, width)) / min(height, width)
        size = [max(1, round(side * factor)) for side in (height, width)]
        shown = resized((pixels.float() / 255 - self._mean) / self._std, size)
        asked = {k: o for k, o in enumerate(self.outputs) if o is not None and k in present}
        tags = torch.zeros(1, len(self.weight), dtype=torch.bool, device=shown.device)
        tags[0, list(asked.values())] = True
        found = activation_maps(self.features, self.weight, shown, tags)
        maps = torch.zeros(len(self.outputs), height, width)
        if asked:
            own = resized(found[:, list(asked.values())], (height, width))[0]
            maps[list(asked)] = own.cpu()
        return maps

    def fingerprint(self) -> str:
        """Changes with any weight, and with how pictures are shown."""
        digest = hashlib.blake2b(self.processor.to_json_string().encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]
