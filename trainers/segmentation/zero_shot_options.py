"""The zero-shot protocol: classes that photographs do not teach, measured apart from the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from scribblegen.configs import option
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import shown

# Names of lists of unseen classes, in `scribblegen/label_spaces/`.
SPLITS = ("voc-15-5",)


@dataclass
class ZeroShotOptions:
    """Which classes count as unseen, and whether photographs show them."""

    unseen_classes: list[str] = option(
        [],
        f"Classes that are reported apart, or a split: {', '.join(SPLITS)}. Alone it changes no "
        "training: synthetic images may show them.",
    )
    hide_unseen: bool = option(
        False,
        "Leave pixels of `unseen_classes` in photographs unlabelled, so that synthetic images "
        "alone teach them.",
    )

    def check_zero_shot_options(self) -> None:
        """Refuses what would have no effect.

        Raises:
            ValueError: the message says what.
        """
        if self.hide_unseen and not self.unseen_classes:
            raise ValueError("`hide_unseen` has no effect without `unseen_classes`. Name some.")

    def unseen_ids(self, names: Sequence[str]) -> tuple[int, ...]:
        """The ids of the unseen classes, sorted; none where the protocol is not asked for.

        A name is found however its case is, and its spaces, hyphens and underscores: `pottedplant`
        is `potted plant`, unless another class has just that name.

        Args:
            names: the classes, in id order.

        Raises:
            ValueError: a name is no class, or no class is left that is seen.
        """
        given = list(self.unseen_classes)
        if len(given) == 1 and given[0] in SPLITS and given[0] not in names:
            split = resources.files("scribblegen") / "label_spaces" / f"{given[0]}.txt"
            given = split.read_text("utf-8").splitlines()
        plain = [_plain(name) for name in names]
        found = set()
        for name in given:
            if name in names:
                found.add(list(names).index(name))
            elif plain.count(_plain(name)) == 1:
                found.add(plain.index(_plain(name)))
            else:
                raise ValueError(
                    f"`unseen_classes` must be classes, {list(names)}, or a split, {list(SPLITS)}. "
                    f"Got {shown(name)}.{did_you_mean(name, list(names))}"
                )
        if len(found) == len(names):
            raise ValueError(
                f"`unseen_classes` must leave a class that is seen. Got all {len(names)}."
            )
        return tuple(sorted(found))


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")
