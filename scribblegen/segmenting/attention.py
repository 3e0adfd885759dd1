"""Where the words of a prompt are looked for: cross-attention maps, read while an image is drawn.

A UNet's cross-attention says for every place of an image how much it takes from each token of the
prompt (DiffuMask, arXiv 2303.11681, equation 1): A = softmax(Q K^T / sqrt(d)), (H W, T). The probe
computes it beside the network's own attention, of which it changes nothing, and keeps of it what is
asked for: means over heads, layers and steps, for the tokens of some words.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from scribblegen.engine.probes import CONDITIONAL, Kept, Probe, Use
from scribblegen.families.base import Condition

# A row's condition names what is kept of it: (W, T), how much each token counts for each of W
# words. Rows of a run have equally many words; one without tokens gets a map of zeros.
WORDS = "attention_words"
# And in which text they are looked for, (T, D) as "prompt" of `Family.prompt`, where that is not
# the text that the row is drawn from. Rows of a run all have it, or none.
LOOKED_FOR = "attention_text"

_STEPS = "steps"  # that a row's maps are sums over
_QUERY = "query"


class AttentionProbe(Probe):
    """Keeps the maps of the words that a row's condition names under `WORDS`.

    Words are those of the row's own text; or of the text that it has under `LOOKED_FOR`, which need
    not be what it is drawn from: how much each place would take from each of them.

    What a finished image takes along: `cross.F` (W, h, w) float32, for every width F of a map's
    cells in latent cells, such as 1, 2 and 4; the mean over heads, layers and steps of the share of
    attention that goes to each word. And `self.F` (h, w, h w) where asked for: the share of each
    place's attention that goes to each place.

    Args:
        factors: the widths F that are kept, such as (1, 2, 4); all that the network has if None.
        self_factors: the widths at which the network's attention to its own places is kept too.
        start, end: the shares of a run's steps between which maps are kept, as DiffuMask's all but
            the first tenth. At least one step is.
        keep_queries: leaves what any words can be looked for with afterwards, `query.F.h.w.PATH`
            (steps, heads, h w, d), instead of the maps of some (OVAM, arXiv 2403.14291). For 512
            pixels these are megabytes a step.

    Raises:
        ValueError: no step is between `start` and `end`.
    """

    def __init__(
        self,
        *,
        factors: Sequence[int] | None = None,
        self_factors: Sequence[int] = (),
        start: float = 0.0,
        end: float = 1.0,
        keep_queries: bool = False,
    ) -> None:
        if not 0 <= start < end <= 1:
            raise ValueError(f"`start` must be below `end`, both in 0..1. Got {start} and {end}.")
        self.factors = None if factors is None else frozenset(factors)
        self.self_factors = frozenset(self_factors)
        self.start, self.end, self.keep_queries = start, end, keep_queries
        self._found: dict[str, list[Tensor]] = {}

    def use(self, step: int, num_steps: int, branch: int) -> Use:
        """The conditional rows of the steps between `start` and `end`; of a short run the last."""
        first = min(round(self.start * num_steps), num_steps - 1)
        last = max(round(self.end * num_steps), first + 1)
        watched = branch == CONDITIONAL and first <= step < last
        return Use.PROBED if watched else Use.PLAIN

    @contextmanager
    def attach(self, networks: Mapping[str, nn.Module], condition: Condition) -> Iterator[None]:
        """Hooks on the attentions of the UNet; a ControlNet's are left alone."""
        found: dict[str, list[Tensor]] = defaultdict(list)
        place = _Place()
        unet = networks["unet"]
        with ExitStack() as hooks:

            def hook(handle: Any) -> None:
                hooks.callback(handle.remove)

            hook(unet.register_forward_pre_hook(place.enter_network, with_kwargs=True))
            for path, module in unet.named_modules():
                if type(module).__name__ == "Transformer2DModel":
                    hook(module.register_forward_pre_hook(place.enter_level, with_kwargs=True))
                elif hasattr(module, "to_q") and hasattr(module, "heads"):
                    watch = _Watch(self, path, place, condition, found)
                    hook(module.register_forward_hook(watch, with_kwargs=True))
            yield
        self._found = dict(found)

    def collect(self) -> Mapping[str, Tensor]:
        """The maps of the last call, means over the layers of a width; or its queries."""
        found, self._found = self._found, {}
        return {name: torch.stack(layers).mean(dim=0) for name, layers in found.items()}

    def fold(self, kept: Kept | None, new: Kept, step: int) -> Kept:
        """Sums over steps; queries one after the other."""
        if self.keep_queries:
            one = {name: tensor[None] for name, tensor in new.items()}
            if kept is None:
                return one
            return {name: torch.cat([kept[name], tensor]) for name, tensor in one.items()}
        if kept is None:
            return {**new, _STEPS: torch.ones(())}
        return {name: kept[name] + new.get(name, 1) for name in kept}

    def finish(self, kept: Kept) -> Kept:
        """Means over the steps; queries as they are."""
        if self.keep_queries:
            return kept
        steps = float(kept[_STEPS])
        return {name: tensor / steps for name, tensor in kept.items() if name != _STEPS}


