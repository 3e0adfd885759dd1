"""Finished shards -> a dataset repository: card, class names, and the picture of its grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, List, Value

from scribblegen.builders.shard_columns import has_scores, read_pictures, read_scores
from scribblegen.cards.dataset import render_dataset_card
from scribblegen.cards.gallery import GalleryRow, draw_scribble, render_gallery
from scribblegen.classes import Classes
from scribblegen.images import decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.parquet_files import MAKE_AGAIN, reading_shard
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS
from scribblegen.runs.atomic_files import write_atomically
from scribblegen.runs.folder import CONFIG_FILE
from scribblegen.runs.manifest import MANIFEST, finished_shards, read_manifest, restoring
from scribblegen.runs.manifest_shape import check_fields
from scribblegen.runs.shards import Shard
from scribblegen.text_files import read_text, shown, shown_message
from scribblegen.yaml_files import parse_yaml

GALLERY, LABEL_FILE = "assets/grid.png", "id2label.json"
_LABEL_COLUMNS = ("label", "mask", "pseudo_label")  # drawn in class colours
_MOST_COLUMNS = 14  # subsets beyond this are thinned out: a card is read on a screen


def write_repository(folder: str | Path) -> None:
    """Writes everything but the shards: README.md, id2label.json and the gallery.

    Args:
        folder: the folder of a run, complete or not; what is finished is shown.

    Raises:
        FileNotFoundError: no run in `folder`.
    """
    folder = Path(folder)
    manifest = run_manifest(folder)
    id2label = {str(c["id"]): c["name"] for c in manifest["classes"]}
    write_gallery(folder)
    _write_text(folder / LABEL_FILE, json.dumps(id2label, indent=1, ensure_ascii=False))
    _write_text(folder / "README.md", dataset_card(folder, name=folder.resolve().name))


def dataset_card(
    folder: Path,
    *,
    name: str,
    license: str | None = None,
    run_folder: str = "run",
    gallery: str = GALLERY,
) -> str:
    """The card of a run's folder.

    Args:
        folder: the folder of the run.
        name: the name of the repository: folder or Hub id.
        license: the license of the photographs; the run's own if None.
        run_folder, gallery: where the repository has the run's records and its picture.
    """
    manifest = run_manifest(folder)
    options = run_options(folder)
    return render_dataset_card(
        manifest,
        options,
        name=name,
        license=license or options["license"],
        example=_example(folder, manifest),
        columns=_columns(folder, manifest),
        scores=_mean_scores(folder, manifest),
        run_folder=run_folder,
        gallery=gallery,
    )


def write_gallery(folder: str | Path, path: str | Path | None = None, *, rows: int = 6) -> Path:
    """What was made of the first finished items, as a PNG.

    Args:
        folder: the folder of a run, finished or still at work.
        path: where the picture goes; `assets/grid.png` in the repository where None.
        rows: items to show, at most.

    Raises:
        FileNotFoundError: nothing is finished yet.
    """
    folder = Path(folder)
    manifest = run_manifest(folder)
    classes = Classes(
        tuple(c["name"] for c in manifest["classes"]),
        tuple(tuple(c["palette_rgb"]) for c in manifest["classes"]),
    )
    subsets = _gallery_subsets(manifest["subsets"])
    shown = _first_rows(folder, subsets, rows)
    if not any(shown.values()):
        raise FileNotFoundError(f"no source of {folder} is finished yet, so there is no picture.")
    first = next(found for found in shown.values() if found)
    lines = [
        GalleryRow(
            tuple(
                _picture(folder / s["subset"], shown[s["subset"]].get(source_id), column, classes)
                for s in subsets
                for column in s["pictures"]
            )
        )
        for source_id in first
    ]
    headings = [heading for s in subsets for heading in s["pictures"].values()]
    picture = render_gallery(headings, lines)
    target = Path(path) if path is not None else folder / GALLERY
    write_atomically(target, picture)
    return target


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


def _gallery_subsets(subsets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is passed on, then what is made, by its settings, thinned to what a screen holds."""
    shown = [s for s in subsets if s["pictures"]]
    passed_on = [s for s in shown if not s["generated"]]
    made = sorted((s for s in shown if s["generated"]), key=_setting_order)
    for setting in made[0]["settings"] if made else ():
        if len(made) <= _MOST_COLUMNS:
            break
        values = sorted({s["settings"][setting] for s in made})
        middle = values[(len(values) - 1) // 2]
        kept = [s for s in made if s["settings"][setting] == middle]
        made = kept if len(kept) > 1 else made[:: -(-len(made) // _MOST_COLUMNS)]
    return [*passed_on, *made[:: -(-len(made) // _MOST_COLUMNS) or 1]]


def _setting_order(subset: dict[str, Any]) -> tuple[tuple[bool, Any], ...]:
    return tuple((isinstance(v, str), v) for v in subset["settings"].values())


def _first_rows(
    folder: Path, subsets: list[dict[str, Any]], count: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """By subset and source id, the first training row of each of the first sources."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    wanted: set[str] | None = None
    for subset in subsets:
        pictures = list(subset["pictures"])
        if any(column in _LABEL_COLUMNS for column in pictures):
            pictures.append("image")  # that it is drawn over
        rows, seen = found.setdefault(subset["subset"], {}), set()
        shards = _training_shards(folder, subset)
        for row in read_pictures(shards, list(dict.fromkeys(pictures))):
            source_id = row["source_id"]
            if source_id in seen:
                continue  # another replicate
            seen.add(source_id)
            if wanted is None or source_id in wanted:
                rows[source_id] = row
            # Some sources may be missing here: rejected.
            if len(rows) == count or len(seen) >= 4 * count:
                break
        if wanted is None and rows:
            wanted = set(rows)
    return found


def _picture(
    folder: Path, row: dict[str, Any] | None, column: str, classes: Classes
) -> np.ndarray | None:
    """A picture of a row in `folder`; a label is drawn over the image beside it."""
    file = _file(row, column)
    try:
        if column not in _LABEL_COLUMNS:
            return None if file is None else _image(file)
        photograph = _file(row, "image")
        if file is None or photograph is None:
            return None
        return draw_scribble(_image(photograph), decode_label(file), classes)
    except ValueError as error:
        source_id = shown((row or {})["source_id"])
        raise OSError(
            f"{folder} holds a damaged picture: `{column}` of source {source_id}: "
            f"{shown_message(error)}. {MAKE_AGAIN}"
        ) from error


def _image(file: bytes) -> np.ndarray:
    return decode_image(file, max_pixels=LARGEST_MAX_PIXELS)[0]


def _file(row: dict[str, Any] | None, column: str) -> bytes | None:
    file: bytes | None = None if row is None or row[column] is None else row[column]["bytes"]
    return file


def _example(folder: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The first record of the first generated subset that has one, without its pictures."""
    for subset in manifest["subsets"]:
        for shard in _training_shards(folder, subset) if subset["generated"] else ():
            with reading_shard(shard.path):
                file = pq.ParquetFile(shard.path)
                columns = [f.name for f in file.schema_arrow if "binary" not in str(f.type)]
                rows = file.read(columns=columns).slice(0, 1).to_pylist()
            for row in rows:
                record: dict[str, Any] = row
                return record
    return None


def _columns(folder: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """The columns of all subsets, each with its type in words."""
    found: dict[str, str] = {}
    for subset in manifest["subsets"]:
        for shard in _training_shards(folder, subset)[:1]:
            with reading_shard(shard.path):
                features = Features.from_arrow_schema(pq.read_schema(shard.path))
            for column, kind in features.items():
                found.setdefault(column, kind.dtype if isinstance(kind, Value) else _kind(kind))
    return found


def _kind(feature: Any) -> str:
    names = {Image: "image", ClassLabel: "class label", dict: "struct", List: "list"}
    return next((text for kind, text in names.items() if isinstance(feature, kind)), "values")


def _mean_scores(folder: Path, manifest: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The mean of every score over each subset's rows, of those that were measured."""
    found = {}
    for subset in manifest["subsets"]:
        shards = _training_shards(folder, subset)
        if not shards or not has_scores(shards[0]):
            continue
        scores = pa.concat_tables(map(read_scores, shards), promote_options="default")
        means = {name: pc.mean(scores[name]).as_py() for name in scores.column_names}
        found[subset["subset"]] = {
            name.removeprefix("scores."): mean for name, mean in means.items() if mean is not None
        }
    return found


def _training_shards(folder: Path, subset: dict[str, Any]) -> list[Shard]:
    return finished_shards(folder, subset["subset"]).get("train", [])


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, f"{text.rstrip()}\n".encode())
