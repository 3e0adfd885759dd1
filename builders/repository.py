"""Finished shards -> a dataset repository: card, class names, and the picture of its grid."""

import json
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, List, Value

from scribblegen.builders.run_gallery import GALLERY, Drawn, write_gallery
from scribblegen.builders.run_records import run_manifest, run_options, training_shards
from scribblegen.builders.shard_columns import (
    count_classes,
    count_flags,
    count_words,
    has_column,
    read_scores,
)
from scribblegen.cards.dataset import render_dataset_card
from scribblegen.parquet_files import reading_shard
from scribblegen.runs.atomic_files import write_atomically
from scribblegen.vocabulary import VOCABULARY_FILE, vocabulary_of

LABEL_FILE = "id2label.json"


def write_repository(folder: str | Path, *, drawn: Drawn = MappingProxyType({})) -> None:
    """Writes everything but the shards: README.md, id2label.json and, where rows have pictures, the
    gallery; where they name words of a vocabulary, vocabulary.json too.

    Args:
        folder: the folder of a run, complete or not; what is finished is shown.
        drawn: what the gallery shows of a subset beside its columns.

    Raises:
        FileNotFoundError: no run in `folder`.
    """
    folder = Path(folder)
    manifest = run_manifest(folder)
    if has_pictures(manifest):
        write_gallery(folder, drawn=drawn)
    id2label = {str(i): name for i, name in named_ids(manifest).items()}
    _write_json(folder / LABEL_FILE, id2label)
    if "vocabulary" in manifest:
        _write_json(folder / VOCABULARY_FILE, manifest["vocabulary"])
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
        class_rows=_class_rows(folder, manifest),
        flags=_flags(folder, manifest),
        run_folder=run_folder,
        gallery=gallery if has_pictures(manifest) else None,
    )


def named_ids(manifest: dict[str, Any]) -> dict[int, str]:
    """What the ids in `classes` mean: classes of labels, or words of a vocabulary."""
    if "vocabulary" in manifest:
        return vocabulary_of(manifest["vocabulary"]).id2label
    return {c["id"]: c["name"] for c in manifest["classes"]}


def vocabulary_files(manifest: dict[str, Any]) -> tuple[str, ...]:
    """`vocabulary.json`, where rows of a run name words of one."""
    return (VOCABULARY_FILE,) if "vocabulary" in manifest else ()


def has_pictures(manifest: dict[str, Any]) -> bool:
    """Whether a run makes rows that a gallery can show."""
    return any(subset["pictures"] for subset in manifest["subsets"])


def _example(folder: Path, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The first record of the first generated subset that has one, without its pictures."""
    for subset in manifest["subsets"]:
        for shard in training_shards(folder, subset) if subset["generated"] else ():
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
        for shard in training_shards(folder, subset)[:1]:
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
        shards = training_shards(folder, subset)
        if not shards or not has_column(shards[0], "scores"):
            continue
        scores = pa.concat_tables(map(read_scores, shards), promote_options="default")
        means = {name: pc.mean(scores[name]).as_py() for name in scores.column_names}
        found[subset["subset"]] = {
            name.removeprefix("scores."): mean for name, mean in means.items() if mean is not None
        }
    return found


def _flags(folder: Path, manifest: dict[str, Any]) -> dict[str, dict[str, tuple[int, int]]]:
    """Of each subset's columns of true and false: how many rows are true, of how many that say."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for subset in manifest["subsets"]:
        of_subset = found.setdefault(subset["subset"], {})
        for shard in training_shards(folder, subset):
            for column, (true, said) in count_flags(shard).items():
                before = of_subset.get(column, (0, 0))
                of_subset[column] = (before[0] + true, before[1] + said)
    return found


def _class_rows(folder: Path, manifest: dict[str, Any]) -> dict[str, dict[str, int]]:
    """In how many rows of each subset's training split each class is, by name, in id order."""
    names, count = named_ids(manifest), count_classes
    if "vocabulary" in manifest:
        count = count_words
    found = {}
    for subset in manifest["subsets"]:
        counts: Counter[int] = Counter()
        for shard in training_shards(folder, subset):
            if has_column(shard, "classes"):
                counts.update(count(shard, names))
        found[subset["subset"]] = {name: counts[k] for k, name in names.items() if counts[k]}
    return found


def _write_json(path: Path, value: Any) -> None:
    _write_text(path, json.dumps(value, indent=1, ensure_ascii=False))


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, f"{text.rstrip()}\n".encode())
