"""A trained segmentor that shows where in an image it sees which class."""

import hashlib
from collections.abc import Collection

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoImageProcessor

from scribblegen.classes import Classes
from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.trainers.classifier.models import outputs_of
from scribblegen.trainers.judge import check_sides
from scribblegen.trainers.segmentation.models import load_segmentor

_OPTION = "pseudo_label_model"


class ClassProbabilities:
    """The probabilities of a segmentor, by the classes of a source.

    Args:
        name: folder or Hub id of a semantic segmentation model and its image processor.
        classes: of the source; found in the model by name, in whatever order it has them and
            whatever else it knows.
        background: the id of the class that is no tag, which it may lack, or None.
        device: that it runs on.

    Raises:
        ValueError: it lacks a class.
        OSError: there is no such model, its weights are pickled, or it cannot be shown a picture.
    """

    def __init__(
        self, name: str, classes: Classes, background: int | None, device: torch.device
    ) -> None:
        self.model = load_segmentor(_OPTION, name).to(device).eval()
        with loading(_OPTION, name, "has no image processor"):
            self.processor = AutoImageProcessor.from_pretrained(name)
        self.outputs = outputs_of(self.model, classes.names, background, option=_OPTION)
        # Processors do not check what their files say; one picture tells, before any work.
        with loading(_OPTION, name, "cannot be shown a picture"):
            check_sides(self.processor)
            self.maps(np.zeros((64, 64, 3), np.uint8), range(len(classes)))

    @torch.inference_mode()
    def maps(self, image: np.ndarray, present: Collection[int]) -> Tensor:
        """(H, W, 3) uint8 and the ids of its classes -> (K, H, W) float32 in [0, 1], on the CPU.

        Each is a share of all that the model knows; those of other classes of the source, and of a
        background that the model lacks, are zero.
        """
        height, width = image.shape[:2]
        seen = self.processor(images=image, return_tensors="pt", input_data_format="channels_last")
        logits = self.model(pixel_values=seen["pixel_values"].to(self.model.device)).logits.float()
        logits = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        asked = {k: o for k, o in enumerate(self.outputs) if o is not None and k in present}
        maps = torch.zeros(len(self.outputs), height, width)
        if asked:
            maps[list(asked)] = torch.softmax(logits, dim=1)[0, list(asked.values())].cpu()
        return maps

    def fingerprint(self) -> str:
        """Changes with any weight, and with how pictures are shown."""
        digest = hashlib.blake2b(self.processor.to_json_string().encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]
