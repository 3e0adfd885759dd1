"""Publishing to a Hub over real HTTP."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import DatasetCard

from scribblegen.builders.config import HubConfig, ScenesConfig
from scribblegen.builders.publish.dataset import open_local_run, publish
from scribblegen.builders.sources import open_source
from scribblegen.commands.build import build
from scribblegen.hub.models import model_files
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.records import real_features, real_row
from scribblegen.runs.config import OutputConfig
from tests.hub.fixtures import TOKEN, hub_environment, run_python, scribblegen
from tests.hub.server import FAULTS, LoopbackHub

REPO = "me/scenes-twins"
ALL_ROWS = """
import hashlib, sys
from datasets import load_dataset
where, streaming = sys.argv[1], sys.argv[2] == "streaming"
for subset in ("real", "guidance1-encode0.5", "guidance1-encode1"):
    for row in load_dataset(where, subset, split="train", streaming=streaming):
        pixels = hashlib.sha256(row["image"].tobytes() + row["label"].tobytes()).hexdigest()
        print(subset, row["source_id"], row["prompt"], pixels)
"""


def built(folder, ratios=(0.5, 1.0), ids="0:3", seed=0):
    grid = ScribbleGenConfig(
        guidance_scales=[1.0],
        encode_ratios=list(ratios),
        seed=seed,
        num_inference_steps=2,
        rows=4,
        pipeline="random",
    )
    source = ScenesConfig(ids=ids, test_ids="50:51", scene_size=48)
    build(source, grid, OutputConfig(license="cc0-1.0"), output_dir=folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of one family: both ratios, and one each; and one of another seed."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "both": built(folder / "both"),
        "half": built(folder / "half", [0.5]),
        "one": built(folder / "one", [1.0]),
        "other": built(folder / "other", seed=1),
    }


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path / "blobs") as hub:
        yield hub


def published(hub, tmp_path, folder, *flags, check=True):
    return scribblegen(
        hub, tmp_path / "home", "publish", str(folder), "--repo_id", REPO, *flags, check=check
    )


def same_as_folder(hub, folder):
    """Whether every file of the folder is in the repository; the card goes by the Hub's name."""
    there = hub.contents("dataset", REPO)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != "README.md" and there[name] != path.read_bytes():
            return False
    return True


def test_what_is_published_is_what_was_built(hub, runs, tmp_path):
    said = published(hub, tmp_path, runs["both"], "--no_verify")
    assert same_as_folder(hub, runs["both"])
    assert 'load_dataset("me/scenes-twins", "guidance1-encode1")' in said
    assert "guidance1-encode1                   3" in said
    assert hub.repositories["dataset", REPO].at("main").oid in said
    assert len(hub.repositories["dataset", REPO].commits) == 2, "one commit, after the first"
    card = hub.contents("dataset", REPO)["README.md"].decode()
    assert 'load_dataset("me/scenes-twins", "real")' in card
    parsed = DatasetCard(card)
    assert [c["config_name"] for c in parsed.data.configs] == [
        "real",
        "guidance1-encode0.5",
        "guidance1-encode1",
    ]

    streamed = run_python(hub, tmp_path / "a", "-c", ALL_ROWS, REPO, "streaming").stdout
    whole = run_python(hub, tmp_path / "b", "-c", ALL_ROWS, REPO, "whole").stdout
    local = run_python(hub, tmp_path / "c", "-c", ALL_ROWS, runs["both"], "whole").stdout
    assert streamed == whole == local and len(local.splitlines()) == 9

    load = (
        "from huggingface_hub import DatasetCard; print(DatasetCard.load('me/scenes-twins').data)"
    )
    assert "guidance1-encode0.5" in run_python(hub, tmp_path / "d", "-c", load).stdout
    assert not [p for p in hub.folder.iterdir() if TOKEN.encode() in p.read_bytes()]

    hub.requests.clear()
    again = published(hub, tmp_path, runs["both"], "--tag", "v1")
    assert "nothing: all of it was there" in again and "read back      the same" in again
    assert not [r for r in hub.requests if r[0] == "PUT" or "/commit/" in r[1]]
    repository = hub.repositories["dataset", REPO]
    assert repository.tags == {"v1": repository.at("main").oid}


