"""The output folder of a run: whose it is, and whether it may be resumed."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scribblegen.classes import Classes
from scribblegen.configs import differences
from scribblegen.methods.base import Subset
from scribblegen.runs.atomic_files import explained, remove_partial_files, write_atomically
from scribblegen.runs.manifest import MANIFEST, read_manifest, write_manifest
from scribblegen.vocabulary import Vocabulary

CONFIG_FILE = "run/config.yaml"
_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "datasets", "pillow", "pyarrow")


class RunError(ValueError):
    """A run that cannot go on; the message says why, and what its user can do."""


@dataclass(frozen=True, eq=False)
class Header:
    """What a manifest says of its run.

    Args:
        method: name of the method.
        config: all options, flat, as in `run/config.yaml`; no path of the machine it ran on.
        identity: what must be equal for a run to be resumed; the options and the fingerprints of
            source files, weights and device.
        classes: the classes of the labels.
        subsets: that it makes.
        spanning: options whose values only say which subsets there are.
        num_units: how many units the plan has.
        vocabulary: whose words rows name, where they name any.
    """

    method: str
    config: dict[str, Any]
    identity: dict[str, Any]
    classes: Classes
    subsets: Sequence[Subset]
    spanning: Sequence[str]
    num_units: int
    vocabulary: Vocabulary | None = None

    def as_dict(self, *, complete: bool) -> dict[str, Any]:
        import scribblegen

        return {
            "scribblegen": scribblegen.__version__,
            "complete": complete,
            "method": self.method,
            "identity": self.identity,
            "environment": {
                "python": platform.python_version(),
                **{name: version(name) for name in _LIBRARIES},
            },
            "classes": [
                {"id": i, "name": name, "palette_rgb": list(colour)}
                for i, (name, colour) in enumerate(
                    zip(self.classes.names, self.classes.palette, strict=True)
                )
            ],
            "subsets": [
                {
                    "subset": subset.name,
                    "settings": dict(subset.settings),
                    "generated": subset.generated,
                    "pictures": dict(subset.pictures),
                }
                for subset in self.subsets
            ],
            "spanning": list(self.spanning),
            "num_units": self.num_units,
            **({} if self.vocabulary is None else {"vocabulary": self.vocabulary.rows()}),
        }


def prepare_folder(folder: Path, header: Header, config_yaml: str) -> None:
    """Makes a folder ready for a new run, or for the rest of the same one.

    Raises:
        RunError: it holds something else; the message says what differs.
        OSError: it cannot be written.
    """
    check_folder(folder, header)
    if not (folder / MANIFEST).is_file():
        write_manifest(folder, header.as_dict(complete=False))
    write_atomically(folder / CONFIG_FILE, config_yaml.encode())
    remove_partial_files(folder)


def check_folder(folder: Path, header: Header) -> None:
    """Refuses a folder that holds another run, or no run at all but other files."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"`output_dir` must be a folder. {folder} is a file.")
    if (folder / MANIFEST).is_file():
        changed = differences(read_manifest(folder).get("identity", {}), header.identity)
        if changed:
            raise RunError(
                f"`output_dir` {folder} holds another run: {'; '.join(changed)}. Use another "
                "folder, or delete this one."
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise RunError(
            f"`output_dir` {folder} holds files of something else. Use an empty or a new folder."
        )


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keeps a second run out of the folder while the first is at work. Leaves no file behind.

    Raises:
        RunError: another run is at work in it.
        OSError: the folder cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not on this system: two runs at once are then the user's to avoid
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, folder) from error
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"`output_dir` {folder} is being written by another run. Wait for it to end."
            ) from error
        yield
    finally:
        os.close(descriptor)
