"""Files that are there whole or not at all."""

import contextlib
import errno
import os
from pathlib import Path

_PARTIAL = ".partial"  # suffix of files still being written


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Writes a file so that its name never stands for a part of it, even after a power cut.

    Raises:
        OSError: the device is full or read-only; the message says what to do.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # a read-only device refuses even to miss a file
            partial.unlink(missing_ok=True)
        raise explained(error, path) from error


def remove_partial_files(folder: Path) -> None:
    """Deletes what a killed run was still writing."""
    for partial in folder.rglob(f".*{_PARTIAL}"):
        partial.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
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