def test_a_new_subset_is_sent_alone_and_the_card_keeps_what_others_wrote(hub, runs, tmp_path):
    published(hub, tmp_path, runs["half"], "--no_verify")
    card = hub.contents("dataset", REPO)["README.md"].decode()
    card = card.replace("license: cc0-1.0", "license: mit\nmaintainer: someone")
    card = card.replace("---\n\n<!--", "---\n\nOur own words, *kept*.\n\n<!--") + "\nMore words.\n"
    hub.edit("dataset", REPO, "README.md", card.encode())
    hub.requests.clear()
    published(hub, tmp_path, runs["both"], "--no_verify")
    sent = [r for r in hub.requests if r[0] == "PUT"]
    new = 1 + 1  # the shard and the picture
    assert len(sent) == new
    merged = hub.contents("dataset", REPO)["README.md"].decode()
    assert "Our own words, *kept*." in merged and merged.endswith("More words.\n")
    data = DatasetCard(merged).data
    assert data.license == "mit" and data.to_dict()["maintainer"] == "someone"
    assert [c["config_name"] for c in data.configs][-1] == "guidance1-encode1"
    assert merged.count("## Subsets") == 1, "the larger run stands for the smaller"
    assert same_as_folder(hub, runs["both"])


def test_subsets_made_otherwise_are_refused_and_replaced_only_when_asked(hub, runs, tmp_path):
    published(hub, tmp_path, runs["both"], "--no_verify")
    before = hub.contents("dataset", REPO)
    said = published(hub, tmp_path, runs["other"], "--no_verify", check=False)
    assert "guidance1-encode0.5, guidance1-encode1: there already, made otherwise" in said
    assert "seed: 0 there, 1 here" in said and "--overwrite" in said
    assert hub.contents("dataset", REPO) == before
    published(hub, tmp_path, runs["other"], "--overwrite")
    assert same_as_folder(hub, runs["other"])
    card = hub.contents("dataset", REPO)["README.md"].decode()
    assert card.count("## Subsets") == 1
    names = [c["config_name"] for c in DatasetCard(card).data.configs]
    assert len(names) == len(set(names)) == 3


def test_two_publishers_at_once_end_with_both_subsets(hub, runs, tmp_path):
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "scribblegen",
                "publish",
                str(runs[name]),
                "--repo_id",
                REPO,
                "--no_verify",
            ],
            env=hub_environment(hub, tmp_path / name),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for name in ("half", "one")
    ]
    for process in processes:
        said, _ = process.communicate()
        assert process.returncode == 0, said
    card = DatasetCard(hub.contents("dataset", REPO)["README.md"].decode())
    assert {c["config_name"] for c in card.data.configs} == {
        "real",
        "guidance1-encode0.5",
        "guidance1-encode1",
    }
    assert sum(bool(c.get("default")) for c in card.data.configs) == 1
    assert card.text.count("## Subsets") == 2
    rows = run_python(hub, tmp_path / "a", "-c", ALL_ROWS, REPO, "whole").stdout
    local = run_python(hub, tmp_path / "b", "-c", ALL_ROWS, runs["both"], "whole").stdout
    assert rows == local
    # Published together they replace the two parts by one.
    published(hub, tmp_path, runs["both"], "--no_verify")
    contents = hub.contents("dataset", REPO)
    assert contents["README.md"].decode().count("## Subsets") == 1
    assert [p for p in contents if p.endswith("manifest.json")] == ["run/manifest.json"]
    assert same_as_folder(hub, runs["both"])


def test_a_pull_request_leaves_the_main_branch_alone(hub, runs, tmp_path):
    published(hub, tmp_path, runs["half"], "--no_verify")
    before = hub.contents("dataset", REPO)
    said = published(hub, tmp_path, runs["both"], "--create_pr")
    assert hub.contents("dataset", REPO) == before
    assert "/discussions/1" in said and 'revision="refs/pr/1"' in said
    assert "guidance1-encode1/train-00000-of-00001.parquet" in hub.contents(
        "dataset", REPO, "refs/pr/1"
    )


def test_a_shard_that_is_gone_from_the_folder_goes_from_the_hub(hub, runs, tmp_path):
    published(hub, tmp_path, runs["both"], "--no_verify")
    stale = "guidance1-encode1/train-00000-of-00002.parquet"
    hub.edit("dataset", REPO, stale, b"of an older plan")
    said = published(hub, tmp_path, runs["both"], "--no_verify")
    assert "removed        1 files" in said and stale not in hub.contents("dataset", REPO)


def test_a_tag_is_not_moved(hub, runs, tmp_path):
    published(hub, tmp_path, runs["half"], "--no_verify", "--tag", "v1")
    said = published(hub, tmp_path, runs["both"], "--no_verify", "--tag", "v1", check=False)
    assert "`tag` v1" in said and "names the commit" in said


