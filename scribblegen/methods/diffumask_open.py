"""Options of DiffuMask -> the opened method: networks, rows of a call, the judge of images."""

import logging
from dataclasses import replace

import torch

from scribblegen.families.base import Family
from scribblegen.families.config import AUTO_ROWS
from scribblegen.families.opening import open_family, settled_rows
from scribblegen.methods.base import Opening
from scribblegen.methods.diffumask import DiffuMask
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.methods.diffumask_rows import ImageRows
from scribblegen.segmenting.attention import WORDS, AttentionProbe
from scribblegen.segmenting.fusion import Fusion, read_fusion
from scribblegen.segmenting.tags import BACKGROUND
from scribblegen.tiny import TINY, drawn_classes

logger = logging.getLogger(__name__)


def open_method(config: DiffuMaskConfig, opening: Opening) -> DiffuMask:
    """Opens networks and segmentor, and checks that the networks attend to words.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    train = opening.sources["train"]
    if config.rest == "background" and BACKGROUND not in train.classes.names:
        raise ValueError(
            f"`rest` must be ignore or none where no class is called {BACKGROUND}. Got "
            f"'{config.rest}'."
        )
    fusion = read_fusion(config.fusion)
    family = opening.family
    if family is None:
        if config.pipeline is None:
            if train.classes.names != drawn_classes():
                raise ValueError(
                    "`pipeline` must be given: a folder or Hub id of one that draws "
                    f"{', '.join(train.classes.names[:3])} ... The one that ships draws nothing "
                    f"but {', '.join(drawn_classes())}; leave out `classes` for these."
                )
            config = replace(config, pipeline=TINY)
            logger.info("No `pipeline` given: using the small one that ships with scribblegen.")
        family = open_family(config, None)
    check_attention(family, fusion, config)
    if config.rows == AUTO_ROWS:
        rows = settled_rows(
            config,
            family,
            most_rows=2 * len(train),
            begun=opening.begun.get("rows"),
            num_threads=opening.output.num_threads,
            memory_budget=opening.memory_budget,
        )
        config = replace(config, rows=rows)
    judge = None if config.agreement_model is None else opening.judge(config.agreement_model)
    affinity = None if config.affinity_model is None else opening.affinity(config.affinity_model)
    rows_of_images = ImageRows(
        config=config,
        classes=train.classes,
        fusion=fusion,
        image_format=opening.output.image_format,
        judge=judge,
        affinity=affinity,
    )
    return DiffuMask(config, family, train.classes, rows_of_images)


@torch.inference_mode()
def check_attention(family: Family, fusion: Fusion, config: DiffuMaskConfig) -> None:
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
