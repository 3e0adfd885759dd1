"""Another segmentor that looks at twins: does it find their scribble in their picture?"""

import hashlib
import itertools
from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.text_files import shown
from scribblegen.trainers.segmentation.models import load_segmentor

_MOST_SIDE = 8192  # pixels of a picture, as a network sees it


class Judge:
    """A trained segmentor, shown pictures as its own image processor says.

    Args:
        name: folder or Hub id of a semantic segmentation model and its processor.
        classes: that it must know, in this order; case and spaces of names do not matter.
        device: that it runs on.
        option: what names it, for errors.

    Raises:
        ValueError: it knows other classes.
        OSError: there is no such model, its weights are pickled, or it cannot be shown a picture.
    """

    def __init__(
        self,
        name: str,
        classes: Classes,
        device: torch.device,
        *,
        option: str = "agreement_model",
    ) -> None:
        self.model = load_segmentor(option, name).to(device).eval()
        with loading(option, name, "has no image processor"):
            self.processor = AutoImageProcessor.from_pretrained(name)
        config = self.model.config
        names = [config.id2label.get(i) for i in range(config.num_labels)]
        pairs = enumerate(itertools.zip_longest(classes.names, names))
        differing = [
            f"{i}: {shown(a)} and {shown(b)}" for i, (a, b) in pairs if _letters(a) != _letters(b)
        ]
        if differing:
            raise ValueError(
                f"`{option}` must know the {len(classes)} classes of the photographs, in "
                f"their order. With {name} {len(differing)} differ: {', '.join(differing[:3])}"
                f"{', ...' if len(differing) > 3 else ''}."
            )
        # Processors do not check what their files say; one picture tells, before any work.
        with loading(option, name, "cannot be shown a picture"):
            check_sides(self.processor)
            self.agreement(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))

    def agreement(self, image: np.ndarray, label: np.ndarray) -> float:
        """The share of labelled pixels of which it says the same.

        Args:
            image: (H, W, 3) uint8.
            label: (H, W) uint8 class ids, `IGNORE_INDEX` where nobody drew.
        """
        return share_found(self.found(image, label.shape), label)

    @torch.inference_mode()
    def found(self, image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """The classes that it sees.

        Args:
            image: (H, W, 3) uint8.
            size: height and width of what is asked for.

        Returns:
            Class ids of that size, int64.
        """
        seen = self.processor(images=image, return_tensors="pt", input_data_format="channels_last")
        outputs = self.model(pixel_values=seen["pixel_values"].to(self.model.device))
        (found,) = self.processor.post_process_semantic_segmentation(outputs, [size])
        classes: np.ndarray = found.cpu().numpy()
        return classes

    def fingerprint(self) -> str:
        """Changes with any weight, and with how pictures are shown."""
        digest = hashlib.blake2b(self.processor.to_json_string().encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]


def check_sides(processor: Any) -> None:
    """Refuses pictures that no memory holds, before one is made."""
    for option in ("size", "crop_size"):
        sides = dict(getattr(processor, option, None) or {})
        if any(isinstance(side, int | float) and side > _MOST_SIDE for side in sides.values()):
            raise ValueError(
                f"`{option}` of its processor must be at most {_MOST_SIDE}. Got {shown(sides)}."
            )


def _letters(name: object) -> str:
    """As much of a class name as all spell alike: `dining table` is `diningtable`."""
    return "".join(filter(str.isalnum, str(name or "").casefold()))


def share_found(found: np.ndarray, label: np.ndarray) -> float:
    """The share of labelled pixels at which two maps (H, W) agree; 1 where none is labelled."""
    drawn = label != IGNORE_INDEX
    return float((found == label)[drawn].mean()) if drawn.any() else 1.0