def test_a_hub_that_only_fails_is_given_up_in_one_message_without_the_token(runs, tmp_path):
    code = (
        "import time; time.sleep = lambda seconds: None\n"
        "from scribblegen.cli import main\nimport sys\n"
        f"main(['publish', {str(runs['half'])!r}, '--repo_id', {REPO!r}])"
    )
    with LoopbackHub(tmp_path / "blobs", fault_rate=1.0, kinds=("500",)) as hub:
        done = run_python(hub, tmp_path / "home", "-c", code, check=False)
    assert done.returncode == 1
    assert "scribblegen publish: " in done.stderr and "Traceback" not in done.stderr
    everything = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert not [p for p in everything if TOKEN.encode() in p.read_bytes()]


def test_a_damaged_upload_is_found(hub, runs, tmp_path):
    published(hub, tmp_path, runs["half"], "--no_verify")
    repository = hub.repositories["dataset", REPO]
    commit = repository.at("main")
    name = "guidance1-encode0.5/train-00000-of-00001.parquet"
    commit.files[name] = hub.store(b"something else", large=True)
    said = published(hub, tmp_path, runs["half"])
    assert "read back      the same" in said and same_as_folder(hub, runs["half"])


def test_a_license_is_asked_for_where_it_is_unknown(runs, tmp_path):
    def forget(folder):
        config = folder / "run/config.yaml"
        config.write_text(config.read_text().replace("cc0-1.0", "unknown"))

    with pytest.raises(ValueError, match="give --license with an id of the Hub"):
        publish(edited(runs, tmp_path, forget), REPO)


def edited(runs, tmp_path, edit):
    folder = tmp_path / "edited"
    shutil.copytree(runs["half"], folder)
    edit(folder)
    return folder


def _link(folder):
    (folder / "assets/more.png").symlink_to("/etc/hostname")


def _incomplete(folder):
    manifest = json.loads((folder / "run/manifest.json").read_text())
    (folder / "run/manifest.json").write_text(json.dumps({**manifest, "complete": False}))


def _changed(folder):
    shard = folder / "real/train-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")


def _missing(folder):
    (folder / "real/train-00000-of-00001.parquet").unlink()


def _path_in_config(folder):
    config = folder / "run/config.yaml"
    config.write_text(f"{config.read_text()}data_dir: {Path(__file__)}\n")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_link, "assets/more.png in .* is a symbolic link"),
        (_incomplete, "a run that is not complete"),
        (_changed, "is not what the run wrote"),
        (_missing, "is missing in"),
        (_path_in_config, "run/config.yaml holds a path of this machine"),
    ],
)
def test_folders_that_may_not_leave_are_refused_before_anything_is_sent(
    runs, tmp_path, edit, message
):
    with pytest.raises(ValueError, match=message):
        open_local_run(edited(runs, tmp_path, edit))


def test_a_path_of_the_disk_in_a_column_is_refused(runs, tmp_path):
    def edit(folder):
        shard = folder / "real/train-00000-of-00001.parquet"
        table = pq.read_table(shard)
        rows = table.to_pylist()
        rows[1]["image"]["path"] = str(Path(__file__))
        pq.write_table(table.from_pylist(rows, schema=table.schema), shard)
        text = (folder / "run/manifest.json").read_text()
        manifest = json.loads(text)
        import hashlib

        digest = hashlib.sha256(shard.read_bytes()).hexdigest()
        for unit in manifest["units"]:
            if unit["split"] == "train":
                unit["files"]["real"]["sha256"] = digest
        (folder / "run/manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(ValueError, match="holds a path of this machine in column `image`"):
        open_local_run(edited(runs, tmp_path, edit))


HOSTILE_IDS = [
    "../../x",
    "/nobody/s/folder",
    "a" * 300,
    "ünï/cødé 🎈",
    "Case",
    "case",
    "-rf",
    "x\ny",
    "con",
]


def test_source_ids_are_text_and_never_a_path(hub, tmp_path, scenes):
    source = open_source(ScenesConfig(ids="0:8", scene_size=64))
    rows = [
        real_row(replace(scenes[i % 8], source_id=name), source.classes)
        for i, name in enumerate(HOSTILE_IDS)
    ]
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    table = Dataset.from_list(rows, features=real_features(source.classes))
    table.to_parquet(photographs / "train-00000-of-00001.parquet")
    config = HubConfig(dataset_name=str(photographs), id_column="source_id", label_column="label")
    grid = ScribbleGenConfig(
        guidance_scales=[1.0],
        encode_ratios=[0.5, 1.0],
        num_inference_steps=2,
        rows=4,
        pipeline="random",
    )
    folder = tmp_path / "hostile"
    before = {p for p in tmp_path.rglob("*")}
    build(config, grid, OutputConfig(license="mit"), output_dir=folder)
    outside = {p for p in tmp_path.rglob("*") if folder not in (p, *p.parents)}
    assert outside == before, "nothing was written elsewhere"
    published(hub, tmp_path, folder)
    said = run_python(hub, tmp_path / "a", "-c", ALL_ROWS, REPO, "whole").stdout
    assert said == run_python(hub, tmp_path / "b", "-c", ALL_ROWS, folder, "whole").stdout
    assert load_dataset(str(folder), "real", split="train")["source_id"] == HOSTILE_IDS


def test_pickled_weights_and_links_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3/optimizer.pt").write_bytes(b"left out")
    (tmp_path / "training_args.bin").write_bytes(b"left out")
    assert [f.path for f in model_files(tmp_path)] == ["config.json"]
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="pytorch_model.bin in .* is pickled"):
        model_files(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "linked").symlink_to("/etc")
    with pytest.raises(ValueError, match="linked in .* is a symbolic link"):
        model_files(tmp_path)


