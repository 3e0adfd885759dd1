"""Checkpoint folders: written whole or not at all, found again, thinned out."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

STATE_FILE = "state.json"
PREFIX = "checkpoint-"


def checkpoints(output_dir: Path) -> list[Path]:
    """Complete checkpoint folders, oldest first."""
    found = [
        path
        for path in output_dir.glob(f"{PREFIX}*")
        if path.name.removeprefix(PREFIX).isdigit() and (path / STATE_FILE).is_file()
    ]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def begin_checkpoint(output_dir: Path, step: int) -> Path:
    """An empty folder to write checkpoint `step` into; `finish_checkpoint` gives it its name."""
    partial = output_dir / f".{PREFIX}{step}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def finish_checkpoint(
    partial: Path, step: int, state: dict[str, Any], total_limit: int | None
) -> Path:
    """Names a written checkpoint, then removes the oldest beyond `total_limit`."""
    (partial / STATE_FILE).write_text(json.dumps({"step": step, **state}, indent=1), "utf-8")
    final = partial.parent / f"{PREFIX}{step}"
    shutil.rmtree(final, ignore_errors=True)
    os.replace(partial, final)
    if total_limit is not None:
        for old in checkpoints(partial.parent)[:-total_limit]:
            shutil.rmtree(old)
    return final


def find_checkpoint(output_dir: Path, wanted: str | None) -> Path | None:
    """The checkpoint to go on from: a folder, or the `latest` of `output_dir`.

    Raises:
        FileNotFoundError: `wanted` is no complete checkpoint.
    """
    if wanted is None:
        return None
    if wanted == "latest":
        return next(reversed(checkpoints(output_dir)), None)
    for path in (Path(wanted), output_dir / wanted):
        if (path / STATE_FILE).is_file():
            return path
    raise FileNotFoundError(
        f"`resume_from_checkpoint` must be latest or a complete checkpoint folder. Got {wanted!r}; "
        f"there are {[path.name for path in checkpoints(output_dir)]} in {output_dir}."
    )


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What `finish_checkpoint` was given, and the step."""
    state: dict[str, Any] = json.loads((checkpoint / STATE_FILE).read_text("utf-8"))
    return state
