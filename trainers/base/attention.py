"""Attention that trains fast on a CPU."""

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn


def use_fast_attention(network: nn.Module, device: torch.device) -> None:
    """Plain matrix products in place of the fused attention, on a CPU.

    For bfloat16 on CPUs with matrix units, PyTorch's fused attention takes three quarters of a
    small UNet's backward pass; the same sums as matrix products make training 1.7 times faster.
    """
    if device.type == "cpu":
        network.set_attn_processor(AttnProcessor())  # type: ignore[operator]
