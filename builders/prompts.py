"""Prompts made from class names: what a method starts from that needs no photograph.

Prompt i is of the class i mod K, K classes besides background, and of the next template each time
the classes come round. So every beginning of the source is as even among the classes as can be,
and more samples leave those before them as they are.
"""

from collections.abc import Sequence

from scribblegen.builders.config import PromptsConfig
from scribblegen.classes import load_classes
from scribblegen.prompts import Prompt
from scribblegen.sources import Source


class PromptSource(Source[Prompt]):
    """Texts with a class name in them, for training alone.

    Args:
        config: the classes, the templates and the number of prompts.
        ids: None; prompts are made, not chosen from.

    Raises:
        ValueError, FileNotFoundError: the classes are not given, or background is all there is.
    """

    item = Prompt

    def __init__(self, config: PromptsConfig, ids: str | None = None) -> None:
        if config.classes is None:
            raise ValueError(
                "`classes` must be given for source prompts: voc, ade20k, a file, or names "
                "separated by commas."
            )
        classes = load_classes(config.classes)
        self.class_ids = [i for i, name in enumerate(classes.names) if name != "background"]
        if not self.class_ids:
            raise ValueError("`classes` must hold one besides background. Got background alone.")
        self.templates = config.prompt_templates
        count = config.num_samples or len(self.class_ids) * len(self.templates)
        places = [divmod(i, len(self.class_ids)) for i in range(count)]
        names = [classes.names[self.class_ids[place]] for _, place in places]
        super().__init__(
            classes,
            [
                f"{name.replace(' ', '_')}-{number:06d}"
                for name, (number, _) in zip(names, places, strict=True)
            ],
        )

    def load(self, index: int) -> Prompt:
        position = range(len(self))[index]
        number, place = divmod(position, len(self.class_ids))
        class_id = self.class_ids[place]
        template = self.templates[number % len(self.templates)]
        text = template.replace("{class}", self.classes.names[class_id])
        return Prompt(self.source_ids[position], text, (class_id,))

    def check(self, item: Prompt) -> str | None:
        return None if item.text.strip() else "prompt is empty"

    def content_keys(self) -> Sequence[str]:
        return [self.load(index).text for index in range(len(self))]
