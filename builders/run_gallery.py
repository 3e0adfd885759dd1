"""The picture of a run: the first items that are finished, and what was made of each."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from scribblegen.builders.run_records import run_manifest, training_shards
from scribblegen.builders.shard_columns import read_pictures
from scribblegen.cards.gallery import GalleryRow, draw_scribble, render_gallery
from scribblegen.classes import IGNORE_INDEX, Classes
from scribblegen.images import decode_image
from scribblegen.label_pictures import decode_label
from scribblegen.methods.base import Drawing
from scribblegen.parquet_files import MAKE_AGAIN
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS
from scribblegen.runs.atomic_files import write_atomically
from scribblegen.text_files import shown, shown_message

GALLERY = "assets/grid.png"
_LABEL_COLUMNS = ("label", "mask", "pseudo_label")  # drawn in class colours
_MOST_COLUMNS = 14  # subsets beyond this are thinned out: a card is read on a screen

Drawn = Mapping[str, Mapping[str, Drawing]]  # of a subset, by heading, what is no column of it


def write_gallery(
    folder: str | Path,
    path: str | Path | None = None,
    *,
    rows: int = 6,
    drawn: Drawn = MappingProxyType({}),
) -> Path:
    """What was made of the first finished items, as a PNG.

    Args:
        folder: the folder of a run, finished or still at work.
        path: where the picture goes; `assets/grid.png` in the repository where None.
        rows: items to show, at most.
        drawn: what is shown of a subset beside its columns; only its method can draw it.

    Raises:
        FileNotFoundError: nothing is finished yet.
        ValueError: the run makes no pictures.
    """
    folder = Path(folder)
    manifest = run_manifest(folder)
    if not any(subset["pictures"] for subset in manifest["subsets"]):
        raise ValueError(
            f"`folder` must be that of a run whose rows have pictures. {folder} holds texts."
        )
    classes = Classes(
        tuple(c["name"] for c in manifest["classes"]),
        tuple(tuple(c["palette_rgb"]) for c in manifest["classes"]),
    )
    subsets = _gallery_subsets(manifest["subsets"])
    # Masks in which an image counts its own words are 0 where none of them is.
    unnamed = 0 if "vocabulary" in manifest else None
    shown = _first_rows(folder, subsets, rows)
    if not any(shown.values()):
        raise FileNotFoundError(f"no source of {folder} is finished yet, so there is no picture.")
    first = next(found for found in shown.values() if found)

    def pictures(subset: dict[str, Any], source_id: str) -> list[np.ndarray | None]:
        name, row = subset["subset"], shown[subset["subset"]].get(source_id)
        return [
            *(
                _picture(folder / name, row, column, classes, unnamed)
                for column in subset["pictures"]
            ),
            *_pictures_drawn(row, drawn.get(name, {})),
        ]

    lines = [
        GalleryRow(tuple(p for subset in subsets for p in pictures(subset, source_id)))
        for source_id in first
    ]
    headings = [
        heading
        for s in subsets
        for heading in (*s["pictures"].values(), *drawn.get(s["subset"], ()))
    ]
    picture = render_gallery(headings, lines)
    target = Path(path) if path is not None else folder / GALLERY
    write_atomically(target, picture)
    return target


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
        shards = training_shards(folder, subset)
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
    folder: Path,
    row: dict[str, Any] | None,
    column: str,
    classes: Classes,
    unnamed: int | None,
) -> np.ndarray | None:
    """A picture of a row in `folder`; a label is drawn over the image beside it, but for its pixels
    that are `unnamed`."""
    file = _file(row, column)
    try:
        if column not in _LABEL_COLUMNS:
            return None if file is None else _image(file)
        photograph = _file(row, "image")
        if file is None or photograph is None:
            return None
        label = decode_label(file)
        if unnamed is not None:
            label = np.where(label == unnamed, np.uint8(IGNORE_INDEX), label)
        return draw_scribble(_image(photograph), label, classes)
    except ValueError as error:
        source_id = shown((row or {})["source_id"])
        raise OSError(
            f"{folder} holds a damaged picture: `{column}` of source {source_id}: "
            f"{shown_message(error)}. {MAKE_AGAIN}"
        ) from error


def _pictures_drawn(
    row: dict[str, Any] | None, drawn: Mapping[str, Drawing]
) -> list[np.ndarray | None]:
    """What is drawn of a row whose pictures were read without a fault; nothing where one lacks."""
    if not drawn or row is None:
        return [None] * len(drawn)
    files = {column: _file(row, column) for column in row if column != "source_id"}
    shown = {
        column: (decode_label if column in _LABEL_COLUMNS else _image)(file)
        for column, file in files.items()
        if file is not None
    }
    if len(shown) < len(files):
        return [None] * len(drawn)
    return [draw(shown) for draw in drawn.values()]


def _image(file: bytes) -> np.ndarray:
    return decode_image(file, max_pixels=LARGEST_MAX_PIXELS)[0]


def _file(row: dict[str, Any] | None, column: str) -> bytes | None:
    file: bytes | None = None if row is None or row[column] is None else row[column]["bytes"]
    return file
