"""How pictures are shown to a network: as its weights were shown them."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoImageProcessor, SegformerImageProcessor

from scribblegen.families.loading_errors import loading
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.packaged_backbones import OPTION, backbone_folder

_UNTRAINED = (0.5, 0.5, 0.5)  # mean and deviation of a network that was never shown a picture


def open_processor(config: SegmentationConfig) -> Any:
    """What brings a picture into the form that the segmentor was trained on, saved beside it."""
    size = config.crop_size if config.eval_size is None else config.eval_size
    shown: dict[str, Any] = {"do_resize": bool(size), "do_reduce_labels": False}
    if size:
        # One square where a window of fixed size slides: pipelines have no windows.
        shown["size"] = (
            {"height": size, "width": size} if config.eval_window else {"shortest_edge": size}
        )
    mean, std = shown_statistics(config.backbone, config.model_name_or_path)
    return SegformerImageProcessor(image_mean=mean, image_std=std, **shown)


def crop_processor(backbone: str | None, model_name_or_path: str | None, crop_size: int) -> Any:
    """What brings a picture into the form that a network was trained on in crops."""
    mean, std = shown_statistics(backbone, model_name_or_path)
    return SegformerImageProcessor(
        image_mean=mean,
        image_std=std,
        size={"shortest_edge": crop_size},
        do_reduce_labels=False,
    )


def shown_statistics(
    backbone: str | None, model_name_or_path: str | None
) -> tuple[Sequence[float], Sequence[float]]:
    """(mean, deviation) of the channels, of values in [0, 1], that a network is shown pictures by.

    Raises:
        OSError: it has no image processor that says them.
    """
    option, name = "model_name_or_path", model_name_or_path
    if backbone is not None:
        option, name = OPTION, backbone_folder(backbone)
    if name is None:
        return _UNTRAINED, _UNTRAINED
    with loading(option, name, "has no image processor"):
        theirs = AutoImageProcessor.from_pretrained(name)
    return theirs.image_mean, theirs.image_std
