"""How pictures are shown to a segmentor: as its weights were shown them."""

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
    option, name = "model_name_or_path", config.model_name_or_path
    if config.backbone is not None:
        option, name = OPTION, backbone_folder(config.backbone)
    if name is None:
        return SegformerImageProcessor(image_mean=_UNTRAINED, image_std=_UNTRAINED, **shown)
    with loading(option, name, "has no image processor"):
        theirs = AutoImageProcessor.from_pretrained(name)
    return SegformerImageProcessor(
        image_mean=theirs.image_mean, image_std=theirs.image_std, **shown
    )