@pytest.mark.slow
def test_two_hundred_publishes_through_faults_and_kills_each_end_whole(runs, tmp_path):
    """Every kind of fault, and SIGKILL, from a fixed seed; see `tests/hub/stress.py`."""
    folders = [str(runs[name]) for name in ("half", "one", "both")]
    with LoopbackHub(tmp_path / "blobs", fault_rate=0.08, seed=7) as hub:
        done = run_python(hub, tmp_path / "home", "-m", "tests.hub.stress", "200", *folders)
        report = json.loads(done.stdout.splitlines()[-1])
        assert report["publishes"] == 200 and report["unequal"] == []
        assert report["killed"] >= 20 and report["most_runs_by_hand"] <= 1
        assert set(hub.faults) == set(FAULTS), "every kind happened"
        for (kind, name), repository in hub.repositories.items():
            assert kind == "dataset"
            for commit in repository.commits[1:]:
                check_commit(hub, name, commit)


@pytest.mark.slow
def test_a_segmentor_is_trained_from_the_hub_published_there_and_used_from_there(
    hub, runs, tmp_path
):
    published(hub, tmp_path, runs["both"], "--no_verify")
    home = tmp_path / "home"
    said = scribblegen(
        hub,
        home,
        "train-segmentation",
        "--real",
        REPO,
        "--synthetic",
        f"{REPO}:guidance1-encode1",
        "--scheme",
        "uniform",
        "--eval_split",
        "test",
        "--crop_size",
        "48",
        "--max_steps",
        "2",
        "--report_to",
        "none",
        "--save_strategy",
        "no",
        "--output_dir",
        str(tmp_path / "model"),
        "--push_to_hub",
        "True",
        "--hub_model_id",
        "me/segmentor",
    )
    assert f"published {hub.address}/me/segmentor" in said
    contents = hub.contents("model", "me/segmentor")
    assert {
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "small_segmentor.py",
    } <= set(contents)
    assert not [name for name in contents if name.endswith(".bin")]
    assert not [name for name, data in contents.items() if str(tmp_path).encode() in data]
    use = (
        "import scribblegen.trainers.segmentation.models\n"
        "from huggingface_hub import ModelCard\nfrom PIL import Image\n"
        "from transformers import pipeline\n"
        "segmentor = pipeline('image-segmentation', model='me/segmentor')\n"
        "print(len(segmentor(Image.new('RGB', (64, 48)), subtask='semantic')) > 0)\n"
        "card = ModelCard.load('me/segmentor')\n"
        "print(card.data.datasets, card.data.pipeline_tag)"
    )
    said = run_python(hub, tmp_path / "fresh", "-c", use).stdout
    assert said.splitlines()[-2:] == ["True", "['me/scenes-twins'] image-segmentation"]
    again = scribblegen(hub, home, "publish", str(tmp_path / "model"), "--repo_id", "me/segmentor")
    assert "nothing: all of it was there" in again and "read back      the same" in again


def check_commit(hub, name, commit):
    """No half card, no subset without its shards, at any moment that anyone could have seen."""
    if "README.md" not in commit.files:
        return
    text = hub.read(commit.files["README.md"]).decode()
    card = DatasetCard(text)
    assert text.count("<!-- scribblegen run") == text.count("<!-- end of scribblegen run")
    for config in card.data.configs:
        for entry in config["data_files"]:
            shards = [p for p in commit.files if fnmatch(p, entry["path"])]
            count = int(shards[0].rsplit("-of-")[-1].removesuffix(".parquet"))
            assert len(shards) == count, f"{name} {commit.title}: {config['config_name']}"
    for path in commit.files:
        if path.endswith("manifest.json"):
            manifest = json.loads(hub.read(commit.files[path]))
            for unit in manifest["units"]:
                for file in unit["files"].values():
                    assert commit.files[file["path"]].sha256 == file["sha256"]
