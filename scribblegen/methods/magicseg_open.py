"""Options of MagicSeg -> the opened method: networks, and what looks at the images."""

import logging
from dataclasses import replace
from typing import Any

from scribblegen.methods.attention_images import digest_of, word_maps
from scribblegen.methods.attention_open import open_attention
from scribblegen.methods.base import Opening
from scribblegen.methods.magicseg import MagicSeg
from scribblegen.methods.magicseg_absence import AbsenceTest, ByAttention, ByClip, ByDetector
from scribblegen.methods.magicseg_config import MagicSegConfig
from scribblegen.methods.magicseg_masks import AttentionMasks, DetectorMasks, Masks
from scribblegen.methods.magicseg_rows import PairRows
from scribblegen.segmenting.clip_margins import ClipMargins
from scribblegen.segmenting.detectors import open_detector
from scribblegen.segmenting.segmenters import open_segmenter
from scribblegen.tiny import TINY, words_not_drawn
from scribblegen.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


def open_method(config: MagicSegConfig, opening: Opening) -> MagicSeg:
    """Opens networks and models, and checks that they fit.

    Raises:
        ValueError, OSError: something is missing or does not fit; the message names the option.
    """
    vocabulary = opening.sources["train"].vocabulary
    assert vocabulary is not None, "descriptions name words of a vocabulary"
    _check_mode(config.cf_mode, vocabulary)
    if opening.family is None and config.pipeline is None:
        if unknown := words_not_drawn([word.name for word in vocabulary.words]):
            raise ValueError(
                "`pipeline` must be given: a folder or Hub id of one that draws "
                f"{', '.join(unknown[:3])} ... The one that ships draws nothing but its scenes."
            )
        config = replace(config, pipeline=TINY)
        logger.info("No `pipeline` given: using the small one that ships with scribblegen.")
    opened = open_attention(config, opening, images_per_item=2, is_read=config.reads_attention)
    config, device = opened.config, opened.family.device
    models: dict[str, Any] = {}
    if config.detector is not None:
        models["detector"] = open_detector(config.detector, device)
    if config.segmenter is not None:
        models["segmenter"] = open_segmenter(
            config.segmenter, device, mask_choice=config.mask_choice
        )
    if config.clip_model is not None:
        models["clip model"] = ClipMargins(config.clip_model, device)
    if config.agreement_model is not None:
        models["agreement model"] = opening.word_judge(config.agreement_model, vocabulary)
    if opened.affinity is not None:
        models["affinity model"] = opened.affinity
    masks: Masks = AttentionMasks(config, word_maps(config, opened.fusion, opened.affinity))
    if config.masks == "detector":
        masks = DetectorMasks(config, models["detector"], models["segmenter"], vocabulary)
    test: AbsenceTest | None = None
    if config.cf_check == "attention":
        test = ByAttention(opened.fusion)
    elif config.cf_check == "detector":
        test = ByDetector(models["detector"], vocabulary, config.text_threshold)
    elif config.cf_check == "clip":
        test = ByClip(models["clip model"], vocabulary)
    rows = PairRows(
        config=config,
        masks=masks,
        test=test,
        image_format=opening.output.image_format,
        judge=models.get("agreement model"),
    )
    fingerprints: dict[str, str | None] = {
        name: model.fingerprint() for name, model in models.items()
    }
    fingerprints["fusion"] = digest_of(opened.fusion)
    return MagicSeg(config, opened.family, vocabulary, opened.fusion, rows, fingerprints)


def _check_mode(mode: str, vocabulary: Vocabulary) -> None:
    """Refuses what no description of a vocabulary can be changed by."""
    if mode == "hypernym" and not any(word.parents for word in vocabulary.words):
        raise ValueError(
            "`cf_mode` must not be hypernym where no word of the vocabulary has `parents`: what "
            "it is a kind of. Add them, or choose another."
        )
    if mode == "swap" and len(vocabulary) < 2:
        raise ValueError(
            "`cf_mode` must not be swap where the vocabulary has one word: there is none to swap "
            f"{vocabulary.words[0].name} for. Choose another."
        )
