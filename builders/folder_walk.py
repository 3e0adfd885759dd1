"""The files below a folder, each under a name that can be stored and compared anywhere."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scribblegen.file_names import safe_text

# What may change values, so that it holds a photograph and no label.
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".avif", ".jp2", ".j2k")
PHOTOGRAPH_SUFFIXES = (
    *LOSSY_SUFFIXES,
    *(".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm"),
)
LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pnm")


@dataclass(frozen=True)
class FoundFile:
    """A file below a folder.

    Args:
        path: where it lies; it may be anything but a folder.
        name: its path below the folder, with `/`, as text in the spelling NFC.
    """

    path: Path
    name: str

    @cached_property
    def suffix(self) -> str:
        """The end of its name, such as `.png`, in small letters."""
        return os.path.splitext(self.name)[1].lower()

    @cached_property
    def id(self) -> str:
        """Its name without the suffix, such as `cat/a`."""
        return self.name[: len(self.name) - len(self.suffix)]


def walk(folder: Path, skip: Iterable[Path] = ()) -> list[FoundFile]:
    """Every file in a folder and in those below it, sorted by name.

    Links are followed, and each real folder is walked once, so that a link that leads back ends.
    What is hidden is left out, as is `__MACOSX`.

    Args:
        folder: to begin with.
        skip: folders that are not walked; neither are those that `folder` lies in.

    Raises:
        OSError: a folder cannot be listed.
    """
    seen = {_identity(path) for path in [folder, *folder.resolve().parents, *skip]}
    found: list[FoundFile] = []
    real, linked = deque([(folder, "")]), deque[tuple[Path, str]]()
    while real or linked:
        here, below = real.popleft() if real else linked.popleft()
        if here != folder:
            if _identity(here) in seen:
                continue
            seen.add(_identity(here))
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            path, name = Path(entry.path), below + safe_text(entry.name)
            if entry.is_dir(follow_symlinks=False):
                real.append((path, f"{name}/"))
            elif entry.is_symlink() and path.is_dir():
                linked.append((path, f"{name}/"))
            else:
                found.append(FoundFile(path, name))
    return sorted(found, key=lambda file: file.name.split("/"))


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
