"""Prompts that name classes: what a method starts from that needs no photograph.

The texts are of templates and sub-classes, of a file, of a language model, or as the procedural
scenes have them. Which classes a text names, and by which words, is read from the text itself.
"""

import hashlib
import logging
from collections.abc import Sequence

from scribblegen.builders.prompt_captions import CaptionWriter, read_captions
from scribblegen.builders.prompt_drafts import Turns, Writer
from scribblegen.builders.prompt_templates import TemplateWriter
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.classes import Classes, load_classes
from scribblegen.prompt_words import NONE, ClassWords, class_words
from scribblegen.prompts import Prompt
from scribblegen.segmenting.phrases import occurrences
from scribblegen.sources import Source

logger = logging.getLogger(__name__)


class PromptSource(Source[Prompt]):
    """Texts that name classes, for training alone.

    Args:
        config: the classes, where texts are from, and how many there are.
        ids: None; prompts are made, not chosen from.

    Raises:
        ValueError, FileNotFoundError, OSError: background is the only class, or a file or a model
            that is named is not there or cannot be used.
    """

    item = Prompt

    def __init__(self, config: PromptsConfig, ids: str | None = None) -> None:
        classes, words = _classes(config)
        if all(name == "background" for name in classes.names):
            raise ValueError("`classes` must hold one besides background. Got background alone.")
        self.phrases = [
            each.phrases if each.name != "background" else () for each in words
        ]  # by class id
        self.writer = _writer(config, classes, words, self.phrases)
        super().__init__(classes, self.writer.source_ids)

    def load(self, index: int) -> Prompt:
        position = range(len(self))[index]
        draft = self.writer.write(position)
        found: dict[int, dict[str, None]] = {class_id: {} for class_id in draft.class_ids}
        for each in occurrences(draft.text, self.phrases):
            if each.row in found or not draft.complete:
                found.setdefault(each.row, {})[each.phrase] = None
        class_ids = tuple(sorted(found))
        return Prompt(
            source_id=self.source_ids[position],
            text=draft.text,
            class_ids=class_ids,
            phrases=tuple(tuple(found[i]) or self.phrases[i] for i in class_ids),
            prompt_source=draft.prompt_source,
        )

    def check(self, item: Prompt) -> str | None:
        return None if item.text.strip() else "prompt is empty"

    def content_keys(self) -> Sequence[str]:
        # Which classes a text names depends on the phrases too.
        phrases = hashlib.sha256(repr(self.phrases).encode()).hexdigest()[:16]
        return [f"{phrases} {self.writer.content_key(i)}" for i in range(len(self))]


def _classes(config: PromptsConfig) -> tuple[Classes, list[ClassWords]]:
    """The classes, and the words of each."""
    if config.classes is not None:
        classes = load_classes(config.classes)
        words = class_words(config.prompt_words, classes.names)
        lacking = [
            each.name
            for each in words
            if each == ClassWords(each.name) and each.name != "background"
        ]
        if lacking and len(lacking) < len(words) and config.prompt_words != NONE:
            logger.info(f"prompt_words: none for {', '.join(lacking)}; their prompts are plain")
        return classes, words
    from scribblegen.builders.prompt_scenes import scene_words
    from scribblegen.builders.scenes.kinds import SCENE_CLASSES

    for option in config.without_effect():
        raise ValueError(
            f"`classes` must be given for `{option}`: without them prompts are captions of scenes. "
            "For templates with the classes of scenes, give `prompt_words` scenes. Got "
            f"{getattr(config, option)}."
        )
    if config.from_scenes:
        return SCENE_CLASSES, scene_words()
    return SCENE_CLASSES, class_words(config.prompt_words, SCENE_CLASSES.names)


def _writer(
    config: PromptsConfig,
    classes: Classes,
    words: Sequence[ClassWords],
    phrases: Sequence[Sequence[str]],
) -> Writer:
    wanted = [i for i, name in enumerate(classes.names) if name != "background"]
    if config.prompt_file is not None:
        captions = read_captions(config.prompt_file, classes.names, phrases).used
        named = {class_id for caption in captions for class_id in caption.class_ids}
        lacking = [classes.names[i] for i in wanted if i not in named]
        if lacking:
            logger.warning(f"prompt_file: no caption names {', '.join(lacking)}")
        given = config.num_samples or config.images_per_class
        turns = _turns(config, classes, sorted(named)) if given else None
        return CaptionWriter(captions, turns)
    turns = _turns(config, classes, wanted)
    if config.from_scenes:
        from scribblegen.builders.prompt_scenes import SceneWriter

        return SceneWriter(config.prompt_seed, words, turns)
    templates = TemplateWriter(config, words, turns)
    if config.prompt_model is None:
        return templates
    from scribblegen.builders.prompt_model import ModelWriter

    return ModelWriter(templates)


def _turns(config: PromptsConfig, classes: Classes, class_ids: Sequence[int]) -> Turns:
    each = config.images_per_class or len(config.prompt_templates)
    count = config.num_samples or each * len(class_ids)
    return Turns(tuple(class_ids), classes.names, count)
