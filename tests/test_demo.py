"""The first command that anyone runs."""

import json
from dataclasses import replace

from datasets import load_dataset
from PIL import Image

from scribblegen.commands.demo import demo_options, run_demo


def test_the_demo_builds_trains_and_says_so(tmp_path, capsys):
    source, method, output = demo_options()
    small = (
        replace(source, ids="0:4", test_ids="1000:1006"),
        replace(method, num_inference_steps=5),
        output,
    )
    folder = tmp_path / "demo"
    result = run_demo(folder, options=small, steps=3)
    said = capsys.readouterr().out
    assert f"scribbles only      {result.scribbles_only:.3f}" in said
    assert f"scribbles + twins   {result.with_twins:.3f}" in said
    line = next(line for line in said.splitlines() if line.startswith("load_dataset("))
    rows = eval(line, {"load_dataset": load_dataset})["train"]
    assert len(rows) == 4 and rows[0]["image"].size == (64, 64)
    assert Image.open(folder / "assets/grid.png").width > 500
    assert "small pipeline that ships with scribblegen" in (folder / "README.md").read_text()
    segmentors = tmp_path / "demo-segmentors"
    for name, shown, twins in (
        ("scribbles", result.scribbles_only, 0),
        ("scribbles-and-twins", result.with_twins, 3 * 4),
    ):
        measured = json.loads((segmentors / name / "eval_results.json").read_text())
        assert measured["eval_mean_iou"] == shown and measured["eval_images"] == 6
        assert json.loads((segmentors / name / "run.json").read_text())["twins"] == twins
