"""Opens what draws from text and is read by its attention, and checks that it attends to words."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch

from scribblegen.families.base import Family
from scribblegen.families.config import AUTO_ROWS
from scribblegen.families.opening import open_family, settled_rows
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.methods.attention_config import AttentionConfig
from scribblegen.methods.base import Opening
from scribblegen.segmenting.attention import WORDS, AttentionProbe
from scribblegen.segmenting.fusion import Fusion, read_fusion
from scribblegen.segmenting.word_maps import Affinity

Config = TypeVar("Config", bound=AttentionConfig)


@dataclass(frozen=True, eq=False)
class Opened(Generic[Config]):
    """The options, settled, and what they name."""

    config: Config
    family: StableDiffusion
    fusion: Fusion
    affinity: Affinity | None


def open_attention(
    config: Config, opening: Opening, *, images_per_item: int = 1, is_read: bool = True
) -> Opened[Config]:
    """Opens networks and the weights of maps.

    Args:
        config: names them; `pipeline` is given, or the opening has the networks.
        opening: of the method.
        images_per_item: that are drawn.
        is_read: whether attention is read at all.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    fusion = read_fusion(config.fusion)
    family = opening.family or open_family(config, None)
    if is_read:
        check_attention(family, fusion, config)
    if config.rows == AUTO_ROWS:
        rows = settled_rows(
            config,
            family,
            most_rows=2 * images_per_item * len(opening.sources["train"]),
            begun=opening.begun.get("rows"),
            num_threads=opening.output.num_threads,
            memory_budget=opening.memory_budget,
        )
        config = replace(config, rows=rows)
    affinity = None if config.affinity_model is None else opening.affinity(config.affinity_model)
    return Opened(config, family, fusion, affinity)


@torch.inference_mode()
def check_attention(family: Family, fusion: Fusion, config: AttentionConfig) -> None:
    """Looks at one small call: whether there are maps of the widths that count.

    Raises:
        ValueError: the networks attend to no word, or to none at these widths.
    """
    side = family.size_multiple
    told = {name: tensor[None] for name, tensor in family.prompt("").items()}
    length = next(iter(told.values())).shape[1]
    told[WORDS] = torch.ones(1, 1, length, device=family.device)
    latents = torch.zeros(1, *family.latent_shape(side, side), device=family.device)
    probe = AttentionProbe(self_factors=(config.spread_width,))
    with probe.attach(family.networks, told):
        family.denoiser.observed(latents, torch.ones(1, device=family.device), told)
    there = probe.collect()
    widths = sorted(int(name.split(".")[1]) for name in there if name.startswith("cross."))
    if not widths:
        raise ValueError(
            "`pipeline` must be one whose network attends to the words of the prompt "
            "(cross-attention): masks are read there. This one has none."
        )
    for where, weights in (("every class", fusion.every), *fusion.classes.items()):
        if not set(widths) & set(weights):
            raise ValueError(
                f"`fusion` must weigh one of the widths at which the pipeline attends to words, "
                f"{widths}, for {where}. Got {dict(weights)}."
            )
    if config.spread == "self_attention" and f"self.{config.spread_width}" not in there:
        own = sorted(int(name.split(".")[1]) for name in there if name.startswith("self."))
        raise ValueError(
            "`spread_width` must be a width at which the pipeline attends to its own places. "
            f"Got {config.spread_width}, and there are {own or widths}; or give `spread` none."
        )
