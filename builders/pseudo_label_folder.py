"""A folder of dense labels that another program made, by the ids of the photographs.

Labels are matched as those of a folder of photographs are: `a.png` or `cat/a.png` for the id `a` or
`cat/a`, or a name that goes on with `_mask` and the like. Where only the last part of an id and of
a name agree, that is enough if no other id has it.
"""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from scribblegen.builders.config import LabelFilesConfig
from scribblegen.builders.files import content_key
from scribblegen.builders.folder_walk import FoundFile, walk
from scribblegen.builders.label_check import check_labels
from scribblegen.builders.label_names import is_picture, match_labels, the_label, without_ending
from scribblegen.builders.label_reader import LabelReader
from scribblegen.builders.unused_files import tell_unused
from scribblegen.classes import Classes
from scribblegen.file_names import safe_text
from scribblegen.regular_files import read_file
from scribblegen.text_files import shown

_OPTION = "pseudo_label_dir"


class PseudoLabelFolder:
    """The labels of a folder, by id.

    Args:
        folder: with folders in it, or without.
        classes: of the labels.
        source_ids: of the photographs, of all splits.
        convention: what the files hold; None where nobody says.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds the label of no photograph, or labels that are not class ids.
    """

    def __init__(
        self, folder: str, classes: Classes, source_ids: Sequence[str], convention: str | None
    ) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise FileNotFoundError(f"`{_OPTION}` must be a folder. Nothing at {folder}.")
        self.name = safe_text(path.resolve().name)
        self.classes = classes
        self.reader = LabelReader.of(LabelFilesConfig(label_convention=convention), classes)
        found = walk(path)
        pictures = [file for file in found if is_picture(file)]
        labels = match_labels(_by_last_part(pictures, source_ids), set(source_ids))
        self._files = labels.files
        self.source_ids = tuple(s for s in source_ids if s in labels.files)
        if not self.source_ids:
            such_as = f", such as {shown(pictures[0].name)}" if pictures else ""
            raise ValueError(
                f"`{_OPTION}` must hold labels called by the ids of the photographs, such as "
                f"{shown(source_ids[0] + '.png')}. Got {folder}, with {len(pictures)} "
                f"pictures{such_as}: none is of a photograph."
            )
        others = [file.name for file in found if not is_picture(file)]
        tell_unused(path, others, "is no label and is not used", "are no labels and are not used")
        tell_unused(path, labels.strays, "belongs to no photograph", "belong to no photograph")
        why = "not used, for another label of the same photograph comes first"
        tell_unused(path, labels.spares, f"is {why}", f"are {why}")
        check_labels(self, convention, option="pseudo_label_convention")

    def read(self, source_id: str) -> tuple[str, np.ndarray] | None:
        """The name of a photograph's label and its class ids (H, W) uint8; None where it has none.

        Raises:
            BadImageError: there are several, or it is no label.
        """
        path = the_label(self._files.get(source_id, ()))
        if path is None:
            return None
        label = self.reader.read(read_file(path))
        assert label is not None  # there is a file
        return safe_text(path.name), label

    def label_files(self, index: int) -> dict[str, bytes]:
        """As of `LabelledSource`."""
        path = the_label(self._files[self.source_ids[index]])
        return {} if path is None else {"pseudo label": read_file(path)}

    def fingerprint(self) -> str:
        """Changes with any label that is used, its photograph, and how it is read."""
        digest = hashlib.blake2b(self.reader.table.tobytes(), digest_size=8)
        digest.update(self.reader.convention.encode())
        for source_id in sorted(self.source_ids):
            keys = [content_key(path, whole=True) for path in self._files[source_id]]
            digest.update(f"{source_id} {' '.join(keys)}\0".encode())
        return digest.hexdigest()


def _by_last_part(found: Sequence[FoundFile], ids: Collection[str]) -> list[FoundFile]:
    """Files under the id whose last part they have, where their whole name is that of none."""
    known = set(ids)
    owners: dict[str, str | None] = {}
    for source_id in known:
        last = source_id.rsplit("/", 1)[-1]
        owners[last] = None if last in owners else source_id

    def named(file: FoundFile) -> FoundFile:
        if file.id in known or without_ending(file.id) in known:
            return file
        last = file.id.rsplit("/", 1)[-1]
        owner = owners.get(last) or owners.get(without_ending(last) or "")
        ending = file.name[len(file.id) :]
        return file if owner is None else FoundFile(file.path, owner + ending)

    return [named(file) for file in found]
