"""Files that are there whole or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_PARTIAL = ".partial"  # suffix of files still being written


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A file to write, which takes the name `path` at the end of the block.

    So that name never stands for a part of it, even after a power cut. Where the block fails
    nothing is left behind.

    Raises:
        OSError: the device is full or read-only; the message says what to do.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        os.replace(partial, path)
        _sync(path.parent)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        with contextlib.suppress(OSError):  # a read-only device refuses even to miss a file
            partial.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole, or not at all; raises as `atomic_file` does."""
    with atomic_file(path) as partial:
        partial.write_bytes(data)


def remove_partial_files(folder: Path) -> None:
    """Deletes what a killed run was still writing."""
    for partial in folder.rglob(f".*{_PARTIAL}"):
        partial.unlink()


def _sync(path: Path) -> None:
    """Waits until a file or folder is on the device."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError, path: Path) -> OSError:
    """The same error, with what its user can do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "no space left on the device. Free some and run the same command again: "
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "the folder cannot be written. Make it writable and run the same command again: "
    else:
        return error
    return OSError(error.errno, f"{advice}finished shards are kept", str(path))
