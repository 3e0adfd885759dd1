"""Prompts that are captions of procedural scenes: what the shipped pipeline understands.

No scene is drawn: a caption follows from its composition.
"""

from collections.abc import Sequence

from scribblegen.builders.prompt_drafts import Draft, Turns
from scribblegen.builders.scenes.captions import caption
from scribblegen.builders.scenes.composition import compose
from scribblegen.builders.scenes.kinds import OBJECT_KINDS, SCENE_CLASSES
from scribblegen.builders.scenes.source import SCENES_VERSION
from scribblegen.prompt_words import ClassWords
from scribblegen.segmenting.phrases import occurrences

FIRST_SCENE = 200_000  # nothing of the shipped pipeline was trained on this one or those after it
STRIDE = 64  # scenes from which a prompt takes the first that fits: so none waits for another


def scene_words() -> list[ClassWords]:
    """The words of the scenes' classes, by id, as their captions have them."""
    return [
        ClassWords(
            name,
            sub_classes=tuple((k.phrase, 1.0) for k in OBJECT_KINDS if k.class_name == name),
        )
        for name in SCENE_CLASSES.names
    ]


class SceneWriter:
    """For the class in turn the next caption that names it.

    Args:
        seed: the root seed of the scenes.
        words: of all classes, by id.
        turns: whose turn it is.
    """

    def __init__(self, seed: int, words: Sequence[ClassWords], turns: Turns) -> None:
        self.seed, self.turns = seed, turns
        self.phrases = [each.phrases for each in words]
        self.source_ids = turns.source_ids()

    def write(self, position: int) -> Draft:
        class_id, _ = self.turns.turn(position)
        number = FIRST_SCENE + STRIDE * position
        while True:  # a twentieth of all scenes or more names each class
            text = caption(compose(number, self.seed))
            named = {found.row for found in occurrences(text, self.phrases)}
            if class_id in named:
                return Draft(text, "scenes", tuple(sorted(named)), complete=True)
            number += 1

    def content_key(self, position: int) -> str:
        return f"scenes {SCENES_VERSION} seed {self.seed} stride {STRIDE}"
