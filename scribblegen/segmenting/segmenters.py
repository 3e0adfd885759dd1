"""Segmenters that turn a box into a mask: SAM (arXiv 2304.02643) and SAM 2 (arXiv 2408.00714).

For a box they offer three masks, of a part, a thing, a group; one is chosen.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoConfig, Sam2Model, SamModel

from scribblegen.families.fingerprint import add_weights
from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import load_weights
from scribblegen.segmenting.shown_images import (
    Normalisation,
    longest_side,
    read_processor,
    resized,
)

MASK_CHOICES = ("stability", "predicted_iou", "single")
_BOXES_AT_ONCE = 32  # memory does not grow with the boxes of an image
_OFFSET = 1.0  # of mask logits, between which a stable mask does not change


class Segmenter(Protocol):
    """Makes masks of boxes."""

    def segment(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """The mask of what each box is around.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) left, top, right, bottom in pixels; N may be 0.

        Returns:
            (N, H, W) bool.

        Raises:
            ValueError: `boxes` are not (N, 4) finite numbers.
        """
        ...

    def fingerprint(self) -> str:
        """Changes with any weight, with how images are shown, and with how masks are chosen."""
        ...


@dataclass(frozen=True)
class _Kind:
    """An architecture: its network, and whether images are squashed into its square."""

    network: type[Any]
    squashes: bool


_KINDS = {
    "sam": _Kind(SamModel, False),
    "sam2": _Kind(Sam2Model, True),
    "sam2_video": _Kind(Sam2Model, True),  # as published: its tracker's weights are left out
}
SEGMENTERS = ("sam", "sam2")


class BoxSegmenter:
    """A `Segmenter`; see there.

    Args:
        model: a `SamModel` or `Sam2Model` in its evaluation mode, on its device.
        normalisation: of images.
        squashes: images fill the network's square whatever their shape; else they keep it, and the
            rest of the square is 0.
        mask_choice: one of `MASK_CHOICES`, see `chosen_masks`.
    """

    def __init__(
        self, model: Any, normalisation: Normalisation, *, squashes: bool, mask_choice: str
    ) -> None:
        self.model, self.normalisation = model, normalisation
        self.squashes, self.mask_choice = squashes, mask_choice
        self.side = int(model.prompt_encoder.input_image_size)

    @torch.inference_mode()
    def segment(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """See `Segmenter.segment`."""
        boxes = np.asarray(boxes, np.float32)
        if boxes.size == 0:
            return np.zeros((0, *image.shape[:2]), bool)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
            raise ValueError(f"`boxes` must be (N, 4) finite numbers. Got {boxes.shape}.")
        device, size = self.model.device, image.shape[:2]
        inside = (self.side, self.side) if self.squashes else longest_side(size, self.side)
        seen = self.normalisation(resized(image, *inside))
        seen = F.pad(seen, (0, self.side - inside[1], 0, self.side - inside[0]))
        embeddings = self.model.get_image_embeddings(seen.to(device))
        scale = np.array([inside[1] / size[1], inside[0] / size[0]] * 2, np.float32)
        prompts = torch.from_numpy(boxes * scale)[None].to(device)  # (1, N, 4)
        masks = []
        for some in prompts.split(_BOXES_AT_ONCE, dim=1):
            outputs = self.model(
                input_boxes=some,
                image_embeddings=embeddings,
                multimask_output=self.mask_choice != "single",
            )
            logits = chosen_masks(
                outputs.pred_masks[0].float(), outputs.iou_scores[0].float(), self.mask_choice
            )
            masks += [self._full_size(one, inside, size) for one in logits]
        return np.stack(masks)

    def fingerprint(self) -> str:
        """See `Segmenter.fingerprint`."""
        shown_as = (self.normalisation, self.squashes, self.mask_choice)
        digest = hashlib.blake2b(repr(shown_as).encode())
        add_weights(digest, self.model)
        return digest.hexdigest()[:16]

    def _full_size(
        self, logits: Tensor, inside: tuple[int, int], size: tuple[int, int]
    ) -> np.ndarray:
        """(h, w) logits of the network's square -> (H, W) bool."""
        grown = logits[None, None]
        if not self.squashes:
            grown = _bilinear(grown, (self.side, self.side))[..., : inside[0], : inside[1]]
        found: np.ndarray = (_bilinear(grown, size)[0, 0] > 0).cpu().numpy()
        return found


def chosen_masks(logits: Tensor, predicted_iou: Tensor, mask_choice: str) -> Tensor:
    """One of the masks that are offered for each box.

    Args:
        logits: (N, M, h, w); a mask is where they are above 0.
        predicted_iou: (N, M), what the network itself thinks of them.
        mask_choice: `predicted_iou`: the one that it thinks best of. `stability`: the one for which
            that times its stability is greatest; the stability of a mask is the intersection over
            union of the masks at a higher and at a lower threshold. `single`: the first.

    Returns:
        (N, h, w) logits; the first of those that are equally good.

    Raises:
        ValueError: `mask_choice` is another.
    """
    if mask_choice not in MASK_CHOICES:
        raise ValueError(f"`mask_choice` must be one of {MASK_CHOICES}. Got {mask_choice!r}.")
    if mask_choice == "single":
        return logits[:, 0]
    worth = predicted_iou
    if mask_choice == "stability":
        smaller = (logits > _OFFSET).sum(dim=(2, 3))
        larger = (logits > -_OFFSET).sum(dim=(2, 3))
        worth = predicted_iou.clamp(min=0) * smaller / larger.clamp(min=1)
    best = worth.argmax(dim=1)
    return logits[torch.arange(len(logits), device=logits.device), best]


def open_segmenter(name: str, device: torch.device, *, mask_choice: str = "stability") -> Segmenter:
    """A segmenter with its weights, ready to look at images.

    Args:
        name: folder or Hub id of a model of one of `SEGMENTERS`, with its image processor.
        device: that it runs on.
        mask_choice: which of the masks of a box is taken, one of `MASK_CHOICES`; see
            `chosen_masks`. MagicSeg as published has `single`.

    Raises:
        ValueError: it is another kind of model, or `mask_choice` is none.
        OSError: it cannot be loaded, its weights are pickled, or not all there.
    """
    if mask_choice not in MASK_CHOICES:
        raise ValueError(f"`mask_choice` must be one of {MASK_CHOICES}. Got {mask_choice!r}.")
    with loading("segmenter", name):
        kind = AutoConfig.from_pretrained(name).model_type
    if kind not in _KINDS:
        raise ValueError(
            f"`segmenter` must be a model of one of {list(SEGMENTERS)}. Got {name}, a {kind}."
        )
    model = load_weights(_KINDS[kind].network, "segmenter", name, dtype="float32")
    _, normalisation = read_processor("segmenter", name)
    return BoxSegmenter(
        model.to(device).eval(),
        normalisation,
        squashes=_KINDS[kind].squashes,
        mask_choice=mask_choice,
    )


def _bilinear(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
