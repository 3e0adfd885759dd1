"""Descriptions of templates: things with attributes, in a scene, in some light.

All words of templates are data, each with a weight: `label_spaces/description_templates.yaml`.
"""

from collections.abc import Mapping, Sequence

from scribblegen.builders.prompt_drafts import choose, draw
from scribblegen.builders.prompt_templates import with_article
from scribblegen.builders.texts.template_files import Scene, Templates
from scribblegen.builders.texts.verified import Verifier
from scribblegen.descriptions import Asked, Description
from scribblegen.segmenting.phrases import occurrences
from scribblegen.vocabulary import Word


class TemplateTexts:
    """Writes descriptions of templates; nothing is asked and nothing can fail.

    Args:
        templates: the data.
        verifier: finds the words.
    """

    at_once = 1

    def __init__(self, templates: Templates, verifier: Verifier) -> None:
        self.templates, self.verifier = templates, verifier
        self._fitting: dict[int, frozenset[int]] = {}  # positions of scenes, by word

    def identity(self) -> dict[str, str | None]:
        """The digest of the templates."""
        return {"texts": self.templates.digest}

    def remarks(self) -> Mapping[str, int]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing."""

    def write(self, asked: Asked) -> Description | str:
        """The description; of equal seeds and words it is equal."""
        scene = self.scene(asked)
        things = [self.thing(word, asked) for word in asked.words]
        opening = choose(self.templates.openings, draw(asked.seed, "opening"))
        light = choose(self.templates.lights, draw(asked.seed, "light"))
        text = f"{opening}{_listed(things)} {scene.text}{light}"
        return self.verifier.description(text, asked, "template", scene.nouns)

    def scene(self, asked: Asked) -> Scene:
        """Where its words can be, and which names none of them itself."""
        both = frozenset.intersection(*map(self._scenes_of, asked.words))
        scenes = [self.templates.scenes[position] for position in sorted(both)]
        return choose(scenes or self.templates.scenes, draw(asked.seed, "scene"))

    def thing(self, word: Word, asked: Asked) -> str:
        """A word with an attribute and its article."""
        templates = self.templates
        kinds = [kind for kind in word.parents if kind in templates.attributes]
        options = templates.attributes[kinds[0] if kinds else "thing"]
        attribute = choose(options, draw(asked.seed, "attribute", word.id))
        countable = word.name.lower() not in templates.uncountable
        return with_article((f"{attribute} {word.name}".strip(), countable))

    def _scenes_of(self, word: Word) -> frozenset[int]:
        if word.id not in self._fitting:
            kinds = {*word.parents, word.name}
            self._fitting[word.id] = frozenset(
                position
                for position, (scene, _) in enumerate(self.templates.scenes)
                if (not scene.kinds or kinds & set(scene.kinds))
                and not occurrences(scene.text, [word.phrases])
            )
        return self._fitting[word.id]


def _listed(things: Sequence[str]) -> str:
    *first, last = things
    return f"{', '.join(first)} and {last}" if first else last
