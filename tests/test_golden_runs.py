"""The files of three small runs are those that were kept, to the last pixel and column."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from scribblegen.images import decode_image
from tests.golden_runs import GOLDEN, MADE_ON, RUNS, environment


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("golden") / request.param
    torch.set_num_threads(1)
    RUNS[request.param](folder)
    return folder, GOLDEN / request.param


def files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.parquet"))}


def test_the_files_are_those_that_were_kept(run):
    made, kept = map(files, run)
    assert list(made) == list(kept)
    for name in kept:
        same_rows(pq.read_table(made[name]), pq.read_table(kept[name]), name)
    if environment() == json.loads(MADE_ON.read_text()):
        digests = [
            {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in some.items()}
            for some in (made, kept)
        ]
        assert digests[0] == digests[1]


def same_rows(made, kept, name: str) -> None:
    """Every column alike; on another kind of machine a grey level may round the other way."""
    assert made.schema.equals(kept.schema, check_metadata=True), name
    exact = environment() == json.loads(MADE_ON.read_text())
    for here, there in zip(made.to_pylist(), kept.to_pylist(), strict=True):
        where = f"{name}, {there['source_id']}"
        assert here.keys() == there.keys(), where
        for column in there.keys() - {"image", "scores"}:
            assert here[column] == there[column], f"{where}, {column}"
        pictures = (decode_image(row["image"]["bytes"])[0].astype(int) for row in (here, there))
        distance = np.abs(np.subtract(*pictures))
        assert distance.max() <= (0 if exact else 1) and distance.mean() < 0.01, where
        for score in there.get("scores", {}):
            expected = there["scores"][score]
            close = expected if expected is None else pytest.approx(expected, abs=1e-4)
            assert here["scores"][score] == close, where
