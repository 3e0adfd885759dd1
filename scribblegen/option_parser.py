"""A command line parser that answers a mistake with one line: the option, and how to mend it."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

_KINDS = {"int": "a whole number", "float": "a number"}
_MOST_SHOWN = 200  # characters of a value in a message


class OptionParser(argparse.ArgumentParser):
    """As `argparse.ArgumentParser`, without abbreviations and without a usage beside an error.

    Args:
        elsewhere: says of an unknown option where it belongs, in a sentence; None where nobody
            knows it.
        **settings: of `argparse.ArgumentParser`.
    """

    def __init__(
        self,
        *positional: Any,
        elsewhere: Callable[[str], str | None] = lambda name: None,
        **settings: Any,
    ) -> None:
        super().__init__(*positional, **{**settings, "allow_abbrev": False})
        self.elsewhere = elsewhere

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse does; an unknown option is told before a missing one, its likely cause."""
        for text in args:
            if self._is_unknown(text):
                self.error(self._unknown(text.partition("=")[0].lstrip("-").replace("-", "_")))
        found, left = self.parse_known_args(args, namespace)
        if left:
            self.error(
                f"`{_cut(left[0])}` must have an option in front of it. "
                f"`{self.prog} --help` lists all."
            )
        return found

    def error(self, message: str) -> NoReturn:
        """Ends the command with one line and exit code 2."""
        self.exit(2, f"{self.prog}: error: {_in_house(message)}\n")

    def _is_unknown(self, text: str) -> bool:
        """Whether argparse takes `text` for an option, and has none of that name."""
        is_option = text.startswith("-") and text.strip("-") != "" and not re.match(r"-\.?\d", text)
        known = self._option_string_actions
        return (
            is_option
            and text not in known
            and text.partition("=")[0] not in known
            and (" " not in text)
        )

    def _unknown(self, name: str) -> str:
        belongs = self.elsewhere(name)
        if belongs is not None:
            return belongs
        known = [text.lstrip("-") for text in self._option_string_actions]
        return (
            f"`{_cut(name)}` is no option of `{self.prog}`.{did_you_mean(name, known)} "
            f"`{self.prog} --help` lists all."
        )


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


def _without_long_words(text: str) -> str:
    """argparse's message: the value that it quotes is cut, the choices that it lists are not."""
    return " ".join(_cut(word) for word in text.split(" "))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """` Did you mean ...?` with the nearest of `known`; nothing where none is near."""
    near = difflib.get_close_matches(name[:_MOST_SHOWN], known, n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def _in_house(message: str) -> str:
    """argparse's own messages in the words of this project; others as they are."""
    missing = re.fullmatch("the following arguments are required: (.*)", message)
    if missing:
        names = [f"`{name.lstrip('-').partition('/')[0]}`" for name in missing[1].split(", ")]
        return f"{', '.join(names)} must be given."
    named = re.fullmatch(r"argument (?:-\w, )?(?:-*)([\w-]+)(?:/\S+)*: (.*)", message, re.DOTALL)
    if not named:
        return message
    option, problem = named.groups()
    wrong = re.fullmatch(r"invalid (\w+) value: (.*)", problem)
    if wrong:
        kind = _KINDS.get(wrong[1], f"of the kind {wrong[1]}")
        return f"`{option}` must be {kind}. Got {_cut(wrong[2])}."
    if problem.startswith("expected"):
        return f"`{option}` must be followed by its value: {problem}."
    return f"`{option}`: {_without_long_words(problem)}"
