"""Options of ScribbleGen -> the opened method: networks, rows of a call, the judge of twins."""

import logging
from dataclasses import replace

from scribblegen.families.config import AUTO_ROWS
from scribblegen.families.opening import open_family, settled_rows
from scribblegen.families.stable_diffusion.conditioning import num_conditioning_channels
from scribblegen.methods.base import Opening
from scribblegen.methods.scribblegen import ScribbleGen
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.tiny import RANDOM, TINY, default_pipeline

logger = logging.getLogger(__name__)

_DEFAULTS = {
    TINY: "the small one that ships with scribblegen.",
    RANDOM: "a tiny one with random weights. Its twins mean nothing.",
}


def open_method(config: ScribbleGenConfig, opening: Opening) -> ScribbleGen:
    """Opens networks and segmentor, and checks that they fit the scribbles.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    train = opening.sources["train"]
    channels = num_conditioning_channels(train.classes, config.conditioning_encoding)
    family = opening.family
    if family is None:
        if config.pipeline is None:
            default = default_pipeline(train.classes, config.conditioning_encoding)
            config = replace(config, pipeline=default)
            logger.info("No `pipeline` given: using %s", _DEFAULTS[default])
        family = open_family(config, channels, controlnet=config.controlnet)
    if config.rows == AUTO_ROWS:
        twins = len(train) * config.replicates * len(config.guidance_scales)
        rows = settled_rows(
            config,
            family,
            most_rows=2 * twins * len(config.encode_ratios),
            begun=opening.begun.get("rows"),
            num_threads=opening.output.num_threads,
            memory_budget=opening.memory_budget,
        )
        config = replace(config, rows=rows)
    judge = None if config.agreement_model is None else opening.judge(config.agreement_model)
    return ScribbleGen(
        config,
        family,
        train.classes,
        splits=list(opening.sources),
        image_format=opening.output.image_format,
        judge=judge,
    )
