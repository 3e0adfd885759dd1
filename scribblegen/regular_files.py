"""Files that others put on a disk, looked at before they are opened.

A FIFO hangs whoever opens it, a device never ends, and a sparse file of any size fits a small disk.
What is wrong with a file is a reason to reject its sample. What is wrong with the machine for the
moment, such as too many open files, is raised as it is: a rerun must give the same samples.
"""

import errno
import os
import stat
from pathlib import Path
from typing import NoReturn

from scribblegen.file_names import shown_path
from scribblegen.images import BadImageError

MAX_BYTES = 2**30
# Faults of a path that stay as long as its disk does. Any other is the machine's, and passes.
_FAULTS = {
    errno.ELOOP: "a link that leads to itself",
    errno.ENAMETOOLONG: "a name that is too long",
    errno.EACCES: "not to be read: permission denied",
    errno.EPERM: "not to be read: permission denied",
    errno.ENOTDIR: "a path through what is no folder",
    errno.EISDIR: "a folder",
}
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class UnreadableFileError(BadImageError):
    """What a path leads to is no file that can be read.

    Args:
        path: of the file; the message tells its folder and name, nothing else of the disk.
        what: it is, to go on after "is".
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{shown_path(path)} is {what}")
        self.what = what


def file_size(path: Path, *, max_bytes: int = MAX_BYTES) -> int:
    """The size in bytes of a file that may be opened; it is not opened here.

    Args:
        path: of the file; links are followed.
        max_bytes: the largest size.

    Raises:
        FileNotFoundError: there is nothing.
        UnreadableFileError: it is no regular file, too large, or the path leads nowhere.
        OSError: a fault of the machine, which says nothing of the file.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        _raise(error, path)
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")
        raise UnreadableFileError(path, f"{kind}; a file is needed")
    if found.st_size > max_bytes:
        sizes = [f"{size / 2**30:.1f} GB" for size in (found.st_size, max_bytes)]
        raise UnreadableFileError(path, f"{sizes[0]} large; at most {sizes[1]} is read")
    return found.st_size


def read_file(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a file; raises as `file_size`, before it is opened."""
    file_size(path, max_bytes=max_bytes)
    try:
        return path.read_bytes()
    except OSError as error:
        _raise(error, path)


def is_of_the_path(error: OSError) -> bool:
    """Whether an error tells of a path or its rights, and not of the machine for the moment."""
    return error.errno in _FAULTS


def _raise(error: OSError | ValueError, path: Path) -> NoReturn:
    """Raises what an error means: something about the file, or the machine's own fault."""
    if isinstance(error, ValueError):  # of `os.stat`
        raise UnreadableFileError(path, "a name with a NUL in it") from error
    if error.errno is not None and is_of_the_path(error):
        raise UnreadableFileError(path, _FAULTS[error.errno]) from error
    raise error
