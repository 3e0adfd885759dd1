"""A run's files that a disk cut short or a hand edited: one sentence with file and fix."""

import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scribblegen.builders.publish.dataset import open_local_run
from scribblegen.builders.repository import dataset_card
from scribblegen.cli import main
from scribblegen.runs.manifest import UNITS_FOLDER, read_manifest

SUBSET = "guidance2-encode0.5"
OPTIONS = ["--ids", "0:4", "--test_ids", "10:12", "--scene_size", "48", "--pipeline", "random"]
OPTIONS += ["--guidance_scales", "2", "--encode_ratios", "0.5", "--num_inference_steps", "2"]
OPTIONS += ["--rows", "4", "--sources_per_shard", "2"]
SHARD = "real/train-00000-of-00002.parquet"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    main(["build", *OPTIONS, "--output_dir", str(folder)])
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def refused_by(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    said = str(end.value.code)
    assert said.startswith(f"scribblegen {arguments[0]}: ") and "\n" not in said
    assert "--debug" not in said, "a message of its own"
    return said


def edit(run, change):
    path = run / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def commands(run):
    yield "build", *OPTIONS, "--output_dir", run
    yield "publish", run, "--repo_id", "me/run", "--license", "cc0-1.0"
    yield "preview", run


def test_a_manifest_that_is_cut_short_is_named_by_every_command(run):
    path = run / "run" / "manifest.json"
    path.write_bytes(path.read_bytes()[:500])
    for command in commands(run):
        assert re.search(
            rf": {re.escape(str(path))} is damaged: it is not JSON \(.*\)\. Restore it from a "
            rf"copy, or delete {re.escape(str(run))} and run `scribblegen build` again\.$",
            refused_by(*command),
        )


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda m: m.update(units=4), "`units` must be a list"),
        (lambda m: m["units"].append(7), "`unit` must hold fields. Got 7"),
        (lambda m: m["units"][0].pop("files"), "`unit` must have `files`. Got {"),
        (lambda m: m["units"][0].update(split="trian"), "`split` must be one of ('train', "),
        (lambda m: m["units"][0].update(index="0"), "`index` must be a whole number, 0 or more. "),
        (lambda m: m["units"][0].update(index=1), "`unit` must be named by its split and index."),
        (lambda m: m["units"][0]["files"]["real"].update(rows=-1), "`rows` must be a whole number"),
        (
            lambda m: m["units"][0]["files"]["real"].update(path="../../etc/passwd"),
            "`path` must be that of the unit's own file. Got '../../etc/passwd'",
        ),
        (lambda m: m["units"][0].update(rejections=[{}]), "`rejections` must have `source_id`."),
        (lambda m: m.update(complete="yes"), "`complete` must be true or false. Got 'yes'"),
        (lambda m: m.update(identity=[]), "`identity` must hold fields. Got []"),
        (lambda m: m["classes"][0].update(name=None), "`name` must be text. Got None"),
        (lambda m: m["subsets"][0].pop("generated"), "`subsets` must have `generated`. Got {"),
        (
            lambda m: m["subsets"][1]["settings"].update(guidance_scale=[]),
            "`settings.guidance_scale` must be text or a number. Got []",
        ),
        (
            lambda m: m["units"][0]["files"]["real"].update(rows=10**400),
            "`rows` must be a whole number, 0 or more. Got 1000",
        ),
    ],
)
def test_an_edited_manifest_is_refused_by_its_field(run, change, wrong):
    edit(run, change)
    for command in commands(run):
        said = refused_by(*command)
        assert f"{run / 'run/manifest.json'} was edited or damaged: {wrong}" in said
        assert said.endswith("and run `scribblegen build` again.") and len(said) < 700


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda m: m.pop("classes"), "`classes` is missing"),
        (lambda m: m.pop("complete"), "`complete` is missing"),
        (lambda m: m["classes"].pop(0), "`classes` must have the ids 0, 1, ..."),
        (lambda m: m["subsets"].pop(0), "`subsets` must list every subset. Got files of 'real'"),
        (lambda m: m.update(subsets=[], units=[]), "`subsets` must be one or more. Got []"),
        (lambda m: m.update(method="../a"), "`method` must be the name of one. Got '../a'"),
        (
            lambda m: m["classes"][0].update(palette_rgb=[0, 0, 999]),
            "`classes`: `palette` must hold (R, G, B) of 0..255. Got (0, 0, 999)",
        ),
    ],
)
def test_a_manifest_that_lacks_a_field_is_not_published(run, change, wrong):
    edit(run, change)
    for command in list(commands(run))[1:]:
        assert f"manifest.json was edited or damaged: {wrong}" in refused_by(*command)


