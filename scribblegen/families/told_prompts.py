"""Prompts as rows are told them, each embedded once."""

from scribblegen.families.base import Condition, Family

_MOST = 4096  # texts: items with the same classes share one


class ToldPrompts:
    """What rows need to be told a text; the latest texts are kept.

    Args:
        family: embeds them.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self._kept: dict[str, Condition] = {}

    def __call__(self, text: str) -> Condition:
        if text not in self._kept:
            if len(self._kept) >= _MOST:
                self._kept.pop(next(iter(self._kept)))
            self._kept[text] = self.family.prompt(text)
        return self._kept[text]
