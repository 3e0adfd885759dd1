"""What a guided pair computes twice, once: all that comes before the prompt is first looked at.

The conditional and the unconditional row of a sample have the same latents and timestep. Until the
first cross-attention, UNet and ControlNet do the same for both; of Stable Diffusion 1.x that is 5 %
of the UNet and 14 % of the ControlNet. The networks stay as diffusers wrote them: the modules in
question are wrapped, in a copy that shares all weights.
"""

import copy
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

_KNOWN_BLOCKS = {
    "DownBlock2D": ("resnets", "downsamplers"),
    "CrossAttnDownBlock2D": ("resnets", "attentions", "downsamplers"),
}


class ByHalves(nn.Module):
    """Calls a module on one half of the rows at a time, or on the first half for both.

    A row's bits depend on the shape of a call. So the prefix is called with half the rows
    always, whether or not the halves are the same.

    Args:
        module: takes and gives tensors of B rows, B even.
        halves_are_equal: the second half of the rows repeats the first.
    """

    def __init__(self, module: nn.Module, halves_are_equal: bool) -> None:
        super().__init__()
        self.module = module
        self.halves_are_equal = halves_are_equal

    def forward(self, *arguments: Tensor | None, **options: Tensor | None) -> Tensor:
        first = self._half(0, arguments, options)
        second = first if self.halves_are_equal else self._half(1, arguments, options)
        return torch.cat([first, second])

    def _half(
        self, number: int, arguments: Sequence[Tensor | None], options: dict[str, Tensor | None]
    ) -> Tensor:
        def cut(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.chunk(2)[number]

        output: Tensor = self.module(
            *map(cut, arguments), **{k: cut(v) for k, v in options.items()}
        )
        return output


def prefix_modules(network: nn.Module) -> list[str]:
    """Names of the modules before the first cross-attention, in order of their calls.

    Empty for a network that is not known to be the same for both rows of a pair until there.
    """
    if not _is_plain(network):
        return []
    names = ["conv_in"]
    for number, block in enumerate(network.down_blocks):  # type: ignore[arg-type]
        parts = _KNOWN_BLOCKS.get(type(block).__name__)
        if parts is None:
            return []
        inside = f"down_blocks.{number}"
        if "attentions" in parts:
            entrance = f"{inside}.attentions.0"
            return [
                *names,
                f"{inside}.resnets.0",
                f"{entrance}.norm",
                f"{entrance}.proj_in",
                f"{entrance}.transformer_blocks.0.norm1",
                f"{entrance}.transformer_blocks.0.attn1",
            ]
        for part in parts:
            names += [f"{inside}.{part}.{i}" for i in range(len(getattr(block, part) or ()))]
    return []  # nothing attends to the prompt on the way down


def share_prefix(network: nn.Module, *, halves_are_equal: bool) -> nn.Module:
    """A copy that shares all weights and calls what comes before the prompt `ByHalves`.

    A network that it does not know comes back as it is.
    """
    for name in prefix_modules(network):
        module = ByHalves(network.get_submodule(name), halves_are_equal)
        network = replaced(network, name.split("."), module)
    return network


def _is_plain(network: Any) -> bool:
    """Whether nothing but the cross-attentions sees the prompt."""
    config = network.config
    if config.class_embed_type is not None or config.addition_embed_type is not None:
        return False
    if getattr(config, "encoder_hid_dim_type", None) or getattr(config, "num_class_embeds", None):
        return False
    if getattr(config, "center_input_sample", False):
        return False
    return all(_is_plain_attention(m) for m in _attentions(network))


def _attentions(network: nn.Module) -> Iterable[Any]:
    names = ("Transformer2DModel", "DualTransformer2DModel")
    return (module for module in network.modules() if type(module).__name__ in names)


def _is_plain_attention(attention: Any) -> bool:
    if type(attention).__name__ != "Transformer2DModel" or not attention.is_input_continuous:
        return False
    first = attention.transformer_blocks[0]
    return first.norm_type == "layer_norm" and not first.only_cross_attention


def replaced(module: nn.Module, path: Sequence[str], new: nn.Module) -> nn.Module:
    """A shallow copy of `module` in which the submodule at `path` is `new`."""
    if not path:
        return new
    outer = copy.copy(module)
    outer._modules = dict(module._modules)
    outer._modules[path[0]] = replaced(module.get_submodule(path[0]), path[1:], new)
    return outer
