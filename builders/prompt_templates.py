"""Prompts of a template: "a husky in the snow", or plain, "Photo of a dog".

After DiffuMask (Wu et al., 2023): "Photo of a {sub-class} {class}", and plain prompts among them.
"""

import re
from collections.abc import Sequence

from scribblegen.builders.prompt_drafts import Draft, Turns, choose, draw
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.noun_phrases import wants_n
from scribblegen.prompt_words import ClassWords

Thing = tuple[str, bool]  # what is written, and whether an article goes in front of it


class TemplateWriter:
    """Writes prompts of templates.

    Args:
        config: the options.
        words: of all classes, by id.
        turns: whose turn it is.
    """

    def __init__(self, config: PromptsConfig, words: Sequence[ClassWords], turns: Turns) -> None:
        self.config, self.words, self.turns = config, words, turns
        self.source_ids = turns.source_ids()

    def write(self, position: int) -> Draft:
        class_id, number = self.turns.turn(position)
        plain = self.plain_before(class_id, number)
        if plain is not None:
            return self.plain(position, plain)
        ids = self.named(class_id, number)
        slotted = [
            (text.replace("{class}", "{thing}"), 1.0) for text in self.config.prompt_templates
        ]
        templates = self.words[class_id].templates or slotted
        template = choose(templates, self._draw("template", class_id, number))
        things = [self.thing(i, class_id, number) for i in ids]
        return Draft(fill(template, "{thing}", things), "template", ids)

    def content_key(self, position: int) -> str:
        return self.write(position).text

    def plain(self, position: int, before: int) -> Draft:
        """A plain prompt, of the template whose turn it is after so many `before`."""
        class_id, number = self.turns.turn(position)
        ids = self.named(class_id, number)
        template = self.config.prompt_templates[before % len(self.config.prompt_templates)]
        things = [_thing(self.words[i], self.words[i].name) for i in ids]
        return Draft(fill(template, "{class}", things), "template", ids)

    def plain_before(self, class_id: int, number: int) -> int | None:
        """How many prompts of the class before this one are plain; None if this one is not.

        They are spread evenly, at other places for each class, so that the share holds for any
        beginning of a source.
        """
        words = self.words[class_id]
        has_words = bool(words.sub_classes or words.templates or self.config.prompt_model)
        share = self.config.plain_share if has_words else 1.0
        start = self._draw("plain", class_id, 0)
        before, after = int(start + number * share), int(start + (number + 1) * share)
        return before if after > before else None

    def named(self, class_id: int, number: int) -> tuple[int, ...]:
        """The class whose turn it is, and others where a prompt may name several."""
        most = min(self.config.classes_per_prompt, len(self.turns.class_ids)) - 1
        if most == 0:
            return (class_id,)
        others = [i for i in self.turns.class_ids if i != class_id]
        count = int(self._draw("count", class_id, number) * (most + 1))
        others.sort(key=lambda i: self._draw(f"beside {self.words[i].name}", class_id, number))
        return (class_id, *others[:count])

    def thing(self, written: int, class_id: int, number: int) -> Thing:
        """The sub-class that stands for class `written` in this prompt of `class_id`."""
        words = self.words[written]
        at = self._draw(f"thing {words.name}", class_id, number)
        return _thing(words, choose(words.things, at))

    def _draw(self, what: str, class_id: int, number: int) -> float:
        return draw(self.config.prompt_seed, "prompt", what, self.words[class_id].name, number)


def _thing(words: ClassWords, thing: str) -> Thing:
    return thing, words.takes_article(thing)


def fill(template: str, slot: str, things: Sequence[Thing]) -> str:
    """A template with things in its slot: `a {thing}` becomes "an oak and a ball", or "sand"."""
    (first, takes_article), *others = things
    more = "".join(f" and {with_article(other)}" for other in others)

    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return first + more
        article, space = found[1], found[2]
        if not takes_article:
            return (first[:1].upper() + first[1:] if article[0] == "A" else first) + more
        return f"{article[0]}{'n' if wants_n(first) else ''}{space}{first}{more}"

    return re.sub(rf"(?:\b([Aa]n?)(\s+))?{re.escape(slot)}", put, template)


def with_article(thing: Thing) -> str:
    """`a` or `an` in front of a thing that takes one."""
    text, takes_article = thing
    if not takes_article:
        return text
    return f"an {text}" if wants_n(text) else f"a {text}"
