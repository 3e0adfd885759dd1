"""Descriptions that are captions of procedural scenes: what the shipped pipeline understands."""

from collections.abc import Mapping

from scribblegen.builders.prompt_scenes import FIRST_SCENE, STRIDE
from scribblegen.builders.scenes.captions import caption
from scribblegen.builders.scenes.composition import compose
from scribblegen.builders.scenes.kinds import SCENE_CLASSES
from scribblegen.builders.scenes.source import SCENES_VERSION
from scribblegen.builders.texts.verified import Verifier
from scribblegen.descriptions import Asked, Description
from scribblegen.text_files import shown


class SceneTexts:
    """For the words that are asked for, the next caption that names them.

    Where no caption nearby names all of them, as none has sand and grass, that of the first alone
    is taken: its description has one word.

    Args:
        seed: the root seed of the scenes.
        verifier: finds the words.

    Raises:
        ValueError: a word is none of the scenes.
    """

    at_once = 1

    def __init__(self, seed: int, verifier: Verifier) -> None:
        self.seed, self.verifier = seed, verifier
        words = verifier.vocabulary.words
        strange = [word.name for word in words if word.name not in SCENE_CLASSES.names]
        if strange:
            raise ValueError(
                f"`texts` scenes must be of words of scenes: {', '.join(SCENE_CLASSES.names)}. Got "
                f"{shown(strange[0])}."
            )

    def identity(self) -> dict[str, str | None]:
        """The version and the seed of the scenes."""
        return {"texts": f"scenes {SCENES_VERSION} seed {self.seed} stride {STRIDE}"}

    def remarks(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing."""

    def write(self, asked: Asked) -> Description | str:
        """The description; it names the first word at least."""
        first = Asked(asked.source_id, asked.words[:1], asked.number, asked.place, asked.seed)
        position = asked.number * len(self.verifier.vocabulary) + asked.place
        start = number = FIRST_SCENE + STRIDE * position
        found: Description | None = None
        while found is None or number < start + STRIDE:
            text = caption(compose(number, self.seed))
            both = self.verifier.description(text, asked, "scenes")
            if not isinstance(both, str):
                return both
            if found is None and len(asked.words) > 1:
                alone = self.verifier.description(text, first, "scenes")
                found = None if isinstance(alone, str) else alone
            number += 1
        return found
