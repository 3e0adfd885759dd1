"""A digest of weights: equal networks have equal ones, wherever they were loaded from."""

from typing import Any

import torch
from torch import nn


def add_weights(digest: Any, network: nn.Module) -> None:
    """Feeds every name and every byte of the state to `digest`, of `hashlib`."""
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