def test_a_damaged_line_of_a_unit_says_that_deleting_it_mends_it(run):
    manifest = json.loads((run / "run" / "manifest.json").read_text())
    lost = manifest["units"].pop(1)
    (run / "run" / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    line = run / UNITS_FOLDER / f"{lost['unit']}.json"
    line.parent.mkdir()
    for text in ("", json.dumps(lost)[:50], "{}", "[]"):
        line.write_text(text)
        for command in commands(run):
            said = refused_by(*command)
            assert str(line) in said
            assert said.endswith(
                "Delete it and run `scribblegen build` again: it makes this unit anew."
            )
    line.unlink()
    main(["build", *OPTIONS, "--output_dir", str(run)])
    assert read_manifest(run)["units"][1] == lost


def cut(data):
    return data[: len(data) // 2]


def flip_footer(data):
    return data[:-200] + bytes(byte ^ 0x5A for byte in data[-200:-20]) + data[-20:]


@pytest.mark.parametrize("damage", [cut, flip_footer, lambda data: b"", lambda data: b"PAR1" * 9])
def test_a_damaged_shard_is_named_and_made_again_once_deleted(run, finished, tmp_path, damage):
    shard = run / SHARD
    shard.write_bytes(damage(shard.read_bytes()))
    told = f"{shard} is damaged: "
    fix = "Delete it and run `scribblegen build` again with the same options"
    said = refused_by("preview", run)
    assert told in said and fix in said
    said = refused_by(
        "build",
        "--source",
        "subset",
        "--subset",
        f"{run}:real",
        "--output_dir",
        tmp_path / "more",
        "--pipeline",
        "random",
    )
    assert told in said and fix in said
    said = refused_by("train-segmentation", "--real", run, "--output_dir", tmp_path / "model")
    assert f"{run}:real holds a damaged file: {shard}: " in said
    assert "is not what the run wrote" in refused_by(
        "publish", run, "--repo_id", "me/run", "--license", "cc0-1.0"
    )
    shard.unlink()
    main(["build", *OPTIONS, "--output_dir", str(run)])
    assert shard.read_bytes() == (finished / SHARD).read_bytes()


def test_a_shard_that_rots_at_its_size_is_found_by_the_card(run):
    shard = run / SHARD
    shard.write_bytes(flip_footer(shard.read_bytes()))
    said = refused_by("build", *OPTIONS, "--output_dir", run)
    assert f"{shard} is damaged: " in said and "Delete it" in said


def test_a_shard_of_other_columns_is_damaged_too(run):
    shard = run / SHARD
    pq.write_table(pq.read_table(shard).drop_columns(["label"]), shard)
    assert f"{shard} is damaged: it has no column `label`. Delete" in refused_by("preview", run)


def test_a_shard_whose_columns_hold_something_else_is_damaged_too(run):
    shard = run / SHARD
    table = pq.read_table(shard)
    place = table.column_names.index("label")
    pq.write_table(table.set_column(place, "label", pa.array(["a"] * len(table))), shard)
    wrong = f"{shard} is damaged: its column `label` holds something else. Delete it"
    assert wrong in refused_by("preview", run)

    twins = run / f"{SUBSET}/train-00000-of-00002.parquet"
    table = pq.read_table(twins)
    place = table.column_names.index("scores")
    pq.write_table(table.set_column(place, "scores", pa.array(["a"] * len(table))), twins)
    with pytest.raises(OSError, match=f"{twins} is damaged: its column `scores` must hold numbers"):
        dataset_card(run, name="a")


def test_a_damaged_picture_in_a_shard_is_named_by_its_subset_and_source(run):
    shard = run / SHARD
    rows = pq.read_table(shard)
    changed = rows.to_pylist()
    changed[0]["label"]["bytes"] = changed[0]["label"]["bytes"][:-20]
    pq.write_table(pa.Table.from_pylist(changed, rows.schema), shard)
    said = refused_by("preview", run)
    source = re.escape(repr(changed[0]["source_id"]))
    assert re.search(
        rf"{run / 'real'} holds a damaged picture: `label` of source {source}: unreadable: .*\. "
        "Delete it and run `scribblegen build` again",
        said,
    )


def test_a_run_is_shown_where_others_added_columns_of_bytes(run):
    twins = run / f"{SUBSET}/train-00000-of-00002.parquet"
    table = pq.read_table(twins)
    pq.write_table(table.append_column("extra", pa.array([b"a"] * len(table))), twins)
    assert '"source_id"' in dataset_card(run, name="a")


@pytest.mark.parametrize("card", ["---\nconfigs: [\n---\n", "---\na: \x00\n---\n"])
def test_a_card_of_a_data_set_that_is_no_yaml_is_told_with_its_option(run, tmp_path, card):
    folder = tmp_path / "plain"
    folder.mkdir()
    shutil.copy(run / SHARD, folder / "0.parquet")
    (folder / "README.md").write_text(card)
    source = ["--source", "subset", "--subset", f"{folder}:default"]
    said = refused_by("build", *source, "--pipeline", "random", "--output_dir", tmp_path / "o")
    assert f"`subset` {folder} cannot be opened: " in said
    assert said.endswith("Mend its README.md, or download it again.")


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"a: [", "is not valid YAML"),
        (b"license: \xff", "must be UTF-8 text. Got byte 0xff at position 9"),
        (b"- 4", "was edited or damaged: it must hold the run's options, `license` too"),
        (b"", "was edited or damaged: it must hold the run's options, `license` too"),
    ],
)
def test_damaged_options_of_a_run_are_refused_and_written_anew(run, finished, data, wrong):
    path = run / "run" / "config.yaml"
    path.write_bytes(data)
    said = refused_by("publish", run, "--repo_id", "me/run")
    assert str(path) in said and wrong in said
    main(["build", *OPTIONS, "--output_dir", str(run)])
    assert path.read_bytes() == (finished / "run" / "config.yaml").read_bytes()
    open_local_run(run)


def test_a_damaged_data_set_of_a_folder_is_named_by_its_file(run, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    for number in range(2):
        shutil.copy(run / f"real/train-0000{number}-of-00002.parquet", folder / f"{number}.parquet")
    data = (folder / "1.parquet").read_bytes()
    (folder / "1.parquet").write_bytes(cut(data))
    for source in (
        ["--source", "hub", "--dataset_name", folder],
        ["--source", "subset", "--subset", f"{folder}:default"],
    ):
        said = refused_by("build", *source, "--pipeline", "random", "--output_dir", tmp_path / "o")
        assert f"holds a damaged file: {folder / '1.parquet'}: " in said
        assert said.endswith("Make or download it again.")
