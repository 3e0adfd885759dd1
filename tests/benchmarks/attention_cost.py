"""What looking at attention costs, beside a plain call and beside storing everything.

    python -m tests.benchmarks.attention_cost [--side 512]

A UNet of Stable Diffusion 1.5's shape with random weights, one row, one thread, the three ways in
turn. Storing everything is what DiffuMask's reference does: the probabilities of every attention,
of places to places too, as they are. Writes `results/attention_cost.json`.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from scribblegen.segmenting.attention import WORDS, AttentionProbe
from tests.benchmarks.timing import environment, in_turns, save, spread, times_faster

TOKENS, WIDTH = 77, 768


class StoreEverything:
    """Writes down the probabilities of every attention, each in its own size."""

    def __init__(self) -> None:
        self.stored: list[Tensor] = []

    @contextmanager
    def attach(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with ExitStack() as hooks:
            for module in unet.modules():
                if hasattr(module, "to_q"):
                    handle = module.register_forward_hook(self._store, with_kwargs=True)
                    hooks.callback(handle.remove)
            yield

    def _store(self, attention: Any, args: Any, kwargs: Any, output: Any) -> None:
        hidden = args[0]
        text = kwargs.get("encoder_hidden_states")
        query = attention.head_to_batch_dim(attention.to_q(hidden))
        key = attention.head_to_batch_dim(attention.to_k(hidden if text is None else text))
        self.stored.append(attention.get_attention_scores(query, key))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="Side of the image, in pixels.")
    parser.add_argument("--rounds", type=int, default=3, help="Of turns.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(cross_attention_dim=WIDTH).eval()
    cells = options.side // 8
    latents, text = torch.randn(1, 4, cells, cells), torch.randn(1, TOKENS, WIDTH)
    words = torch.zeros(1, 2, TOKENS)
    words[0, 0, 3] = words[0, 1, 5] = 1

    probe = AttentionProbe(factors=(1, 2, 4))
    spreading = AttentionProbe(factors=(1, 2, 4), self_factors=(4,))
    everything = StoreEverything()
    condition: Mapping[str, Tensor] = {WORDS: words}
    ways: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "plain": nullcontext,
        "probe": lambda: probe.attach({"unet": unet}, condition),
        "probe and self-attention": lambda: spreading.attach({"unet": unet}, condition),
        "store everything": lambda: everything.attach(unet),
    }
    outputs: dict[str, Tensor] = {}
    kept: dict[str, int] = {"plain": 0}

    def call(name: str) -> None:
        with ways[name]():
            outputs[name] = unet(latents, 500, encoder_hidden_states=text).sample
        left = {"probe": probe.collect, "probe and self-attention": spreading.collect}
        if name == "store everything":
            kept[name] = sum(tensor.nbytes for tensor in everything.stored)
            everything.stored.clear()
        elif name in left:
            kept[name] = sum(tensor.nbytes for tensor in left[name]().values())

    with torch.inference_mode():
        taken = in_turns({name: partial(call, name) for name in ways}, rounds=options.rounds)
    result = {
        "environment": environment(),
        "side": options.side,
        "ways": {
            name: {
                "seconds a call": spread(seconds),
                "times a plain one": times_faster(taken, name, "plain"),
                "megabytes kept": round(kept[name] / 1e6, 3),
                "same output": bool(torch.equal(outputs[name], outputs["plain"])),
            }
            for name, seconds in taken.items()
        },
    }
    print(json.dumps(result["ways"], indent=1))
    save("attention_cost", result)


if __name__ == "__main__":
    main()
