"""What segmentors of any words are compared on: classes, and what a background is."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import read_text, shown
from scribblegen.trainers.open_vocabulary.background import Background
from scribblegen.yaml_files import parse_yaml

PROTOCOLS = ("voc20", "voc21", "context59", "coco81")
_FIELDS = ("classes", "background", "background_rule", "background_threshold", "background_words")


@dataclass(frozen=True)
class Protocol:
    """Classes by name, and when a pixel is none of them.

    Args:
        classes: that are looked for, in the order of the report.
        background: the class of pixels that are none of them, the last one of the report; None
            where such pixels are left out of the count, whatever is found there.
        rule: when a pixel is found to be none of them.

    Raises:
        ValueError: a class is there twice, or there are none or too many.
    """

    classes: tuple[str, ...]
    background: str | None = None
    rule: Background = Background()

    def __post_init__(self) -> None:
        Classes(self.names)  # their number, and that they differ

    @property
    def names(self) -> tuple[str, ...]:
        """All classes of the report."""
        return self.classes if self.background is None else (*self.classes, self.background)

    def table(self, names: Sequence[str]) -> np.ndarray:
        """(256,) uint8: ids of a source's classes -> positions in `names`.

        A name is found however its case is, its spaces, hyphens and underscores. Classes that the
        protocol has not are `IGNORE_INDEX`: their pixels are left out.

        Args:
            names: of the source's classes, in id order.

        Raises:
            ValueError: the source lacks one of the protocol's.
        """
        table = np.full(256, IGNORE_INDEX, np.uint8)
        plain = [_plain(name) for name in names]
        for position, name in enumerate(self.names):
            if _plain(name) not in plain:
                raise ValueError(
                    f"`protocol` must have classes of the source alone, {shown(list(names))}. Got "
                    f"{name!r}.{did_you_mean(name, list(names))}"
                )
            table[plain.index(_plain(name))] = position
        return table


def load_protocol(spec: str) -> Protocol:
    """One that ships, by its name; or a YAML file of the same form.

    Raises:
        ValueError: neither is there, or the file is no protocol.
    """
    if spec in PROTOCOLS:
        file = resources.files("scribblegen") / "label_spaces" / "protocols" / f"{spec}.yaml"
        text = file.read_text("utf-8")
    elif Path(spec).is_file():
        text = read_text(Path(spec), "protocol")
    else:
        raise ValueError(
            f"`protocol` must be one of {PROTOCOLS}, or a YAML file of classes. Got {shown(spec)}."
            f"{did_you_mean(spec, PROTOCOLS)}"
        )
    said = parse_yaml(text, f"`protocol` {spec}")
    if not isinstance(said, dict) or not isinstance(said.get("classes"), list):
        raise ValueError(f"`protocol` {spec} must hold `classes`, a list of names.")
    if strange := [str(key) for key in said if key not in _FIELDS]:
        raise ValueError(
            f"`protocol` {spec} must hold {_FIELDS}. Got {shown(strange[0])}."
            f"{did_you_mean(strange[0], _FIELDS)}"
        )
    background = said.get("background")
    return Protocol(
        tuple(map(str, said["classes"])),
        None if background is None else str(background),
        Background(
            said.get("background_rule", "none"),
            said.get("background_threshold"),
            tuple(map(str, said.get("background_words", ()))),
        ),
    )


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")
