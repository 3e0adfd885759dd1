"""A run is byte-identical for any number of processes, any order, and any kills."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from scribblegen.builders.config import ScenesConfig
from scribblegen.cli import main as scribblegen
from scribblegen.commands.build import build, open_build
from scribblegen.configs import to_arguments, to_dict
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.generation import generate_parts
from scribblegen.runs.loop import synthesize
from scribblegen.runs.manifest import pending_units, read_manifest
from scribblegen.runs.shares import Part, finished_parts, join_parts, share_out
from tests.forks import fork_server, run_ranks

SOURCE = ScenesConfig(ids="0:12", validation_ids="100:103", scene_size=48)
METHOD = ScribbleGenConfig(
    guidance_scales=[1, 2],
    encode_ratios=[0.25, 1.0],
    num_inference_steps=4,
    rows=8,
    replicates=2,
    pipeline="random",
)
OUTPUT = OutputConfig(sources_per_shard=2)
KILLS = 20


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file of a repository: shards, manifest, card, pictures."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def build_here(folder: Path) -> None:
    build(SOURCE, METHOD, OUTPUT, output_dir=folder)


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "run"
    build_here(folder)
    return folder


def test_a_run_holds_what_was_asked_for(reference):
    files = digests(reference)
    subsets = ["real", *(f"guidance{w}-encode{r}" for w in (1, 2) for r in ("0.25", "1"))]
    expected = {f"{s}/train-{i:05d}-of-00006.parquet" for s in subsets for i in range(6)}
    expected |= {f"real/validation-{i:05d}-of-00002.parquet" for i in range(2)}
    expected |= {"README.md", "id2label.json", "assets/grid.png"}
    expected |= {"run/config.yaml", "run/manifest.json"}
    assert set(files) == expected
    manifest = read_manifest(reference)
    assert manifest["complete"]
    rows = {s: sum(u["files"][s]["rows"] for u in manifest["units"][:6]) for s in subsets}
    assert rows == {s: 12 if s == "real" else 24 for s in subsets}
    for unit in manifest["units"]:
        for entry in unit["files"].values():
            assert files[entry["path"]] == entry["sha256"]


@pytest.mark.parametrize("num_processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_number_of_processes_changes_no_byte(reference, tmp_path, num_processes):
    options = {
        **to_dict(SOURCE, METHOD, OUTPUT),
        "output_dir": str(tmp_path / "run"),
        "num_processes": num_processes,
    }
    arguments = list(to_arguments(options))
    if num_processes == 3:
        done = subprocess.run(
            [sys.executable, "-m", "scribblegen.synthesize", *arguments],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout
    else:  # what is launched, without the launcher
        said = run_ranks(tmp_path / "said", num_processes, scribblegen, ["build", *arguments])
    # 12 sources x 4 cells x 2 replicates are 96 images, shared evenly.
    assert "96 images in" in said
    shares = " + ".join([str(96 // num_processes)] * num_processes)
    assert f"({shares} by {num_processes} processes)" in said
    assert digests(tmp_path / "run") == digests(reference)


def test_the_order_of_shards_changes_no_byte(reference, tmp_path):
    run = open_build(SOURCE, METHOD, OUTPUT, tmp_path / "run")
    shuffled = run.units[:]
    random.Random(0).shuffle(shuffled)
    generate_parts(run.method, run.sources, list(map(Part.whole, shuffled)), run.folder)
    there = {k: v for k, v in digests(reference).items() if k.endswith(".parquet")}
    here = {k: v for k, v in digests(run.folder).items() if k.endswith(".parquet")}
    assert here == there


@pytest.mark.parametrize("num_processes", [4, 5])
def test_units_that_do_not_divide_are_made_in_parts(reference, tmp_path, num_processes):
    run = open_build(SOURCE, METHOD, OUTPUT, tmp_path / "run")
    shares = share_out(run.units, [], num_processes, costly=["train"])
    assert any(not part.is_whole for share in shares for part in share)
    # One process after the other; the last is killed and its share made by two others.
    for share in shares[:-1]:
        generate_parts(run.method, run.sources, share, run.folder)
    pending = pending_units(run.folder, run.units)
    rest = share_out(pending, finished_parts(run.folder, pending), 2, costly=["train"])
    for share in rest:
        generate_parts(run.method, run.sources, share, run.folder)
    for unit in pending_units(run.folder, run.units):
        join_parts(run.folder, unit, {s.name: s.features for s in run.method.subsets})
    assert not pending_units(run.folder, run.units)
    there = {k: v for k, v in digests(reference).items() if k.endswith(".parquet")}
    here = {k: v for k, v in digests(run.folder).items() if k in there}
    assert here == there
    assert read_manifest(run.folder)["units"] == read_manifest(reference)["units"]


def build_short_run(folder: Path) -> None:
    """As many units, with fewer images in each: most of what a kill can hit, in a second."""
    method = replace(METHOD, guidance_scales=[2], replicates=1)
    build(SOURCE, method, OUTPUT, output_dir=folder)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_same_bytes(tmp_path):
    context = fork_server()
    rng = random.Random(0)
    folder, reference = tmp_path / "run", tmp_path / "reference" / "run"
    build_short_run(reference)

    warm = context.Process(target=build_short_run, args=(tmp_path / "warm" / "run",))
    warm.start()
    warm.join()  # the fork server has its imports now
    started = time.perf_counter()
    timed = context.Process(target=build_short_run, args=(tmp_path / "timed" / "run",))
    timed.start()
    timed.join()
    duration = time.perf_counter() - started

    kills, seen = 0, 0
    while kills < KILLS:
        process = context.Process(target=build_short_run, args=(folder,))
        process.start()
        process.join(rng.uniform(0, duration))
        if process.exitcode is not None:  # it was done first: begin again
            assert process.exitcode == 0
            assert digests(folder) == digests(reference)
            folder = tmp_path / str(kills) / "run"
            seen = 0
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        finished = len(read_manifest(folder)["units"])
        assert finished >= seen, "a finished unit was lost"
        seen = finished
        named = {p.name for p in folder.rglob("*.parquet") if not p.name.startswith(".")}
        assert named <= {p.name for p in reference.rglob("*.parquet")}
    build_short_run(folder)
    assert digests(folder) == digests(reference)


def test_a_finished_run_is_left_alone(reference):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*.parquet")}
    progress = synthesize(open_build(SOURCE, METHOD, OUTPUT, reference), progress_bar=False)
    assert progress.images == 0
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*.parquet")} == before


def test_a_resumed_run_makes_only_what_is_missing(reference, tmp_path):
    run = open_build(SOURCE, METHOD, OUTPUT, tmp_path / "run")
    generate_parts(run.method, run.sources, list(map(Part.whole, run.units[:2])), run.folder)
    done = read_manifest(run.folder)["units"]
    assert [u["unit"] for u in done] == [unit.name for unit in run.units[:2]]
    assert pending_units(run.folder, run.units) == run.units[2:]


def test_a_lost_shard_is_made_again(reference, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(reference, folder)
    (folder / "guidance1-encode1" / "train-00002-of-00006.parquet").unlink()
    cut = folder / "real" / "train-00004-of-00006.parquet"
    cut.write_bytes(cut.read_bytes()[:100])
    progress = synthesize(open_build(SOURCE, METHOD, OUTPUT, folder), progress_bar=False)
    made = [part.unit.name for part in progress.parts]
    assert made == ["train-00002-of-00006", "train-00004-of-00006"]
    assert digests(folder) == digests(reference)


def test_what_depends_on_the_source_alone_is_computed_once(tmp_path, diffusion):
    """P2: one VAE encoding, prompt and conditioning per source, whatever the grid."""
    calls = {"encode": 0, "conditioning": 0, "prompt": 0}
    run = open_build(SOURCE, METHOD, OUTPUT, tmp_path / "run", family=diffusion)

    class Counting:
        def __getattr__(self, name):
            if name in calls:
                calls[name] += 1
            return getattr(diffusion, name)

    run.method.jobs.family = Counting()
    generate_parts(run.method, run.sources, list(map(Part.whole, run.units[:3])), run.folder)
    assert calls["encode"] == 6
    assert calls["conditioning"] == 6
    assert calls["prompt"] <= 7  # sources with the same classes share one; and the empty one


def test_suffixes_vary_the_prompts_of_replicates(tmp_path):
    suffixes = ["at dusk", "in fog", "at noon"]
    method = replace(
        METHOD, guidance_scales=[1.0], replicates=3, prompt_suffixes=suffixes, pipeline="random"
    )
    build(SOURCE, method, output_dir=tmp_path / "run")
    subset = f"guidance1-encode{METHOD.encode_ratios[0]:g}"
    rows = load_dataset(str(tmp_path / "run"), subset, split="train")
    real = load_dataset(str(tmp_path / "run"), "real", split="train")
    prompts = dict(zip(real["source_id"], real["prompt"], strict=True))
    ends = {}
    for row in rows:
        plain = prompts[row["source_id"]]
        assert row["prompt"].startswith(f"{plain} ")
        ends.setdefault(row["source_id"], []).append(row["prompt"].removeprefix(f"{plain} "))
    assert all(sorted(found) == sorted(suffixes) for found in ends.values())
    assert len({found[0] for found in ends.values()}) > 1, "not every source begins with the same"


def test_cells_that_agree_on_every_step_are_computed_once(tmp_path, diffusion):
    method = ScribbleGenConfig(
        guidance_scales=[2], encode_ratios=[0.5, 0.51], num_inference_steps=4, rows=4
    )
    source = ScenesConfig(ids="0:2", scene_size=48)
    run = open_build(source, method, OutputConfig(), tmp_path / "run", family=diffusion)
    progress = synthesize(run, progress_bar=False)
    assert run.method.counts["images"] == 2
    assert progress.images == 4, "each is a row of two subsets"
    rows = [
        run.folder / f"guidance2-encode{r}" / "train-00000-of-00001.parquet" for r in (0.5, 0.51)
    ]
    first, second = (pq.read_table(path) for path in rows)
    assert first["image"].equals(second["image"])
    assert first["encode_ratio"].to_pylist() == [0.5, 0.5]
    assert second["encode_ratio"].to_pylist() == [0.51, 0.51]


def test_the_grid_of_a_source_shares_its_noise(reference):
    one, two = (
        pq.read_table(reference / s / "train-00000-of-00006.parquet").to_pylist()
        for s in ("guidance1-encode1", "guidance2-encode0.25")
    )
    assert [r["seed"] for r in one] == [r["seed"] for r in two]
    assert len({r["seed"] for r in one}) == len(one), "sources and replicates have their own"
    assert one[0]["image"] != one[1]["image"], "so replicates differ"
