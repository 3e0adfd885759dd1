"""What may leave this machine: the files of a run, whole, and nothing that tells of its disk."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scribblegen.hub.upload import LocalFile, Remote
from scribblegen.parquet_files import reading_shard
from scribblegen.runs.manifest_shape import check_fields, check_header, check_unit
from scribblegen.text_files import parse_json

_TEXTS = (".md", ".json", ".yaml", ".txt")
_PATHS = re.compile(r"(?<![\w:/.])/[^\s/\"'`|<>]+/[^\s\"'`|<>]+")
_LONGEST_PATH = 4096


def shard_files(folder: Path, manifest: dict[str, Any]) -> dict[str, list[LocalFile]]:
    """The shards of every subset, each checked against the manifest.

    Raises:
        ValueError: one is missing or is not what the run wrote.
    """
    found: dict[str, list[LocalFile]] = {}
    for unit in manifest["units"]:
        for subset, entry in unit["files"].items():
            path = folder / entry["path"]
            if not path.is_file():
                raise ValueError(
                    f"{entry['path']} is missing in {folder}. Run `scribblegen build` with the "
                    "same options again: it makes what is missing."
                )
            file = LocalFile.of(entry["path"], path)
            if file.sha256 != entry["sha256"]:
                raise ValueError(
                    f"{entry['path']} in {folder} is not what the run wrote: it was changed or "
                    "damaged. Delete it and run `scribblegen build` again."
                )
            found.setdefault(subset, []).append(file)
    return found


def check_no_links(folder: Path) -> None:
    """Refuses symbolic links: what they show need not belong to the folder.

    Raises:
        ValueError: there is one.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ValueError(
                f"{path.relative_to(folder)} in {folder} is a symbolic link. Copy what it should "
                "hold to its place, or delete it."
            )


def check_no_paths(files: list[LocalFile]) -> None:
    """Refuses files that hold a path of this machine's disk.

    Raises:
        ValueError: there is one; file, column and value are named.
    """
    for file in files:
        for where, value in _texts_of(file):
            found = _local_path(value)
            if found is not None:
                raise ValueError(
                    f"{file.path} holds a path of this machine{where}: {found!r}. It would be "
                    "published."
                )


def remote_manifest(remote: Remote, path: str) -> dict[str, Any]:
    """The manifest of another run in the repository.

    Args:
        remote: the repository.
        path: of the manifest in it.

    Raises:
        ValueError: it is cut short or was edited.
    """
    where = f"{path} of {remote.repo_id}"
    fix = "Restore it there, or publish to another repository."
    manifest: dict[str, Any] = parse_json(remote.read(path), where, fix)
    check_header(manifest, Path(where), fix)
    for unit in manifest.get("units", []):
        check_unit(unit, Path(where), fix)
    check_fields({"units": [], **manifest}, Path(where), fix)
    return manifest


def _texts_of(file: LocalFile) -> Iterator[tuple[str, str]]:
    """(where, text) of all that a file says in words."""
    if file.path.endswith(".parquet"):
        assert isinstance(file.content, Path)
        with reading_shard(file.content):
            table = pq.ParquetFile(file.content)
            leaves = [table.schema.column(i).path for i in range(len(table.schema))]
            wanted = [leaf for leaf in leaves if not leaf.endswith(".bytes")]
            for batch in table.iter_batches(columns=wanted):
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    for value in set(_strings(column)):
                        yield f" in column `{name}`", value
    elif file.path.endswith(_TEXTS):
        data = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        yield "", data.decode("utf-8", "replace")


def _strings(column: pa.Array) -> Iterator[str]:
    if pa.types.is_struct(column.type):
        for number in range(column.type.num_fields):
            yield from _strings(column.field(number))
    elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        yield from _strings(column.flatten())
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        yield from (value for value in column.to_pylist() if value)


def _local_path(text: str) -> str | None:
    """A path of this machine in `text`, if there is one: its folder is there."""
    candidates = _PATHS.findall(text)
    if "\n" not in text and PureWindowsPath(text).is_absolute():
        candidates.append(text)
    for candidate in candidates:
        folder = Path(candidate[:_LONGEST_PATH]).parent
        with contextlib.suppress(OSError):  # longer than a name can be
            if folder != Path("/") and folder.exists():
                return str(candidate)
    return None
