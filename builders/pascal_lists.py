"""Which photographs of PASCAL VOC: its list files, and subsets for work with few labels."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from scribblegen.builders.files import read_ids

LIST_FOLDERS = (
    "ImageSets/SegmentationAug",
    "ImageSets/Segmentation",
    "ImageSets",
    "splits",
    "splits/pascal",
    "",
)
_FILE_NAMES = ("{}", "{}.txt", "{}/labeled.txt")
_TRAIN_AUG = ("train_aug", "trainaug", "aug_train", "train_aug_id")
_LOW_DATA = re.compile(r"1_([1-9]\d*)")


def low_data_subset(source_ids: Sequence[str], denominator: int) -> list[str]:
    """One `denominator`-th of the ids, rounded up: always the same, whatever their order.

    The ids are ranked by a hash, so that a smaller subset lies inside every larger one.

    Args:
        source_ids: all different.
        denominator: 1 keeps every id. 2, 4, 8 and 16 of the 10,582 of train_aug are 5,291, 2,646,
            1,323 and 662.

    Returns:
        The chosen ids, in the order of `source_ids`.
    """
    if denominator < 1:
        raise ValueError(f"`denominator` must be at least 1. Got {denominator}.")
    ranked = sorted(source_ids, key=lambda source_id: hashlib.sha256(source_id.encode()).digest())
    chosen = set(ranked[: -(-len(ranked) // denominator)])
    return [source_id for source_id in source_ids if source_id in chosen]


def listed_ids(ids: str | None, roots: Sequence[Path], labelled: Sequence[str]) -> list[str]:
    """The ids that a list names.

    Args:
        ids: `train_aug` (None: the same), another list by name or path, or `1_2` .. `1_16`, which
            are a part of train_aug where there is no such list.
        roots: folders that hold lists or an `ImageSets` folder, the first to look in first.
        labelled: every photograph with a label. Without those of `val`, they stand for train_aug
            where there is no such list.

    Raises:
        FileNotFoundError: there is no such list; the message names those that there are.
    """
    name = "train_aug" if ids is None or ids in _TRAIN_AUG else ids
    found = _find_list(name, roots)
    if found is not None:
        return read_ids(found)
    if name == "train_aug":
        val = _find_list("val", roots)
        held_out = set() if val is None else set(read_ids(val))
        return [source_id for source_id in labelled if source_id not in held_out]
    low_data = _LOW_DATA.fullmatch(name)
    if low_data:
        return low_data_subset(listed_ids(None, roots, labelled), int(low_data[1]))
    raise FileNotFoundError(
        f"`ids` must be train_aug, 1_2, 1_4, 1_8, 1_16 or a list file. Got {name!r}. "
        f"Lists in {roots[0]}: {', '.join(_list_names(roots)) or 'none'}."
    )


def _find_list(name: str, roots: Sequence[Path]) -> Path | None:
    """A path as given, in a root or from here; else a file of that name in a folder of lists."""
    paths = [root / name for root in roots] + [Path(name)]
    for alias in _TRAIN_AUG if name == "train_aug" else (name,):
        for root in roots:
            for folder in LIST_FOLDERS:
                paths += [root / folder / file_name.format(alias) for file_name in _FILE_NAMES]
    return next((path for path in paths if path.is_file()), None)


def _list_names(roots: Sequence[Path]) -> list[str]:
    found = {
        path.relative_to(root).as_posix()
        for root in roots
        for folder in LIST_FOLDERS
        for path in (root / folder).glob("*.txt")
        if not path.name.upper().startswith("README")
    }
    return sorted(found)
