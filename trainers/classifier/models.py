"""Classifiers by name, of transformers and ours, and the maps that their logits are the mean of."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import NOTHING, Allowed, load_weights
from scribblegen.trainers.classifier.small_classifier import (
    SmallClassifierConfig,
    SmallClassifierForImageClassification,
)
from scribblegen.trainers.segmentation.bare_config import bare_config
from scribblegen.trainers.segmentation.efficientnet_lite import EfficientNetLiteConfig
from scribblegen.trainers.segmentation.packaged_backbones import OPTION, backbone_folder

SMALL = "small"
_PROBED_SIDE = 64  # of the picture on which is seen whether a network has such maps


def open_classifier(
    names: Sequence[str],
    *,
    model_name_or_path: str | None = None,
    backbone: str | None = None,
    architecture: str | None = None,
    output_stride: int = 16,
    seed: int = 0,
) -> PreTrainedModel:
    """A classifier with one output for every tag, of which an image may have any number.

    Args:
        names: the tags, in the order of the outputs.
        model_name_or_path: pretrained classifier or backbone; a head of the same tags is kept, in
            the order of `names`; one of another number of tags is made anew.
        backbone: pretrained network under a head that is always made anew: a name of
            `PACKAGED_BACKBONES`, or folder or Hub id.
        architecture: `small`, or a model type such as `resnet`.
        output_stride: pixels per feature of an EfficientNet-Lite `backbone`, 8, 16 or 32; others
            keep their own.
        seed: what weights that are not pretrained are drawn from.

    Raises:
        ValueError: both pretrained weights are given, the architecture is unknown, or not that of
            the pretrained weights, or its logits are no linear function of the mean of a map.
        OSError: the pretrained weights cannot be loaded.
    """
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
        "problem_type": "multi_label_classification",
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if backbone is not None:
            if model_name_or_path is not None:
                raise ValueError(
                    f"`{OPTION}` must not be given with `model_name_or_path`: one of them says "
                    f"what training begins with. Got {backbone} and {model_name_or_path}."
                )
            return _over_backbone(backbone, architecture, labels, output_stride)
        if model_name_or_path is None:
            model = _untrained(architecture or SMALL, labels)
        else:
            option = "model_name_or_path"
            saved = _saved_config(option, model_name_or_path, architecture)
            allowed = _allowed(saved, len(names))
            model = load_classifier(option, model_name_or_path, allowed=allowed, **labels)
            _reorder_head(model, [saved.id2label.get(k) for k in range(saved.num_labels)], names)
    below_the_mean(model)
    return model


def _reorder_head(model: PreTrainedModel, saved: Sequence[Any], names: Sequence[str]) -> None:
    """Brings a head of the same tags into their new order; one of others is left as it is."""
    if list(saved) == list(names) or set(saved) != set(names):
        return
    head = _linear(model)
    if head is None:
        return
    order = [saved.index(name) for name in names]
    with torch.no_grad():
        head.weight.copy_(head.weight[order].clone())
        if head.bias is not None:
            head.bias.copy_(head.bias[order].clone())


def load_classifier(
    option: str, name: str, *, allowed: Allowed = NOTHING, **settings: Any
) -> PreTrainedModel:
    """A saved classifier, of transformers or ours, from a folder or the Hub.

    Args:
        option: the option that names it, for errors.
        name: folder or Hub id.
        allowed: in what its file and the classifier may differ.
        settings: entries of its config.

    Raises:
        OSError: it cannot be loaded, its weights are pickled, or not all there.
    """
    model: PreTrainedModel = load_weights(
        AutoModelForImageClassification, option, name, allowed=allowed, **settings
    )
    return model


def outputs_of(
    model: PreTrainedModel, names: Sequence[str], background: int | None, *, option: str
) -> list[int | None]:
    """Which output of a classifier is which class, by name: their orders may differ.

    Args:
        model: whose `id2label` names its outputs.
        names: the classes of a source, in id order.
        background: the id of the class that is no tag, or None.
        option: the option that names the classifier, for errors.

    Returns:
        (K,): the output of every class, None for the background where it has none.

    Raises:
        ValueError: the classifier does not know a class; the message has those that it knows.
    """
    known = {str(name): int(number) for number, name in model.config.id2label.items()}
    missing = [n for k, n in enumerate(names) if n not in known and k != background]
    if missing:
        raise ValueError(
            f"`{option}` must know every class of the source. It lacks {missing}; it knows "
            f"{sorted(known)}. Train one on this source, or rename the classes of either."
        )
    return [known.get(name) for name in names]


def below_the_mean(
    model: PreTrainedModel, *, option: str = "model_name_or_path"
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The map (B, 3, H, W) -> (B, C, h, w) that a classifier takes the mean of, and the weights
    (K, C) over that mean: its logits are both, and a bias.

    ConvNeXt normalises after the mean; its map is normalised place by place, as is usual.

    Args:
        model: the classifier.
        option: the option that names it, for errors.

    Raises:
        ValueError: the model is built otherwise; a transformer that classifies by one token is.
    """
    linear = _linear(model)
    if linear is not None:
        below = _map_of(model)
        norm = getattr(getattr(model, model.base_model_prefix, None), "layernorm", None)
        is_map, is_mean = _probed(model, below, linear)
        if is_mean:
            return below, linear.weight
        if is_map and isinstance(norm, nn.LayerNorm):
            return lambda images: norm(below(images).movedim(1, -1)).movedim(-1, 1), linear.weight
    raise ValueError(
        f"`{option}` must be a classifier over the mean of a map, such as ResNet, ConvNeXt, "
        f"SegFormer or MobileNetV2: only they show where they see a class. Got a "
        f"{type(model).__name__}."
    )


