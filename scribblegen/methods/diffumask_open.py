"""Options of DiffuMask -> the opened method: networks, rows of a call, the judge of images."""

import logging
from dataclasses import replace

from scribblegen.methods.attention_open import open_attention
from scribblegen.methods.base import Opening
from scribblegen.methods.diffumask import DiffuMask
from scribblegen.methods.diffumask_config import DiffuMaskConfig
from scribblegen.methods.diffumask_rows import ImageRows
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
    if opening.family is None and config.pipeline is None:
        if train.classes.names != drawn_classes():
            raise ValueError(
                "`pipeline` must be given: a folder or Hub id of one that draws "
                f"{', '.join(train.classes.names[:3])} ... The one that ships draws nothing "
                f"but {', '.join(drawn_classes())}; leave out `classes` for these."
            )
        config = replace(config, pipeline=TINY)
        logger.info("No `pipeline` given: using the small one that ships with scribblegen.")
    opened = open_attention(config, opening)
    config = opened.config
    judge = None if config.agreement_model is None else opening.judge(config.agreement_model)
    rows_of_images = ImageRows(
        config=config,
        classes=train.classes,
        fusion=opened.fusion,
        image_format=opening.output.image_format,
        judge=judge,
        affinity=opened.affinity,
    )
    return DiffuMask(config, opened.family, train.classes, rows_of_images)