def maps_of_queries(
    networks: Mapping[str, nn.Module], left: Kept, text: Tensor, words: Tensor
) -> dict[str, Tensor]:
    """What a probe that keeps queries left, and any text -> the maps of its words.

    With the text of the prompt these are the maps that a probe keeps by itself.

    Args:
        networks: `Family.networks`, as the probe saw them.
        left: what the image took along.
        text: (T, D), such as "prompt" of `Family.prompt`.
        words: (W, T), how much each token counts for each word.

    Returns:
        `cross.F` (W, h, w) float32, for every width F.
    """
    found: dict[str, list[Tensor]] = defaultdict(list)
    for name, queries in left.items():
        kind, factor, height, width, path = name.split(".", 4)
        if kind != _QUERY:
            continue
        attention: Any = networks["unet"].get_submodule(path)
        keys = _keys(attention, text[None])
        maps = _shares(queries, keys, attention.scale) @ words.float().T  # (steps, heads, h w, W)
        found[f"cross.{factor}"].append(
            maps.mean(dim=(0, 1)).T.unflatten(1, (int(height), int(width)))
        )
    return {name: torch.stack(layers).mean(dim=0) for name, layers in found.items()}


class _Place:
    """How large the latents of a call are, and the features of the block that it has come to."""

    def __init__(self) -> None:
        self.latent = self.level = (0, 0)

    def enter_network(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.latent = _extent(args, kwargs, "sample")

    def enter_level(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.level = _extent(args, kwargs, "hidden_states")

    @property
    def factor(self) -> int:
        """Latent cells on a side of one of the level's."""
        return round(self.latent[0] / self.level[0])


class _Watch:
    """A hook on one attention: what it was called with -> what is kept of it."""

    def __init__(
        self,
        probe: AttentionProbe,
        path: str,
        place: _Place,
        condition: Condition,
        found: dict[str, list[Tensor]],
    ) -> None:
        self.probe, self.path, self.place, self.found = probe, path, place, found
        self.words, self.looked_for = condition.get(WORDS), condition.get(LOOKED_FOR)

    def __call__(self, attention: Any, args: Any, kwargs: Any, output: Any) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        text = kwargs.get("encoder_hidden_states", args[1] if len(args) > 1 else None)
        factor, (height, width) = self.place.factor, self.place.level
        if text is None:
            if factor in self.probe.self_factors:
                shares = _shares(
                    _queries(attention, hidden), _keys(attention, hidden), attention.scale
                )
                by_place = shares.mean(dim=1).unflatten(1, (height, width))
                self.found[f"self.{factor}"].append(by_place)
            return
        if self.probe.factors is not None and factor not in self.probe.factors:
            return
        queries = _queries(attention, hidden)
        if self.probe.keep_queries:
            self.found[f"{_QUERY}.{factor}.{height}.{width}.{self.path}"].append(queries)
            return
        if self.words is None:
            return
        if isinstance(text, tuple):  # the prompt, and what an IP-Adapter adds
            text = text[0]
        num_tokens = self.words.shape[-1]  # an IP-Adapter's may follow those of the prompt
        mask = kwargs.get("attention_mask")
        if self.looked_for is not None:
            text, mask = self.looked_for.to(text.dtype), None
        shares = _shares(queries, _keys(attention, text[:, :num_tokens]), attention.scale, mask)
        words = self.words.to(shares.dtype)[:, None].transpose(-1, -2)  # (B, 1, T, W)
        maps = (shares @ words).mean(dim=1).transpose(-1, -2)
        self.found[f"cross.{factor}"].append(maps.unflatten(-1, (height, width)))


def _extent(args: Any, kwargs: Any, name: str) -> tuple[int, int]:
    height, width = (args[0] if args else kwargs[name]).shape[-2:]
    return int(height), int(width)


def _queries(attention: Any, hidden: Tensor) -> Tensor:
    """(B, N, C) -> (B, heads, N, d), as the attention's own processor makes them."""
    if attention.group_norm is not None:
        hidden = attention.group_norm(hidden.transpose(1, 2)).transpose(1, 2)
    queries: Tensor = attention.to_q(hidden).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
    return queries if attention.norm_q is None else attention.norm_q(queries)


def _keys(attention: Any, text: Tensor) -> Tensor:
    """(B, T, D) -> (B, heads, T, d)."""
    if attention.norm_cross:
        text = attention.norm_encoder_hidden_states(text)
    keys: Tensor = attention.to_k(text).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
    return keys if attention.norm_k is None else attention.norm_k(keys)


def _shares(queries: Tensor, keys: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """(B, heads, N, d) and (B, heads, T, d) -> (B, heads, N, T) float32, summing to 1 over T."""
    scores = queries.float() @ keys.float().transpose(-1, -2) * scale
    if mask is not None:
        scores = scores + mask.float()[:, None, :, : keys.shape[-2]]
    return scores.softmax(dim=-1)
