"""Descriptions in memory, and MagicSeg's method over them."""

from pathlib import Path

from scribblegen.builders.repository import write_repository
from scribblegen.descriptions import MASK_CLASSES, Description, Mention
from scribblegen.methods.base import Opening
from scribblegen.methods.magicseg import MagicSeg
from scribblegen.methods.magicseg_config import MagicSegConfig
from scribblegen.methods.magicseg_open import open_method
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.generation import Progress
from scribblegen.runs.loop import synthesize
from scribblegen.runs.open import open_run
from scribblegen.segmenting.phrases import occurrences
from scribblegen.sources import Source
from scribblegen.vocabulary import Vocabulary, Word

WORDS = Vocabulary(
    (
        Word(1, "cat", parents=("animal",)),
        Word(7, "boat", synonyms=("ship",), parents=("vessel",)),
        Word(2000, "dog", parents=("animal",)),
    )
)
CONFIG = MagicSegConfig(
    pipeline="random",
    guidance_scale=2.0,
    num_inference_steps=3,
    rows=6,
    spread_width=1,
    max_unsure=1.0,
    ignore_band=0.0,
    refine=False,
    normalise="min_max",  # weights that mean nothing attend nearly alike everywhere
    min_component=0.0,
)


def described(text: str, source_id: str = "t", vocabulary: Vocabulary = WORDS) -> Description:
    """A text with every word of a vocabulary that it names."""
    found = occurrences(text, [word.phrases for word in vocabulary.words])
    rows = sorted({one.row for one in found})
    mentions = [
        Mention(
            local,
            vocabulary.words[row].id,
            vocabulary.words[row].name,
            tuple((one.start, one.stop) for one in found if one.row == row),
        )
        for local, row in enumerate(rows, 1)
    ]
    return Description(source_id, text, tuple(mentions), (), "file")


class Described(Source[Description]):
    """Texts with the words of a vocabulary that they name."""

    item = Description

    def __init__(self, texts, vocabulary=WORDS):
        super().__init__(MASK_CLASSES, [f"t-{number:03d}" for number in range(len(texts))])
        self.texts, self.vocabulary = texts, vocabulary

    def load(self, index):
        return described(self.texts[index], self.source_ids[index], self.vocabulary)

    def check(self, item):
        return None

    def content_keys(self):
        return list(self.texts)


def opened(source: Source, config: MagicSegConfig = CONFIG, **given) -> MagicSeg:
    """The method over a source; `given` are arguments of its `Opening`."""

    def none(*_: object) -> None:
        raise AssertionError("nothing of this kind is asked for")

    kinds = ("judge", "word_judge", "classifier", "segmentor", "affinity", "labels", "texts")
    opening = Opening(
        sources={"train": source},
        output=OutputConfig(),
        begun={},
        **{**dict.fromkeys(kinds, none), **given},
    )
    return open_method(config, opening)


def build_pairs(
    source: Source, folder: Path, config: MagicSegConfig = CONFIG, per_shard: int = 2, **given
) -> Progress:
    """A repository of pairs."""
    method = opened(source, config, **given)
    run = open_run(
        "magicseg",
        method,
        {"train": source},
        OutputConfig(sources_per_shard=per_shard),
        folder,
        options={},
    )
    return synthesize(run, finish=write_repository, progress_bar=False)
