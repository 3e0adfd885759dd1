"""Finished shards -> a dataset repository: card, class names, and the picture of its grid."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from scribblegen.cards.dataset import DEFAULT_SUBSET, render_dataset_card
from scribblegen.cards.gallery import GalleryRow, draw_scribble, render_gallery
from scribblegen.classes import Classes
from scribblegen.images import decode_image, decode_label
from scribblegen.runs.atomic_files import write_atomically
from scribblegen.runs.folder import CONFIG_FILE
from scribblegen.runs.shards import finished_shards, read_manifest

GALLERY, LABEL_FILE = "assets/grid.png", "id2label.json"
_MOST_COLUMNS = 14  # twins beyond this are thinned out: a card is read on a screen


def write_repository(folder: str | Path) -> None:
    """Writes everything but the shards: README.md, id2label.json and the gallery.

    Args:
        folder: of a run, complete or not; what is finished is shown.

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
        folder: of the run.
        name: of the repository: folder or Hub id.
        license: of the photographs; the run's own if None.
        run_folder, gallery: where the repository has the run's records and its picture.
    """
    manifest = run_manifest(folder)
    options = yaml.safe_load((folder / CONFIG_FILE).read_text("utf-8"))
    return render_dataset_card(
        manifest,
        options,
        name=name,
        license=license or options["license"],
        example=_example(folder, manifest),
        pipeline=options["pipeline"],
        scores=_mean_scores(folder, manifest),
        run_folder=run_folder,
        gallery=gallery,
    )


def write_gallery(folder: str | Path, path: str | Path | None = None, *, rows: int = 6) -> Path:
    """The grid of the first finished sources, as a PNG.

    Args:
        folder: of a run, finished or still at work.
        path: of the picture; `assets/grid.png` in the repository where None.
        rows: sources to show, at most.

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
    sources = _first_sources(folder, rows)
    if not sources:
        raise FileNotFoundError(f"no source of {folder} is finished yet, so there is no picture.")
    twins = {s["subset"]: _twins(folder, s["subset"], set(sources)) for s in subsets}
    lines = []
    for source_id, row in sources.items():
        image = decode_image(row["image"]["bytes"])[0]
        scribble = decode_label(row["label"]["bytes"])
        lines.append(
            GalleryRow(
                (
                    image,
                    draw_scribble(image, scribble, classes),
                    *(twins[s["subset"]].get(source_id) for s in subsets),
                )
            )
        )
    headings = [f"encode {s['encode_ratio']:g}\nguidance {s['guidance_scale']:g}" for s in subsets]
    picture = render_gallery(["photograph", "scribble", *headings], lines)
    target = Path(path) if path is not None else folder / GALLERY
    write_atomically(target, picture)
    return target


def run_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run's folder.

    Raises:
        FileNotFoundError: it holds no run.
    """
    manifest = read_manifest(folder)
    if "method" not in manifest:
        raise FileNotFoundError(f"{folder} holds no run. `scribblegen build` makes one.")
    return manifest


def _gallery_subsets(subsets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ordered by guidance scale, then encode ratio, thinned to what a screen holds."""
    ordered = sorted(subsets, key=lambda s: (s["guidance_scale"], s["encode_ratio"]))
    if len(ordered) <= _MOST_COLUMNS:
        return ordered
    scales = sorted({s["guidance_scale"] for s in ordered})
    middle = [s for s in ordered if s["guidance_scale"] == scales[(len(scales) - 1) // 2]]
    return middle[:: -(-len(middle) // _MOST_COLUMNS)]


def _first_sources(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """The first finished rows of the real training split, by source id."""
    found: dict[str, dict[str, Any]] = {}
    columns = ["source_id", "image", "label"]
    for row in _rows(folder, DEFAULT_SUBSET, columns):
        if len(found) == count:
            break
        found[row["source_id"]] = row
    return found


def _twins(folder: Path, subset: str, source_ids: set[str]) -> dict[str, np.ndarray]:
    """The first replicate of each source, decoded."""
    found: dict[str, np.ndarray] = {}
    seen = 0
    for row in _rows(folder, subset, ["source_id", "replicate", "image"]):
        if row["source_id"] in source_ids and row["replicate"] == 0:
            found[row["source_id"]] = decode_image(row["image"]["bytes"])[0]
        seen += row["replicate"] == 0
        if len(found) == len(source_ids) or seen >= 4 * len(source_ids):
            break
    return found


def _rows(folder: Path, subset: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    for shard in finished_shards(folder, subset).get("train", []):
        for batch in pq.ParquetFile(shard.path).iter_batches(batch_size=16, columns=columns):
            yield from batch.to_pylist()


def _example(folder: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The first record of the first synthetic subset that has one, without its pictures."""
    for subset in manifest["subsets"]:
        for shard in finished_shards(folder, subset["subset"]).get("train", []):
            file = pq.ParquetFile(shard.path)
            columns = [c for c in file.schema_arrow.names if c not in ("image", "label")]
            for row in file.read(columns=columns).slice(0, 1).to_pylist():
                record: dict[str, Any] = row
                return record
    return None


def _mean_scores(folder: Path, manifest: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The mean of every score over each subset's twins, of those that were measured."""
    found = {}
    for subset in manifest["subsets"]:
        shards = finished_shards(folder, subset["subset"]).get("train", [])
        tables = [pq.read_table(shard.path, columns=["scores"]) for shard in shards]
        if sum(map(len, tables)):
            scores = pa.concat_tables(tables).flatten()
            means = {name: pc.mean(scores[name]).as_py() for name in scores.column_names}
            found[subset["subset"]] = {
                name.removeprefix("scores."): mean
                for name, mean in means.items()
                if mean is not None
            }
    return found


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, f"{text.rstrip()}\n".encode())
