"""What runs leave: manifests, options, shards; and data sets of Parquet that others wrote."""

import io
import json
import random
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from scribblegen.builders.config import HubConfig, ScenesConfig, SubsetConfig
from scribblegen.builders.publish.dataset import open_local_run
from scribblegen.builders.repository import dataset_card, write_gallery
from scribblegen.builders.sources import open_source
from scribblegen.builders.subset_rows import FinishedShards
from scribblegen.commands.build import build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.records import Rejection
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.manifest import finished_shards, read_manifest
from tests.fuzz.kinds import File, Kind, files_of
from tests.fuzz.pictures import check_sample
from tests.fuzz.structures import mutate_json

_TWINS = "guidance2-encode0.5"
_FILE = "train.parquet"


def manifests(folder: Path) -> Kind:
    """A run's records, read by all commands that read them."""
    run = _run(folder)
    shards = {file.name: file.data for file in files_of(folder, "*/*.parquet")}
    files = files_of(folder, "run/*")
    unit = next(iter(read_manifest(run)["units"]))
    line = File(f"run/units/{unit['unit']}.json", json.dumps(unit).encode())
    (run / "run/units").mkdir()
    (run / line.name).write_bytes(line.data)

    def read(file: File) -> None:
        for found in finished_shards(run, "real").values():
            for shard in found:
                assert shard.rows >= 0 and str(shard.path.relative_to(run)) in shards
        opened = open_local_run(run)
        assert isinstance(opened.key, str) and opened.family
        assert "load_dataset" in dataset_card(run, name="a")

    return Kind(folder, [*files, line], read, structure=0.7)


def shards(folder: Path) -> Kind:
    """A run's Parquet, read by the preview and the card, and as a data set."""
    run = _run(folder)
    files = files_of(folder, "*/*.parquet")

    def read(file: File) -> None:
        dataset_card(run, name="a")
        write_gallery(run)
        builder = FinishedShards(str(run), file.name.split("/")[0], cache_dir=str(folder / "cache"))
        builder.download_and_prepare()
        assert set(builder.as_dataset()) <= {"train", "test"}

    return Kind(folder, files, read)


def tables(folder: Path) -> Kind:
    """Repositories of Parquet, as the sources `hub` and `subset` open them."""
    run = _run(folder / "made")
    for name in ("real", _TWINS):
        (folder / name).mkdir()
        (run / name / "train-00000-of-00001.parquet").rename(folder / name / _FILE)
    configs = [f"- config_name: {n}\n  data_files: {n}/{_FILE}" for n in ("real", _TWINS)]
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(configs) + "\n---\n")
    files = [*files_of(folder, f"*/{_FILE}"), *files_of(folder, "README.md")]

    sources = {
        _TWINS: SubsetConfig(subset=f"{folder}:{_TWINS}"),
        "real": HubConfig(
            dataset_name=str(folder), dataset_config_name="real", label_column="label"
        ),
    }

    def read(file: File) -> Rejection | None:
        by_subset = file.name != f"real/{_FILE}"
        if file.name == "README.md":  # both read it; the first to refuse it would hide the other
            by_subset = len(file.data) % 2 == 0
        return _read(sources[_TWINS if by_subset else "real"])

    return Kind(folder, files, read)


def _read(config: HubConfig | SubsetConfig) -> Rejection | None:
    source = open_source(config)
    assert source is not None
    try:
        assert len(source.fingerprint()) == 16
        found = source.read(0)
    except Exception as error:
        raise AssertionError(f"must be a rejection: {error!r}") from error
    if isinstance(found, Rejection):
        return found
    check_sample(found, source.classes)
    return None


def mutate_parquet(data: bytes, rng: random.Random) -> bytes:
    """Whole Parquet with a column dropped, doubled, renamed, empty or of another type."""
    table = pq.read_table(io.BytesIO(data))
    place = rng.randrange(table.num_columns)
    name = table.column_names[place]
    change = rng.randrange(6)
    if change == 0:
        table = table.drop_columns([name])
    elif change == 1:
        table = table.append_column(rng.choice((name, "extra")), table.column(place))
    elif change == 2:
        other = rng.choice((*table.column_names, "extra", ""))
        table = table.rename_columns([other if n == name else n for n in table.column_names])
    elif change == 3:
        table = table.set_column(place, name, pa.nulls(len(table), table.schema.field(place).type))
    elif change == 4:
        values = rng.choice((["a"], [b"\xff"], [1.5], [None], [[1]], [{"bytes": b"a"}], [2**40]))
        table = table.set_column(place, name, pa.array(values * len(table)))
    else:
        table = table.replace_schema_metadata(
            rng.choice((None, {"huggingface": "{"}, _changed_metadata(table, rng)))
        )
    buffer = io.BytesIO()
    pq.write_table(table.slice(0, rng.choice((0, len(table), len(table)))), buffer)
    return buffer.getvalue()


def _changed_metadata(table: pa.Table, rng: random.Random) -> dict[bytes, bytes]:
    return {key: mutate_json(text, rng) for key, text in (table.schema.metadata or {}).items()}


def _run(folder: Path) -> Path:
    datasets.config.HF_DATASETS_CACHE = str(folder / "cache")
    method = ScribbleGenConfig(
        pipeline="random",
        guidance_scales=[2.0],
        encode_ratios=[0.5],
        num_inference_steps=2,
        rows=4,
    )
    source = ScenesConfig(ids="0:2", test_ids="10:11", scene_size=48)
    output = OutputConfig(sources_per_shard=2)
    build(source, method, output, output_dir=folder / "out", progress_bar=False)
    for path in (folder / "out").iterdir():
        path.rename(folder / path.name)
    (folder / "out").rmdir()
    return folder
