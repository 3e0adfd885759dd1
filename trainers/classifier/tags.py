"""What a view of an image teaches a classifier of tags."""

import numpy as np
import torch
from torch import Tensor

from scribblegen.classes import IGNORE_INDEX
from scribblegen.seeds import numpy_generator
from scribblegen.segmenting.tags import tags_of
from scribblegen.trainers.segmentation.maps import LABEL
from scribblegen.trainers.segmentation.views import View, Views, as_pixels


def target(image: np.ndarray, view: np.ndarray, num_classes: int, background: int | None) -> Tensor:
    """What a view of an image teaches: (K or K - 1,) int64, 1, 0, or `IGNORE_INDEX` for nothing.

    A class without a stroke anywhere in the image is not there. One whose strokes the view cuts
    off may still be seen, or not: it teaches nothing, nor does an image without any stroke.

    Args:
        image: (H, W) uint8, the strokes of the whole image.
        view: (h, w) uint8, those that the view shows.
    """
    whole = tags_of(image, num_classes, background)
    seen = tags_of(view, num_classes, background)
    taught = np.where(seen, 1, np.where(whole, IGNORE_INDEX, 0))
    if (image == IGNORE_INDEX).all():
        taught[:] = IGNORE_INDEX
    return torch.from_numpy(taught.astype(np.int64))


class TaggedViews(Views):
    """Augmented views: `pixel_values` (3, H, W) uint8, `labels` (K,) int64 as `target` says,
    and `inside` (H, W) bool, where the view shows the image.

    The arguments are those of `Views`; `background` is set after it is made.
    """

    background: int | None = None

    def __getitem__(self, view: View) -> dict[str, Tensor]:
        rng = numpy_generator(self.seed, "view", view.epoch, view.position)
        read = self.read(view.row)
        shown = self.augmentation(read, rng)
        number = len(self.rows.classes)
        return {
            "pixel_values": as_pixels(shown["image"]),
            "labels": target(read[LABEL], shown[LABEL], number, self.background),
            "inside": torch.from_numpy(shown["inside"]),
        }
