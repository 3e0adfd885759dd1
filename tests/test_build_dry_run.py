"""`build --dry_run True`: what a run would be, without a file of it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scribblegen.builders.config import FolderConfig, ScenesConfig
from scribblegen.cli import main
from scribblegen.commands.build import build, open_build
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.plain_table import duration, plain_table
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.dry_run import BuildPlan, plan_build
from scribblegen.runs.dry_run_table import table

SOURCE = ScenesConfig(ids="0:5", test_ids="9:11", scene_size=64)
METHOD = ScribbleGenConfig(
    pipeline="random",
    guidance_scales=[2.0],
    encode_ratios=[0.5, 1.0],
    num_inference_steps=2,
    replicates=2,
    rows=4,
)
OUTPUT = OutputConfig(sources_per_shard=2)
PLAN = BuildPlan(
    items={"train": 1000, "test": 50},
    images=6000,
    images_left=4500,
    looked_at=63,
    reasons={"image is truncated": 2, "too small": 1},
    made=12,
    rejected=1,
    seconds_per_image=1.6,
    bytes_per_item=250_000,
    memory=3_210_000_000,
    remarks={"prompts are cut": 3},
)


def test_a_plan_is_of_the_whole_run_and_leaves_nothing(tmp_path):
    out = tmp_path / "out"
    plan = plan_build(open_build(SOURCE, METHOD, OUTPUT, out))
    assert list(tmp_path.iterdir()) == []
    assert plan.items == {"train": 5, "test": 2} and plan.looked_at == 5
    assert plan.images == plan.images_left == 5 * 2 * 2  # test scenes are passed on as they are
    assert plan.made in (8, 12, 16, 20) and plan.rejected == 0 and not plan.reasons
    assert plan.seconds_per_image > 0 and plan.memory > 10**8
    build(SOURCE, METHOD, OUTPUT, output_dir=out, progress_bar=False)
    written = sum(path.stat().st_size for path in out.glob("*/train-*.parquet"))
    assert plan.bytes_per_item * 5 == pytest.approx(written, rel=0.4)
    after = plan_build(open_build(SOURCE, METHOD, OUTPUT, out))
    assert after.images == 20 and after.images_left == 0 and after.seconds == 0
    (out / "guidance2-encode1" / "train-00001-of-00003.parquet").unlink()
    assert plan_build(open_build(SOURCE, METHOD, OUTPUT, out)).images_left == 8


def test_photographs_that_cannot_be_used_are_counted(tmp_path):
    scribble = np.full((64, 64), 255, np.uint8)
    scribble[10, 5:60], scribble[40, 5:60] = 0, 1
    pictures = {"images": np.zeros((64, 64, 3), np.uint8), "scribbles": scribble}
    for folder, pixels in pictures.items():
        (tmp_path / "in" / folder).mkdir(parents=True)
        for name in "abcd":
            Image.fromarray(pixels).save(tmp_path / "in" / folder / f"{name}.png")
    (tmp_path / "in" / "images" / "c.png").write_bytes(b"no picture")
    source = FolderConfig(data_dir=str(tmp_path / "in"), classes="ground,thing")
    plan = plan_build(open_build(source, METHOD, OUTPUT, tmp_path / "out"))
    assert plan.looked_at == 4 and sum(plan.reasons.values()) == 1
    # `c` is the third: of what was made its four images are lost, where it was among them.
    assert plan.rejected == (4 if plan.made >= 12 else 0)


def test_the_table_says_what_one_asks():
    told = table(PLAN, subsets=6, made="images", processes=4)
    lines = {line[:14].strip(): line[14:] for line in told.splitlines() if line[:1] != " "}
    assert lines["source"].startswith("1,000 in train, 50 in test; 63 looked at, 3 cannot be used")
    assert lines["images"] == "6,000 in 6 subsets, of which 1,500 are made"
    assert lines["tried"] == "12 images, 1.6 s each, 1 of them rejected"
    assert lines["mind"] == "prompts are cut: 3"
    assert lines["time"].startswith("about 30 min by 4 processes")
    assert lines["disk"].startswith("about 262 MB")
    assert lines["memory"].startswith("3.21 GB of the machine")
    alone = table(replace(PLAN, remarks={}, reasons={}), subsets=1, made="texts", processes=1)
    assert "all can be used" in alone and "mind" not in alone and "6,000 in 1 subset," in alone
    assert "about 2 h 0 min, besides opening" in alone


def test_times_and_long_texts():
    assert [duration(s) for s in (0.25, 42, 90, 3600 * 3 + 600, 3600 * 52)] == [
        "0.25 s",
        "42 s",
        "2 min",
        "3 h 10 min",
        "2 d 4 h",
    ]
    assert plain_table([("a", "b"), ("label", "word " * 30)]).splitlines()[2][:14] == " " * 14


def test_the_command_prints_it_whatever_the_number_of_processes(tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--pipeline", "random", "--num_inference_steps", "2", "--encode_ratios", "1"]
    source = ["--ids", "0:3", "--scene_size", "64", "--num_processes", "2"]
    main(["build", *source, *options, "--guidance_scales", "2", "--dry_run", "True"]
         + ["--output_dir", str(out)])  # fmt: skip
    told = capsys.readouterr()
    assert "3 in 1 subset" in told.out and "nothing was written" in told.out
    assert "shard train" not in told.err and not out.exists()
