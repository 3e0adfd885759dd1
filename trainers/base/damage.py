"""What is wrong with a checkpoint's files, and which earlier checkpoint is whole."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from scribblegen.trainers.base.checkpoints import PREFIX

_TORCH = (".bin", ".pt", ".pth")
_BLOCK = 2**20  # bytes


def damaged_file(checkpoint: Path, needed: Sequence[str] = ()) -> str | None:
    """What is wrong with the first file of a checkpoint that cannot be read, in words.

    Archives of torch are read to their end, since they hold a checksum of every tensor; of
    safetensors, which have none, the header must fit the size.

    Args:
        checkpoint: its folder.
        needed: patterns of names, of each of which there must be a file.
    """
    for pattern in needed:
        if not any(checkpoint.glob(pattern)):
            return f"{pattern.removeprefix('**/')} is missing"
    for path in sorted(p for p in checkpoint.rglob("*") if p.is_file()):
        wrong = _fault(path)
        if wrong is not None:
            return f"{path.relative_to(checkpoint)} {wrong}"
    return None


def check_checkpoint(checkpoint: Path, needed: Sequence[str] = (), problem: str = "") -> None:
    """Refuses a damaged checkpoint, naming the newest earlier one that is whole.

    Args:
        checkpoint: to go on from.
        needed: patterns of names, of each of which every checkpoint must have a file.
        problem: what went wrong when it was loaded, where that is known.

    Raises:
        ValueError: it is damaged.
    """
    wrong = damaged_file(checkpoint, needed) or problem
    if not wrong:
        return
    whole = next((c for c in _before(checkpoint) if damaged_file(c, needed) is None), None)
    if whole is None:
        fix = "No earlier one is whole: delete it and start again."
    else:
        fix = (
            f"The newest whole one before it is {whole.name}: delete {checkpoint.name}, or give "
            f"--resume_from_checkpoint {whole}."
        )
    raise ValueError(f"`resume_from_checkpoint` {checkpoint} is damaged: {wrong}. {fix}")


def _before(checkpoint: Path) -> list[Path]:
    """The checkpoints beside one that have fewer steps, newest first."""

    def steps(path: Path) -> int:
        number = path.name.removeprefix(PREFIX)
        return int(number) if path.name.startswith(PREFIX) and number.isdecimal() else -1

    beside = (path for path in checkpoint.parent.glob(f"{PREFIX}*") if path.is_dir())
    found = [path for path in beside if 0 <= steps(path) < steps(checkpoint)]
    return sorted(found, key=steps, reverse=True)


def _fault(path: Path) -> str | None:
    readers: dict[str, Callable[[Path], str | None]] = {
        ".json": _json_fault,
        ".safetensors": _safetensors_fault,
        **dict.fromkeys(_TORCH, _torch_fault),
    }
    reader = readers.get(path.suffix)
    return None if reader is None else reader(path)


def _json_fault(path: Path) -> str | None:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "is not JSON"
    return None


def _safetensors_fault(path: Path) -> str | None:
    try:
        with safe_open(path, "pt"):
            return None
    except (SafetensorError, OSError):
        return "is cut short, or no safetensors"


def _torch_fault(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    while member.read(_BLOCK):  # to its end, where the checksum is compared
                        pass
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return "is cut short or changed"
    return None
