"""The manifest: which units of a run are done, what is in their files, and what was left out.

run/units/<split>-00003-of-00008.json       one unit: it is done
run/manifest.json                           all of them, when the run is complete
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scribblegen.runs.atomic_files import write_atomically
from scribblegen.runs.manifest_shape import check_header, check_unit
from scribblegen.runs.shards import SPLITS, Shard, Unit
from scribblegen.text_files import read_json

UNITS_FOLDER = "run/units"
MANIFEST = "run/manifest.json"
_UNIT_AGAIN = "Delete it and run `scribblegen build` again: it makes this unit anew."


def pending_units(folder: Path, units: Sequence[Unit]) -> list[Unit]:
    """The units without a manifest line, or whose files are not all there."""
    done = {
        record["unit"]
        for record in read_manifest(folder)["units"]
        if all(_is_whole(folder / file["path"], file["bytes"]) for file in record["files"].values())
    }
    return [unit for unit in units if unit.name not in done]


def finished_shards(folder: Path, subset: str) -> dict[str, list[Shard]]:
    """Finished files of a subset by split, in order, of a complete or an unfinished run."""
    found: dict[str, list[Shard]] = {}
    for record in read_manifest(folder)["units"]:
        if subset in record["files"]:
            entry = record["files"][subset]
            shard = Shard(folder / entry["path"], entry["rows"], entry["sha256"])
            found.setdefault(record["split"], []).append(shard)
    return found


def finish_unit(
    folder: Path, unit: Unit, files: dict[str, Shard], rejections: list[dict[str, Any]]
) -> None:
    """Writes the manifest line of a unit whose files are all in place: from now on it is done."""
    record = {
        "unit": unit.name,
        "split": unit.split,
        "index": unit.index,
        "sources": unit.stop - unit.start,
        "files": {
            subset: {
                "path": unit.shard(subset),
                "rows": shard.rows,
                "bytes": shard.path.stat().st_size,
                "sha256": shard.sha256,
            }
            for subset, shard in files.items()
        },
        "rejections": rejections,
    }
    line = json.dumps(record, ensure_ascii=False).encode()
    write_atomically(folder / UNITS_FOLDER / f"{unit.name}.json", line)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest so far: its header, and `units`, the records of all finished units, in order.

    Raises:
        ValueError: a file of it is cut short or was edited; file, field and fix are named.
    """
    path = folder / MANIFEST
    fix = restoring(folder)
    manifest = read_json(path, fix) if path.is_file() else {}
    check_header(manifest, path, fix)
    records = {}
    for record in manifest.get("units", []):
        check_unit(record, path, fix)
        records[record["unit"]] = record
    for line in sorted((folder / UNITS_FOLDER).glob("*.json")):
        record = read_json(line, _UNIT_AGAIN)
        check_unit(record, line, _UNIT_AGAIN)
        records[record["unit"]] = record
    order = {split: i for i, split in enumerate(SPLITS)}
    listed = sorted(records.values(), key=lambda r: (order[r["split"]], r["index"]))
    return {**manifest, "units": listed}


def restoring(folder: Path) -> str:
    """What to do where the manifest itself is damaged."""
    return f"Restore it from a copy, or delete {folder} and run `scribblegen build` again."


def write_manifest(folder: Path, header: dict[str, Any]) -> None:
    """Puts the records of all finished units under `header`, in one file."""
    units = read_manifest(folder)["units"]
    text = json.dumps({**header, "units": units}, indent=1, ensure_ascii=False)
    write_atomically(folder / MANIFEST, f"{text}\n".encode())
    lines = folder / UNITS_FOLDER
    for line in lines.glob("*.json"):
        line.unlink()
    if lines.is_dir():
        lines.rmdir()


def _is_whole(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
