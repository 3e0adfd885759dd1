"""What the folder of a run says of it: manifest, options, finished files."""

from pathlib import Path
from typing import Any

from scribblegen.runs.folder import CONFIG_FILE
from scribblegen.runs.manifest import MANIFEST, finished_shards, read_manifest, restoring
from scribblegen.runs.manifest_shape import check_fields
from scribblegen.runs.shards import Shard
from scribblegen.text_files import read_text
from scribblegen.yaml_files import parse_yaml


def run_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run's folder.

    Raises:
        FileNotFoundError: it holds no run.
        ValueError: a file of the manifest is cut short or was edited.
    """
    manifest = read_manifest(folder)
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{folder} holds no run. `scribblegen build` makes one.")
    check_fields(manifest, folder / MANIFEST, restoring(folder))
    return manifest


def run_options(folder: Path) -> dict[str, Any]:
    """The options of a run, as its folder has them.

    Raises:
        ValueError: the file is cut short or was edited.
        OSError: it cannot be read.
    """
    path = folder / CONFIG_FILE
    options = parse_yaml(read_text(path, "the run's file"), str(path))
    if not isinstance(options, dict) or not isinstance(options.get("license"), str):
        raise ValueError(
            f"{path} was edited or damaged: it must hold the run's options, `license` too. Run "
            "`scribblegen build` again with the same options: it writes them anew."
        )
    return options


def training_shards(folder: Path, subset: dict[str, Any]) -> list[Shard]:
    """The finished files of a subset, as the manifest lists it, of its training split."""
    return finished_shards(folder, subset["subset"]).get("train", [])
