"""An option whose value decides which other options there are, such as `source`."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import shown


@dataclass(frozen=True)
class Choice:
    """An option whose value decides which other options there are.

    Args:
        option: its name, such as `source`.
        names: its values.
        default: one of them; or a function that gives it, of what was chosen for the options whose
            defaults are no functions, by option.
        config_type: gives, for a value, the dataclass with the options that it brings.
        help: what the option decides.
        stands_for: gives, for a value that is none of the names and the other choices, the flags
            that it is short for; none where it is for nothing.
    """

    option: str
    names: tuple[str, ...]
    default: str | Callable[[Mapping[str, str]], str]
    config_type: Callable[[str], type]
    help: str
    stands_for: Callable[[str, Mapping[str, str]], Sequence[str]] = lambda value, chosen: ()

    def check(self, value: Any, where: str = "") -> str:
        """`value`, if it is one of the names; `where` it stands is said otherwise."""
        if value not in self.names:
            near = did_you_mean(str(value), self.names)
            raise ValueError(
                f"`{self.option}`{where} must be one of {list(self.names)}. "
                f"Got {shown(value)}.{near}"
            )
        return str(value)

    def default_beside(self, chosen: Mapping[str, str]) -> str:
        """The default, where the other choices are as `chosen`: option -> name."""
        return self.default if isinstance(self.default, str) else self.default(chosen)

    def elsewhere(self, name: str, chosen: str) -> str | None:
        """Of an option that `chosen` has not: which values have it, in a sentence, if any."""
        owners = [
            other
            for other in self.names
            if other != chosen and name in {f.name for f in fields(self.config_type(other))}
        ]
        if not owners:
            return None
        near = did_you_mean(name, [f.name for f in fields(self.config_type(chosen))])
        return (
            f"`{name}` is an option of {self.option} {', '.join(owners)}; {self.option} {chosen} "
            f"has none of that name.{near} Choose with `--{self.option} {owners[0]}`, or leave it "
            "out."
        )


def import_name(path: str) -> Any:
    """What `module:name` names, imported now and not before."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)
