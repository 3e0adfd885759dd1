"""Photographs and labels in one folder: `a.jpg` and `a.png`, or `a.png` and `a_mask.png`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from scribblegen.builders.folder_walk import LOSSY_SUFFIXES, PHOTOGRAPH_SUFFIXES, FoundFile
from scribblegen.builders.label_names import SCRIBBLE_ENDINGS, is_picture, without_ending


@dataclass(frozen=True)
class SideBySide:
    """The pictures of one folder by what they are.

    Args:
        photographs: pictures that are no label of another.
        same_name: labels named exactly as their photographs, and pictures of kinds that only
            labels have.
        masks: labels with an ending that says nothing of scribbles.
        scribbles: labels with an ending such as `_scribble`.
    """

    photographs: Sequence[FoundFile]
    same_name: Sequence[FoundFile]
    masks: Sequence[FoundFile]
    scribbles: Sequence[FoundFile]


def tell_apart(found: Sequence[FoundFile]) -> SideBySide:
    """Sorts the pictures of a folder into photographs and their labels.

    A picture with an ending of labels is one where the picture without it is there, unless it has
    a label of its own. Of two pictures of one name the one that keeps values is the label, and the
    other, a JPEG or the like, the photograph. Where labels lie beside photographs, a picture with
    an ending that can keep values is no photograph, though its own be missing.
    """
    pictures = [file for file in found if is_picture(file)]
    by_id: dict[str, list[FoundFile]] = defaultdict(list)
    for file in pictures:
        by_id[file.id].append(file)
    stems = {file: without_ending(file.id) for file in pictures}
    same_name = [
        file
        for source_id, files in by_id.items()
        if without_ending(source_id) not in by_id
        for file in _lossless_twins(files)
    ]
    labelled = {*stems.values(), *(file.id for file in same_name)}
    with_ending = [
        file
        for file, stem in stems.items()
        if stem is not None
        and file.id not in labelled
        and (stem in by_id or file.suffix not in LOSSY_SUFFIXES)
    ]
    if not same_name and not any(stems[file] in by_id for file in with_ending):
        with_ending = []  # nothing lies beside its photograph: endings mean nothing here
    labels = {*same_name, *with_ending}
    same_name += [
        file for file in pictures if file not in labels and file.suffix not in PHOTOGRAPH_SUFFIXES
    ]
    drawn = {f for f in with_ending if without_ending(f.id, SCRIBBLE_ENDINGS) is not None}
    return SideBySide(
        photographs=[
            file for file in pictures if file not in labels and file.suffix in PHOTOGRAPH_SUFFIXES
        ],
        same_name=same_name,
        masks=[file for file in with_ending if file not in drawn],
        scribbles=[file for file in with_ending if file in drawn],
    )


def _lossless_twins(files: Sequence[FoundFile]) -> list[FoundFile]:
    """Of files of one id those that keep values, where another is a photograph by its kind."""
    for photographs in ((*LOSSY_SUFFIXES, ".webp"), PHOTOGRAPH_SUFFIXES):
        others = [file for file in files if file.suffix not in photographs]
        if 0 < len(others) < len(files):
            return others
    return []
