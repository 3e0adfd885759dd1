"""How well a segmentor of any words finds the classes of photographs with masks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from scribblegen.classes import IGNORE_INDEX
from scribblegen.configs import option
from scribblegen.records import Rejection, Sample
from scribblegen.sources import Source
from scribblegen.text_files import shown
from scribblegen.trainers.open_vocabulary.background import Background, winners
from scribblegen.trainers.open_vocabulary.opening import WordSegmentor
from scribblegen.trainers.open_vocabulary.protocols import Protocol, load_protocol
from scribblegen.trainers.segmentation.confusion import confusion_matrix, scores
from scribblegen.trainers.segmentation.zero_shot_options import ZeroShotOptions

_NO_MASK = "no mask to compare with"


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What a segmentor of any words is measured on."""

    model: str | None = option(None, "Folder or Hub id of what train-open-vocabulary made.")
    protocol: str | None = option(
        None,
        "voc20, voc21, context59, coco81, or a YAML file of classes and background rule; all "
        "classes of the source, without a background, if unset.",
    )
    background_rule: str | None = option(
        None,
        "When a pixel is none of the classes, instead of the protocol's rule: none, threshold "
        "(below background_threshold) or words (one of background_words scores best).",
    )
    background_threshold: float | None = option(None, "Of scores in [0, 1].")
    background_words: list[str] = option([], "That are looked for beside the classes.")
    unseen_classes: list[str] = option(
        [], "Classes of the protocol that the training did not have, reported apart; or voc-15-5."
    )
    seen_offset: float = option(
        0.0, "Taken from the scores of all other classes, which training favours; the paper: 0.1."
    )
    output_dir: str | None = option(None, "Folder of metrics.json; it is only printed if unset.")

    def __post_init__(self) -> None:
        if self.seen_offset and not self.unseen_classes:
            raise ValueError(
                "`seen_offset` has no effect without `unseen_classes`: it is taken from all alike."
            )


@dataclass(frozen=True)
class Evaluation:
    """What is asked of a segmentor.

    Args:
        protocol: classes and background.
        unseen: positions of classes that are reported apart.
        seen_offset: taken from the scores of all others.
    """

    protocol: Protocol
    unseen: tuple[int, ...] = ()
    seen_offset: float = 0.0


def evaluation_of(config: EvaluationConfig, names: tuple[str, ...]) -> Evaluation:
    """What options ask, of a source with some classes.

    Raises:
        ValueError: the protocol is none, or does not fit the source.
    """
    protocol = Protocol(names) if config.protocol is None else load_protocol(config.protocol)
    if config.background_rule is not None:
        rule = Background(
            config.background_rule, config.background_threshold, tuple(config.background_words)
        )
        protocol = replace(protocol, rule=rule)
    elif config.background_threshold is not None or config.background_words:
        raise ValueError(
            "`background_rule` must be given with `background_threshold` or `background_words`."
        )
    protocol.table(names)
    unseen = ZeroShotOptions(unseen_classes=list(config.unseen_classes)).unseen_ids(protocol.names)
    return Evaluation(protocol, unseen, config.seen_offset)


def evaluate(
    segmentor: WordSegmentor,
    source: Source[Sample],
    evaluation: Evaluation,
    *,
    progress_bar: bool = False,
) -> dict[str, Any]:
    """Looks at every photograph of a source, at its own size, against its mask.

    Args:
        segmentor: that is measured.
        source: of photographs with masks; those without are counted as rejected.
        evaluation: what is asked.
        progress_bar: show one.

    Returns:
        What `confusion.scores` gives, `iou` by class, `images`, and `rejected`, reasons by id.

    Raises:
        ValueError: the source lacks a class of the protocol, or no photograph can be used.
    """
    protocol = evaluation.protocol
    table = protocol.table(source.classes.names)
    words = (*protocol.classes, *protocol.rule.words)
    texts = segmentor.texts(words)
    number = len(protocol.classes)
    offsets = np.zeros(len(words), np.float32)
    offsets[[i for i in range(number) if i not in evaluation.unseen]] = evaluation.seen_offset
    matrix = np.zeros((len(protocol.names), len(protocol.names) + 1), np.int64)
    rejected: dict[str, str] = {}
    indices = range(len(source))
    for index in tqdm(indices, desc="segment", unit="image", disable=not progress_bar):
        sample = source.read(index)
        if isinstance(sample, Rejection) or sample.mask is None:
            reason = sample.reason if isinstance(sample, Rejection) else _NO_MASK
            rejected[source.source_ids[index]] = reason
            continue
        found = segmentor.scores(sample.image, texts).cpu()
        found = found - torch.from_numpy(offsets)[:, None, None]
        word, _ = winners(found, number, protocol.rule, sample.mask.shape)
        if protocol.background is not None:
            word[word == IGNORE_INDEX] = number
        matrix += confusion_matrix(word, table[sample.mask], len(protocol.names))
    if len(rejected) == len(source):
        raise ValueError(
            "`source` must have photographs with masks. Of its "
            f"{len(source)} none can be used: {shown(next(iter(rejected.values())))}."
        )
    measured = scores(matrix, evaluation.unseen)
    ious = measured.pop("per_category_iou")
    measured.pop("per_category_accuracy")
    return {
        **measured,
        "iou": dict(zip(protocol.names, map(float, ious), strict=True)),
        "images": len(source) - len(rejected),
        "rejected": rejected,
    }
