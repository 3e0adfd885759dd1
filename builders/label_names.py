"""Which label file belongs to which photograph, by their names."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scribblegen.builders.folder_walk import (
    LABEL_SUFFIXES,
    LOSSY_SUFFIXES,
    PHOTOGRAPH_SUFFIXES,
    FoundFile,
)
from scribblegen.file_names import safe_text
from scribblegen.images import BadImageError

SCRIBBLE_ENDINGS = ("_scribble", "_scribbles")
ENDINGS = (
    *("_mask", "-mask", "_masks", "_label", "_labels", "_seg", "_segmentation", "_gt"),
    *SCRIBBLE_ENDINGS,
)


@dataclass(frozen=True)
class Labels:
    """The label files of a folder.

    Args:
        files: id of a photograph -> the files that may be its label, one unless a user has to
            choose.
        strays: names of pictures that belong to no photograph.
        spares: names of pictures in whose place another one of the same photograph is taken.
    """

    files: Mapping[str, Sequence[Path]]
    strays: Sequence[str] = ()
    spares: Sequence[str] = ()


def match_labels(found: Iterable[FoundFile], ids: Collection[str]) -> Labels:
    """Gives each photograph its label: a file of its name, else of its name with an ending.

    A file that cannot keep values is taken only where there is no other: its sample is rejected
    for what it is.

    Args:
        found: pictures.
        ids: of the photographs.
    """
    strays: list[str] = []
    ranked: dict[str, dict[tuple[bool, bool], list[FoundFile]]] = {}
    for file in found:
        owner = file.id if file.id in ids else without_ending(file.id)
        if owner is None or owner not in ids:
            strays.append(file.name)
            continue
        rank = (file.suffix in LOSSY_SUFFIXES, owner != file.id)
        ranked.setdefault(owner, defaultdict(list))[rank].append(file)
    best = {owner: min(ranks) for owner, ranks in ranked.items()}
    return Labels(
        files={owner: [f.path for f in ranks[best[owner]]] for owner, ranks in ranked.items()},
        strays=strays,
        spares=[
            file.name
            for owner, ranks in ranked.items()
            for rank, files in ranks.items()
            for file in files
            if rank != best[owner]
        ],
    )


def the_label(files: Sequence[Path]) -> Path | None:
    """The one label file of a photograph; None where there is none.

    Raises:
        BadImageError: there are several, and nothing says which it is.
    """
    if len(files) > 1:
        names = " and ".join(safe_text(path.name) for path in files)
        raise BadImageError(f"several files for its label: {names}; one is needed")
    return files[0] if files else None


def without_ending(source_id: str, endings: Sequence[str] = ENDINGS) -> str | None:
    """The id without the ending that label files have, such as `_mask`; None if it has none."""
    for ending in endings:
        if source_id.lower().endswith(ending):
            return source_id[: -len(ending)]
    return None


def is_picture(file: FoundFile) -> bool:
    """Whether a file may be a label, by its suffix: also one that cannot keep values."""
    return file.suffix in (*LABEL_SUFFIXES, *PHOTOGRAPH_SUFFIXES)
