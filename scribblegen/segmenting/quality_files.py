"""Held-out scores on disk: what segmentors say of masks that they were not shown."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scribblegen.runs.atomic_files import write_atomically
from scribblegen.segmenting.mask_rules import MaskShape
from scribblegen.segmenting.quality import ClassQuality, MaskQuality
from scribblegen.text_files import read_fields

HELD_OUT_SCORES = "held_out_scores.json"
_FIX = "Delete it and run `scribblegen prune` again: it makes it anew."


def write_qualities(
    path: Path, qualities: Mapping[str, MaskQuality], identity: Mapping[str, Any]
) -> None:
    """Writes what was measured, and of what.

    Args:
        path: of the file.
        qualities: by the ids of the rows.
        identity: what must agree for the file to be used again.
    """
    fields = {
        "identity": dict(identity),
        "rows": {source_id: asdict(quality) for source_id, quality in qualities.items()},
    }
    write_atomically(path, f"{json.dumps(fields, indent=1, ensure_ascii=False)}\n".encode())


def is_measured(path: Path, identity: Mapping[str, Any]) -> bool:
    """Whether a file holds what was measured of just this; raises as `read_qualities`."""
    return path.is_file() and read_fields(path, _FIX).get("identity") == identity


def read_qualities(paths: Sequence[Path]) -> dict[str, MaskQuality]:
    """The scores of some files, together.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is damaged, or two have scores of the same row.
    """
    found: dict[str, MaskQuality] = {}
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(
                "`held_out_scores` must be files that `scribblegen prune` wrote. Nothing at "
                f"{path}."
            )
        fields = read_fields(path, _FIX)
        try:
            rows = {source_id: _quality(row) for source_id, row in fields["rows"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} was edited or damaged: it holds no scores. {_FIX}") from error
        if twice := sorted(found.keys() & rows.keys()):
            raise ValueError(
                f"`held_out_scores` must not score a row twice. Got {len(twice)} rows of {path} "
                f"again, such as {twice[0]}."
            )
        found |= rows
    return found


def digest_of(qualities: Mapping[str, MaskQuality]) -> str:
    """Changes with any score, or row."""
    rows = {source_id: asdict(quality) for source_id, quality in qualities.items()}
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def _quality(row: Mapping[str, Any]) -> MaskQuality:
    classes = {
        name: ClassQuality(
            _share(found["iou"]),
            MaskShape(**{k: float(v) for k, v in found["shape"].items()}),
        )
        for name, found in row["classes"].items()
    }
    if not classes:
        raise ValueError("a mask of no class")
    return MaskQuality(_share(row["labelled"]), classes)


def _share(value: Any) -> float:
    if not 0 <= float(value) <= 1:
        raise ValueError("no share")
    return float(value)
