"""The file in a picture cell of a table: its bytes, or a file of the data set itself.

A cell may name a path instead of holding bytes, and whoever wrote the table chose that path. What
is read is published, so a path is only followed to where the data set's own files lie.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scribblegen.images import BadImageError
from scribblegen.regular_files import UnreadableFileError, is_of_the_path, read_file

PATH_REFUSED = "a path instead of a picture's bytes, and not of a file of the data set"


def cell_file(cell: Mapping[str, Any] | None, folders: Sequence[Path] = ()) -> bytes | None:
    """The file in a cell of `datasets.Image(decode=False)`; None where the cell is empty.

    Args:
        cell: `bytes`, or None there and a `path`; None for a null cell.
        folders: where the files of the data set lie, resolved. A path must be absolute, without
            `..`, and lie in one of them when every link is followed. Where empty, only bytes are
            read.

    Raises:
        BadImageError: the cell names any other path, what is no regular file, or one that is too
            large or may not be read. The message holds nothing of the path, since it is published.
        FileNotFoundError: the data set has no such file; the message is its name alone.
        OSError: a fault of the machine, which says nothing of the file.
    """
    if cell is None:
        return None
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    if cell["path"] is None:
        return None
    named = Path(cell["path"])
    path = _own_file(named, folders)
    try:
        return read_file(path)
    except FileNotFoundError as error:
        # The reason of a rejection is published: it tells nothing of the disk.
        raise FileNotFoundError(named.name) from error
    except UnreadableFileError as error:
        raise BadImageError(f"a file of the data set that is {error.what}") from error


def _own_file(path: Path, folders: Sequence[Path]) -> Path:
    """The path with its links followed."""
    if not path.is_absolute() or ".." in path.parts:
        raise BadImageError(PATH_REFUSED)
    try:
        real = path.resolve()
        own = any(real.is_relative_to(folder) for folder in folders)
        own = own and (real.is_file() or not real.exists())
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a loop of links
        if isinstance(error, OSError) and not is_of_the_path(error):
            raise
        raise BadImageError(PATH_REFUSED) from error
    if not own:
        raise BadImageError(PATH_REFUSED)
    return real
