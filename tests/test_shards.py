"""Shards: planned by position, equal bytes for equal rows, whole or not there at all."""

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scribblegen.classes import IGNORE_INDEX, load_classes
from scribblegen.images import encode_image, encode_label
from scribblegen.methods.scribblegen_rows import twin_features
from scribblegen.records import image_cell, real_features
from scribblegen.runs.manifest import (
    finish_unit,
    finished_shards,
    pending_units,
    read_manifest,
    write_manifest,
)
from scribblegen.runs.shards import (
    Shard,
    Unit,
    default_sources_per_shard,
    plan_units,
    write_shard,
)

VOC = load_classes("voc")
SIZES = [1, 7, 8, 9, 100, 1449, 4096, 4097, 10582, 20210, 131072, 131073, 1_000_000]


def rows_of(count: int, side: int = 16) -> list[dict[str, Any]]:
    """Rows of the `real` subset: pictures, labels, a null mask in every other row."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        image = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
        label = np.full((side, side), IGNORE_INDEX, np.uint8)
        label[2:4], label[8:10] = 0, 1 + i % 20
        rows.append(
            {
                "image": image_cell(encode_image(image, "png")),
                "label": image_cell(encode_label(label, VOC)),
                "mask": image_cell(encode_label(label, VOC)) if i % 2 else None,
                "classes": [0, 1 + i % 20],
                "source_id": f"2007_{i:06d}",
                "prompt": None if i == 0 else "a photograph, é",
            }
        )
    return rows


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# The plan


@pytest.mark.parametrize("num_sources", [0, *SIZES[:9]])
@pytest.mark.parametrize("per_shard", [1, 8, 21, 256])
def test_a_plan_covers_every_source_once_and_in_order(num_sources: int, per_shard: int) -> None:
    units = plan_units("train", num_sources, per_shard)
    covered = [i for unit in units for i in range(unit.start, unit.stop)]
    assert covered == list(range(num_sources))
    assert [unit.index for unit in units] == list(range(len(units)))
    assert all(unit.count == len(units) and unit.split == "train" for unit in units)
    assert all(unit.stop - unit.start == per_shard for unit in units[:-1])
    assert units == plan_units("train", num_sources, per_shard)


def test_names_sort_like_the_sources_and_say_of_how_many() -> None:
    units = plan_units("validation", 1000, 8)
    assert units[3].name == "validation-00003-of-00125"
    assert units[3].shard("real") == "real/validation-00003-of-00125.parquet"
    assert [unit.name for unit in units] == sorted(unit.name for unit in units)


def test_a_plan_without_sources_in_a_shard_is_refused() -> None:
    with pytest.raises(ValueError, match="`sources_per_shard` must be at least 1. Got 0"):
        plan_units("train", 10, 0)


@pytest.mark.parametrize("num_sources", SIZES)
def test_the_default_shard_holds_8_to_256_sources_in_few_files(num_sources: int) -> None:
    size = default_sources_per_shard(num_sources)
    assert 8 <= size <= 256
    if num_sources <= 256 * 512:
        assert len(plan_units("train", num_sources, size)) <= 512
    if size > 8:  # no larger than needed for that
        assert len(plan_units("train", num_sources, size - 1)) > 512


@pytest.mark.parametrize("num_sources", [1449, 10582])
def test_eight_ranks_have_almost_equal_work(num_sources: int) -> None:
    units = plan_units("train", num_sources, default_sources_per_shard(num_sources))
    work = [sum(unit.stop - unit.start for unit in units[rank::8]) for rank in range(8)]
    assert sum(work) == num_sources
    assert max(work) / (num_sources / 8) <= 1.02


# A shard


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    features = real_features(VOC)
    first = write_shard(tmp_path / "a" / "x.parquet", rows_of(9), features)
    second = write_shard(tmp_path / "b.parquet", rows_of(9), features)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 and first.rows == 9
    changed = [*rows_of(8), {**rows_of(9)[8], "prompt": "another"}]
    assert write_shard(tmp_path / "c.parquet", changed, features).sha256 != first.sha256


@pytest.mark.parametrize("count", [0, 1, 9])
def test_the_columns_survive_the_file(tmp_path: Path, count: int) -> None:
    features, rows = real_features(VOC), rows_of(count)
    shard = write_shard(tmp_path / "x.parquet", rows, features)
    assert pq.read_table(shard.path).num_rows == shard.rows == count
    assert datasets.Features.from_arrow_schema(pq.read_schema(shard.path)) == features
    if not count:
        return
    loaded = datasets.load_dataset(
        "parquet", data_files=str(shard.path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded.features == features and loaded.num_rows == count
    assert loaded.features["classes"].feature.names == list(VOC.names)
    for row, read in zip(rows, loaded, strict=True):
        assert {k: read[k] for k in ("classes", "source_id", "prompt")} == {
            k: row[k] for k in ("classes", "source_id", "prompt")
        }
        assert (read["mask"] is None) == (row["mask"] is None)
        for column in ("image", "label"):
            written = Image.open(io.BytesIO(row[column]["bytes"]))
            assert read[column].mode == written.mode
            assert np.array_equal(np.asarray(read[column]), np.asarray(written))


def test_a_twin_s_columns_survive_too(tmp_path: Path) -> None:
    row = {
        **{k: v for k, v in rows_of(1)[0].items() if k != "mask"},
        "replicate": 1,
        "guidance_scale": 2.5,
        "encode_ratio": 0.1,
        "num_inference_steps": 5,
        "seed": 2**63 - 1,
        "scores": {"source_distance": 0.25, "agreement": None},
    }
    features = twin_features(VOC)
    shard = write_shard(tmp_path / "x.parquet", [row], features)
    (read,) = pq.read_table(shard.path).to_pylist()
    assert read == row
    assert datasets.Features.from_arrow_schema(pq.read_schema(shard.path)) == features


def test_pictures_are_not_compressed_again_and_pages_are_indexed(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "x.parquet", rows_of(9), real_features(VOC))
    group = pq.ParquetFile(shard.path).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    pictures = {"image.bytes", "label.bytes", "mask.bytes"}
    assert pictures < set(columns)
    for path, column in columns.items():
        assert column.compression == ("UNCOMPRESSED" if path in pictures else "ZSTD"), path
        assert column.has_offset_index, path
        assert column.has_column_index == (path not in pictures), "no use in order of bytes"
        assert column.has_dictionary_page == (path not in pictures), path


def test_the_table_is_the_one_that_pyarrow_makes(tmp_path: Path) -> None:
    rows, features = rows_of(5), real_features(VOC)
    assert {row["mask"] is None for row in rows} == {True, False}
    expected = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    written = pq.read_table(write_shard(tmp_path / "x.parquet", rows, features).path)
    assert written.equals(expected)


def test_a_picture_is_a_page_so_that_other_rows_leave_its_bytes_alone(tmp_path: Path) -> None:
    rows, features = rows_of(12, side=64), real_features(VOC)
    changed = [*rows[:3], *rows[4:]]
    for number, held in enumerate((rows, changed)):
        shard = write_shard(tmp_path / f"{number}.parquet", held, features)
        data = shard.path.read_bytes()
        places = [data.find(row["image"]["bytes"]) for row in held]
        assert min(places) > 0 and places == sorted(places)
        # Between two pictures lie a page's header and the picture's length, nothing else.
        sizes = [len(row["image"]["bytes"]) for row in held]
        ends = [place + size for place, size in zip(places, sizes, strict=True)]
        gaps = [start - end for start, end in zip(places[1:], ends, strict=False)]
        assert all(10 < gap < 100 for gap in gaps), gaps


def test_row_groups_stay_small_enough_for_the_hub_s_viewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scribblegen.runs.shards._ROW_GROUP_BYTES", 4096)
    shard = write_shard(tmp_path / "x.parquet", rows_of(20), real_features(VOC))
    metadata = pq.ParquetFile(shard.path).metadata
    sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    assert metadata.num_row_groups > 3 and max(sizes) < 2 * 4096 and metadata.num_rows == 20


# Interrupted writes


def failing(code: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "no space left on the device. Free some and run the same command again"),
        (errno.EDQUOT, "no space left on the device. Free some and run the same command again"),
        (errno.EROFS, "cannot be written. Make it writable and run the same command again"),
        (errno.EACCES, "cannot be written. Make it writable and run the same command again"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_failed_write_leaves_no_file_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, code: int, advice: str
) -> None:
    path = tmp_path / "real" / "x.parquet"
    with monkeypatch.context() as broken:
        broken.setattr(os, function, failing(code))
        with pytest.raises(OSError, match=advice) as failed:
            write_shard(path, rows_of(2), real_features(VOC))
    assert failed.value.errno == code
    if code != errno.EIO:
        assert "finished shards are kept" in str(failed.value) and str(path) in str(failed.value)
    assert files_in(tmp_path) == []
    write_shard(path, rows_of(2), real_features(VOC))  # the same command again
    assert files_in(tmp_path) == ["real/x.parquet"]


def test_a_failed_write_leaves_the_older_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = write_shard(tmp_path / "x.parquet", rows_of(2), real_features(VOC))
    before = shard.path.read_bytes()
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="no space left"):
        write_shard(shard.path, rows_of(3), real_features(VOC))
    assert shard.path.read_bytes() == before and files_in(tmp_path) == ["x.parquet"]


def test_a_read_only_device_that_refuses_to_delete_too_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))  # even of what is not there
    monkeypatch.setattr("builtins.open", failing(errno.EROFS))
    with pytest.raises(OSError, match="Make it writable"):
        write_shard(tmp_path / "x.parquet", rows_of(1), real_features(VOC))


def test_a_folder_that_cannot_be_made_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", failing(errno.EACCES))
    with pytest.raises(PermissionError, match="cannot be written. Make it writable"):
        write_shard(tmp_path / "real" / "x.parquet", rows_of(1), real_features(VOC))


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    with pytest.raises(FileExistsError, match="real"):
        write_shard(tmp_path / "real" / "x.parquet", rows_of(1), real_features(VOC))
    assert files_in(tmp_path) == ["real"]


# The manifest


def finish(folder: Path, unit: Unit, rows: int = 2) -> Shard:
    shard = write_shard(folder / unit.shard("real"), rows_of(rows), real_features(VOC))
    rejection = {"source_id": f"r{unit.index}", "reason": "missing file: é.png", "subset": None}
    finish_unit(folder, unit, {"real": shard}, [rejection] if unit.index else [])
    return shard


def test_a_unit_is_pending_until_its_line_is_written(tmp_path: Path) -> None:
    units = plan_units("train", 20, 8)
    assert pending_units(tmp_path, units) == units
    write_shard(tmp_path / units[0].shard("real"), rows_of(1), real_features(VOC))
    assert pending_units(tmp_path, units) == units  # files alone do not finish it
    finish(tmp_path, units[1])
    assert pending_units(tmp_path, units) == [units[0], units[2]]


def test_lines_are_listed_by_split_and_position_whatever_order_they_came_in(
    tmp_path: Path,
) -> None:
    train, validation = plan_units("train", 20, 8), plan_units("validation", 9, 8)
    (test,) = plan_units("test", 3, 8)
    for unit in (validation[1], train[2], test, train[0], validation[0], train[1]):
        finish(tmp_path, unit)
    expected = [unit.name for unit in (*train, *validation, test)]
    assert [record["unit"] for record in read_manifest(tmp_path)["units"]] == expected
    assert [record["sources"] for record in read_manifest(tmp_path)["units"]] == [8, 8, 4, 8, 1, 3]


def test_the_manifest_takes_the_lines_in_and_removes_them(tmp_path: Path) -> None:
    units = plan_units("train", 20, 8)
    write_manifest(tmp_path, {"complete": False})
    assert read_manifest(tmp_path) == {"complete": False, "units": []}
    shards = [finish(tmp_path, unit) for unit in units]
    loose = read_manifest(tmp_path)
    write_manifest(tmp_path, {"complete": True, "method": "é"})
    assert not (tmp_path / "run" / "units").exists()
    merged = read_manifest(tmp_path)
    assert merged == {"complete": True, "method": "é", "units": loose["units"]}
    assert json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8")) == merged
    assert pending_units(tmp_path, units) == []
    for record, unit, shard in zip(merged["units"], units, shards, strict=True):
        assert record["files"]["real"] == {
            "path": unit.shard("real"),
            "rows": 2,
            "bytes": shard.path.stat().st_size,
            "sha256": shard.sha256,
        }
        assert len(record["rejections"]) == (unit.index > 0)


def test_an_interrupted_merge_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = plan_units("train", 20, 8)
    for unit in units:
        finish(tmp_path, unit)
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", failing(errno.ENOSPC))
        with pytest.raises(OSError, match="no space"):
            write_manifest(tmp_path, {"complete": True})
    assert len(read_manifest(tmp_path)["units"]) == 3
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", failing(errno.EIO))  # written, but the lines are still there
        with pytest.raises(OSError, match="Input/output error"):
            write_manifest(tmp_path, {"complete": True})
    assert len(read_manifest(tmp_path)["units"]) == 3
    write_manifest(tmp_path, {"complete": True})
    assert [r["unit"] for r in read_manifest(tmp_path)["units"]] == [u.name for u in units]


def test_finished_shards_are_found_before_and_after_the_merge(tmp_path: Path) -> None:
    train, validation = plan_units("train", 12, 8), plan_units("validation", 4, 8)
    shards = {unit.name: finish(tmp_path, unit) for unit in (train[1], validation[0], train[0])}
    expected = {
        "train": [shards[unit.name] for unit in train],
        "validation": [shards[unit.name] for unit in validation],
    }
    assert finished_shards(tmp_path, "real") == expected
    write_manifest(tmp_path, {})
    assert finished_shards(tmp_path, "real") == expected
    assert finished_shards(tmp_path, "guidance2-encode0.5") == {}


def test_a_unit_without_a_row_is_read_beside_others(tmp_path: Path) -> None:
    """One whose sources were all rejected: `datasets` refuses an empty group of rows."""
    files = [tmp_path / f"train-0000{i}-of-00002.parquet" for i in range(2)]
    for file, count in zip(files, (0, 3), strict=True):
        write_shard(file, rows_of(count), real_features(VOC))
    for order in (files, files[::-1]):
        names = [str(file) for file in order]
        assert len(datasets.load_dataset("parquet", data_files=names, split="train")) == 3