def _linear(model: PreTrainedModel) -> nn.Linear | None:
    """The last layer, that has an output for every class."""
    layers = (layer for layer in reversed(list(model.modules())) if isinstance(layer, nn.Linear))
    return next((one for one in layers if one.out_features == model.config.num_labels), None)


def _map_of(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """The way to the map: our own models say it, those of transformers have it in their base."""
    if callable(getattr(model, "features", None)):
        features: Callable[[Tensor], Tensor] = model.features
        return features
    base = getattr(model, model.base_model_prefix)
    return lambda images: base(pixel_values=images).last_hidden_state


@torch.no_grad()
def _probed(
    model: PreTrainedModel, below: Callable[[Tensor], Tensor], linear: nn.Linear
) -> tuple[bool, bool]:
    """Whether there is a map as wide as the linear layer; and whether the logits of a picture are
    that layer over its mean."""
    training = model.training
    model.eval()
    picture = torch.linspace(-2, 2, 3 * _PROBED_SIDE**2).sin()
    picture = picture.view(1, 3, _PROBED_SIDE, _PROBED_SIDE).to(model.device, model.dtype)
    try:
        found = below(picture)
        if found.ndim != 4 or found.shape[1] != linear.in_features:
            return False, False
        expected = model(pixel_values=picture).logits
        mean = linear(found.mean(dim=(2, 3)))
        return True, torch.allclose(mean, expected, rtol=1e-3, atol=1e-4)
    except (ValueError, RuntimeError, AttributeError):  # it takes pictures of one other size
        return False, False
    finally:
        model.train(training)


def _saved_config(option: str, name: str, architecture: str | None) -> PretrainedConfig:
    """The config of pretrained weights; of the architecture, if one is asked for."""
    with loading(option, name):
        saved: PretrainedConfig = AutoConfig.from_pretrained(name)
    if architecture not in (None, saved.model_type):
        raise ValueError(
            f"`architecture` must be {saved.model_type}, that of {name}. Got {architecture!r}."
        )
    return saved


def _allowed(saved: PretrainedConfig, num_tags: int) -> Allowed:
    """A classifier may have been one of other tags; else it is a base, and the head is new."""
    is_classifier = any(n.endswith("ForImageClassification") for n in saved.architectures or ())
    # Outside of EfficientNet-Lite's base is a convolution too, which must be there.
    new_head = not is_classifier and not isinstance(saved, EfficientNetLiteConfig)
    return Allowed(new_head=new_head, num_classes=(saved.num_labels, num_tags))


def _over_backbone(
    backbone: str, architecture: str | None, labels: dict[str, Any], output_stride: int
) -> PreTrainedModel:
    folder = backbone_folder(backbone)
    saved = _saved_config(OPTION, folder, architecture)
    changes = dict(labels)
    if isinstance(saved, EfficientNetLiteConfig):
        changes["output_stride"] = output_stride
    allowed = _allowed(saved, len(labels["id2label"]))
    config = bare_config(saved, **changes)
    model = load_classifier(OPTION, folder, allowed=allowed, config=config)
    below_the_mean(model, option=OPTION)
    linear = _linear(model)
    assert linear is not None  # it is below no mean
    linear.reset_parameters()  # of as many other classes it would still be theirs
    return model


def _untrained(architecture: str, labels: dict[str, Any]) -> PreTrainedModel:
    if architecture == SMALL:
        return SmallClassifierForImageClassification(SmallClassifierConfig(**labels))
    try:
        model: PreTrainedModel = AutoModelForImageClassification.from_config(
            AutoConfig.for_model(architecture, **labels)
        )
    except ValueError as error:
        raise ValueError(
            f"`architecture` must be {SMALL} or a model type with a classifier in transformers, "
            f"such as resnet. Got {architecture!r}."
        ) from error
    return model
