"""Affinity networks: made anew, over a pretrained backbone or not, and saved ones."""

import torch
from transformers import AutoConfig

from scribblegen.families.loading_errors import loading
from scribblegen.families.weights import load_weights
from scribblegen.trainers.affinity.network import AffinityNetwork, AffinityNetworkConfig
from scribblegen.trainers.segmentation.models import load_backbone, open_backbone_config


def open_affinity_network(
    *, backbone: str | None = None, stride: int = 8, side: int = 320, seed: int = 0
) -> AffinityNetwork:
    """A network that has learned no affinity.

    Args:
        backbone: pretrained network whose features it reads, frozen: a name of
            `PACKAGED_BACKBONES`, or folder or Hub id of a ResNet; a small one that is trained from
            nothing if None.
        stride: pixels per cell of its grid.
        side: the longer side of pictures as they are shown.
        seed: what weights that are not pretrained are drawn from.

    Raises:
        ValueError: the backbone is none that can be read.
        OSError: it cannot be loaded.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if backbone is None:
            return AffinityNetwork(AffinityNetworkConfig(stride=stride, side=side))
        folder, saved = open_backbone_config(backbone)
        network = AffinityNetwork(AffinityNetworkConfig(saved, stride=stride, side=side))
        network.backbone = load_backbone(network.backbone, folder).requires_grad_(False)
    return network


def load_affinity_network(option: str, name: str) -> AffinityNetwork:
    """A saved network, from a folder or the Hub.

    Args:
        option: the option that names it, for errors.
        name: folder or Hub id.

    Raises:
        ValueError: it is another kind of model.
        OSError: it cannot be loaded, its weights are pickled, or not all there.
    """
    with loading(option, name):
        saved = AutoConfig.from_pretrained(name)
    if saved.model_type != AffinityNetworkConfig.model_type:
        raise ValueError(
            f"`{option}` must be an affinity network, which `scribblegen train-affinity` makes. "
            f"Got {name}, a {saved.model_type}."
        )
    network: AffinityNetwork = load_weights(AffinityNetwork, option, name)
    return network
