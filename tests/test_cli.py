"""What a user sees on the command line."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import ModelCard

from scribblegen.builders.sources import PHOTOGRAPHS, SOURCE, source_name
from scribblegen.cli import main
from scribblegen.commands import command_line
from scribblegen.commands.study.plan import read_study
from scribblegen.configs import parse_configs
from scribblegen.methods import table
from scribblegen.methods.table import method_choice
from scribblegen.recipes import recipe_names
from scribblegen.runs.config import OutputConfig, RunConfig
from scribblegen.tiny.random_weights import random_parts
from scribblegen.trainers.base.config import TrainingRunConfig
from scribblegen.trainers.classifier.config import ClassifierConfig
from scribblegen.trainers.clip.config import ClipConfig
from scribblegen.trainers.controlnet.config import ControlNetConfig, ControlNetRunConfig
from scribblegen.trainers.open_vocabulary.config import OpenVocabularyTrainingConfig
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.small_pipeline.autoencoder_config import AutoencoderConfig
from scribblegen.trainers.small_pipeline.text_to_image_config import TextToImageConfig

ROOT = Path(__file__).parents[1]
TRAINING = {
    "controlnet": (PHOTOGRAPHS, ControlNetConfig, ControlNetRunConfig),
    "autoencoder": (PHOTOGRAPHS, AutoencoderConfig, TrainingRunConfig),
    "base": (PHOTOGRAPHS, TextToImageConfig, TrainingRunConfig),
    "grounded": (PHOTOGRAPHS, TextToImageConfig, TrainingRunConfig),
    "clip": (PHOTOGRAPHS, ClipConfig, TrainingRunConfig),
}
GRID = [
    "--guidance_scales",
    "1",
    "2",
    "--encode_ratios",
    "0.5",
    "--num_inference_steps",
    "2",
    "--rows",
    "4",
]


def build(*arguments):
    main(["build", "--ids", "0:3", "--scene_size", "48", *GRID, *map(str, arguments)])


def test_build_ends_with_a_table_and_the_line_that_loads_it(tmp_path, capsys, caplog):
    build("--output_dir", tmp_path / "run")
    out = capsys.readouterr().out
    assert "using the small one that ships with scribblegen" in caplog.text
    assert [line.split()[:3] for line in out.splitlines() if line.startswith("guidance")] == [
        ["guidance1-encode0.5", "3", "0"],
        ["guidance2-encode0.5", "3", "0"],
    ]
    assert "6 images in" in out and "images/s" in out
    rates = [float(line.split()[4]) for line in out.splitlines() if line.startswith("guidance")]
    total = float(re.search(r"s: ([\d.]+) images/s", out)[1])
    assert sum(rates) == pytest.approx(total, abs=0.2), "each subset's share of the speed"
    assert f'load_dataset("{tmp_path / "run"}", "guidance1-encode0.5")' in out


def test_flags_override_the_config_file(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text(
        "ids: '0:2'\nscene_size: 48\nguidance_scales: [3]\nencode_ratios: [0.5]\n"
        f"num_inference_steps: 2\noutput_dir: {tmp_path / 'run'}\n"
    )
    main(["build", "--config", str(config), "--encode_ratios", "1.0"])
    assert "guidance3-encode1 " in capsys.readouterr().out


def test_preview_draws_a_run(tmp_path, capsys):
    build("--output_dir", tmp_path / "run")
    capsys.readouterr()
    main(["preview", str(tmp_path / "run"), "--output", str(tmp_path / "p.png"), "--rows", "2"])
    assert capsys.readouterr().out.strip() == str(tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()
    with pytest.raises(SystemExit, match="holds no run. `scribblegen build` makes one"):
        main(["preview", str(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encode_ratios", "0"], r"`encode_ratio` must be in \(0, 1\]. Got 0.0"),
        (["--encode_ratios", "0.5", "0.5"], "`encode_ratios` must be different numbers"),
        (["--encode_ratios", "0.1"], "runs no step of 2. Use at least 0.25"),
        (["--guidance_scales", "0.5"], "`guidance_scales` must be 1 or more"),
        (["--encode_ratio_mode", "odd"], "`encode_ratio_mode` must be one of"),
        (["--scribble_error_rate", "0.1"], r"`scribble_error_rate` must be in \[0, 0.03\]"),
        (["--controlnet", "x"], "`pipeline` must be given with `controlnet`"),
        (["--pipeline", "nothing-here"], "nothing-here"),
        (["--image_format", "gif"], "`image_format` must be one of"),
        (["--max_samples", "0"], "`max_samples` must be at least 1"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_bad_option_is_refused_in_one_message_before_any_work(tmp_path, arguments, message):
    with pytest.raises(SystemExit) as ended:
        build("--output_dir", tmp_path / "run", *arguments)
    assert str(ended.value).startswith("scribblegen build: ")
    assert re.search(message, str(ended.value)), ended.value
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "nowhere"], "`source` must be one of ['scenes', 'folder', "),
        (["--source", "folde"], "Got 'folde'. Did you mean `folder`?"),
        (
            ["--source", "folder"],
            "`scene_size` is an option of source scenes; source folder has none of that name.",
        ),
        (
            ["--max-side", "4"],
            "`max_side` is an option of source folder, pascal_scribble, hub; source scenes has",
        ),
        (
            ["--encode_ratio", "2"],
            "`encode_ratio` is no option of `scribblegen build`. Did you mean "
            "`encode_ratios`? `scribblegen build --help` lists all.",
        ),
        (
            ["--guidance_scale", "2"],
            "`guidance_scale` is an option of method diffumask, magicseg; method scribblegen has "
            "none of that name. Did you mean `guidance_scales`? Choose with `--method diffumask`, "
            "or",
        ),
        (["--xyzzy"], "`xyzzy` is no option of `scribblegen build`. `scribblegen build --help`"),
        (["--max_samples", "1.5"], "`max_samples` must be a whole number. Got '1.5'."),
        (["--train_fraction", "half"], "`train_fraction` must be a number. Got 'half'."),
        (["--aligned_start", "maybe"], "`aligned_start`: "),
        (["--seed"], "`seed` must be followed by its value"),
        (["--encode_ratios"], "`encode_ratios` must be followed by its value"),
        (["--source"], "`source` must be followed by its value"),
        (["--config"], "`config` must be followed by its value"),
    ],
)
def test_a_mistyped_command_line_is_answered_with_one_line(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        build("--output_dir", tmp_path / "run", *arguments)
    answer = capsys.readouterr().err
    assert ended.value.code == 2 and not (tmp_path / "run").exists()
    assert answer.startswith("scribblegen build: error: ") and answer.count("\n") == 1
    assert message in answer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preview", "a", "--row", "3"], "`row` is no option of `scribblegen preview`. Did you"),
        (["preview", "a", "--rows", "x"], "`rows` must be a whole number. Got 'x'."),
        (["preview"], "error: `folder` must be given."),
        (["publish"], "error: `folder`, `repo_id` must be given."),
        (["publish", "a", "--repo", "me/a"], "`repo` is no option of `scribblegen publish`. Did"),
        (["demo", "--output", "a"], "`output` is no option of `scribblegen demo`. Did you mean"),
        (["demo", "a"], "`a` must have an option in front of it"),
        (["train-controlnet", "--source", "prompts"], "`source` must be one of ['scenes',"),
        (["train-controlnet", "--learning_rat", "1"], "Did you mean `learning_rate`?"),
        (["train-segmentation", "--crop", "64"], "`crop` is no option of `scribblegen train-"),
        (["study", "--config"], "`config` must be followed by its value"),
        (["study", "--seed", "1"], "`seed` is no option of `scribblegen study`. Did you mean"),
    ],
)
def test_so_is_that_of_every_command(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    answer = capsys.readouterr().err
    assert ended.value.code == 2 and answer.count("\n") == 1 and message in answer
    assert answer.startswith(f"scribblegen {arguments[0]}: error: ")


def test_help_lists_the_options_of_the_chosen_source_alone(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("source: hub\n")
    for arguments, own, foreign in (
        ([], "--scene_size", "--data_dir"),
        (["--source", "folder"], "--data_dir", "--scene_size"),
        (["--config", str(config)], "--dataset_name", "--data_dir"),
        (["--config", str(config), "--source=prompts"], "--prompt_templates", "--ids"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["build", "--help", *arguments])
        shown = " ".join(capsys.readouterr().out.split())
        assert ended.value.code == 0 and f" {own} " in shown and f" {foreign} " not in shown
        assert "--help` lists those of another" in shown and "pascal_scribble" in shown


def test_a_method_has_a_source_of_its_own_where_none_is_named(tmp_path, capsys, monkeypatch):
    entry = replace(table.METHODS["photographs"], source="folder")
    monkeypatch.setitem(table.METHODS, "photographs", entry)
    config = tmp_path / "run.yaml"
    config.write_text("method: photographs\n")
    both = tmp_path / "both.yaml"
    both.write_text("method: photographs\nsource: hub\n")
    for arguments, own in (
        (["--method", "photographs"], "--data_dir"),
        (["--config", str(config)], "--data_dir"),
        (["--config", str(config), "--method=cdsp"], "--scene_size"),
        (["--config", str(both)], "--dataset_name"),
        (["--method=photographs", "--source=scenes"], "--scene_size"),
        ([], "--scene_size"),
    ):
        with pytest.raises(SystemExit):
            main(["build", "--help", *arguments])
        assert f" {own} " in " ".join(capsys.readouterr().out.split()), arguments
    with pytest.raises(SystemExit, match="`data_dir` must be given"):
        main(["build", "--method", "photographs", "--output_dir", str(tmp_path / "run")])


def test_a_run_s_own_config_builds_it_again(tmp_path, capsys):
    build("--output_dir", tmp_path / "run", "--encode_ratios", "1")
    written = tmp_path / "run" / "run" / "config.yaml"
    assert written.read_text().startswith("method: scribblegen\nsource: scenes\n")
    main(["build", "--config", str(written), "--output_dir", str(tmp_path / "again")])
    files = sorted((tmp_path / "run").rglob("*.parquet"))
    assert files
    for file in files:
        again = tmp_path / "again" / file.relative_to(tmp_path / "run")
        assert again.read_bytes() == file.read_bytes()


def test_a_source_of_another_kind_is_refused_by_name(tmp_path):
    with pytest.raises(SystemExit, match="of the kind Sample for .*PromptSource, which gives"):
        main(
            [
                "build",
                "--source",
                "prompts",
                "--classes",
                "cat,dog",
                "--output_dir",
                str(tmp_path / "run"),
            ]
        )


def test_a_foreign_option_in_the_config_file_is_refused_by_name(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("source: scenes\nmax_side: 64\n")
    with pytest.raises(SystemExit, match="run.yaml.*`max_side` is an option of source folder"):
        main(["build", "--config", str(config)])
    config.write_text("source: folde\n")
    with pytest.raises(SystemExit, match="`source` in .*run.yaml must be one of .*Got 'folde'"):
        main(["build", "--config", str(config)])


def test_an_output_folder_is_needed():
    with pytest.raises(SystemExit, match="`output_dir` must be given"):
        build()


def test_a_misspelt_key_in_the_config_file_is_refused_with_a_suggestion(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("guidance_scale: [3]\n")
    with pytest.raises(SystemExit, match="Did you mean `guidance_scales`"):
        main(["build", "--config", str(config)])


def save_base(folder):
    """A tiny pipeline without a ControlNet, in diffusers' layout."""
    parts = random_parts(13)
    scheduler = parts.pop("scheduler_config")
    del parts["controlnet"]
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


def test_a_controlnet_is_trained_then_used(tmp_path, capsys):
    base = save_base(tmp_path / "base")
    train = [
        "train-controlnet",
        "--pretrained_model_name_or_path",
        str(base),
        "--ids",
        "0:6",
        "--scene_size",
        "64",
        "--train_batch_size",
        "2",
        "--max_train_steps",
        "2",
        "--num_validation_images",
        "1",
        "--output_dir",
        str(tmp_path / "trained"),
    ]
    main([*train, "--checkpointing_steps", "1"])
    assert (tmp_path / "trained" / "checkpoint-2" / "controlnet" / "config.json").is_file()
    card = ModelCard.load(tmp_path / "trained" / "README.md")
    assert "controlnet" in card.data.tags and "2 optimiser steps of 2 samples" in card.content
    assert str(tmp_path) not in card.content
    main([*train, "--max_train_steps", "3", "--resume_from_checkpoint", "latest"])
    build(
        "--pipeline", base, "--controlnet", tmp_path / "trained", "--output_dir", tmp_path / "run"
    )
    assert "guidance2-encode0.5" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="`null_condition` must be one .*hint.* Got 'text'"):
        build(
            "--pipeline",
            base,
            "--controlnet",
            tmp_path / "trained",
            "--null_condition",
            "text",
            "--output_dir",
            tmp_path / "other",
        )


def test_one_command_trains_a_controlnet_for_every_list_of_ids(tmp_path):
    main(
        [
            "train-controlnet",
            "--pretrained_model_name_or_path",
            str(save_base(tmp_path / "base")),
            "--id_lists",
            "0:2",
            "2:4",
            "--scene_size",
            "64",
            "--max_train_steps",
            "1",
            "--output_dir",
            str(tmp_path / "low-data"),
        ]
    )
    folders = sorted(p.name for p in (tmp_path / "low-data").iterdir())
    assert folders == ["0-2", "2-4"]
    for folder in folders:
        assert (tmp_path / "low-data" / folder / "config.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "`pretrained_model_name_or_path` must be given"),
        (["--conditioning_dropout", "1.5"], "must be 0 or more and sum to 1"),
        (["--resume_from_checkpoint", "checkpoint-7"], "must be latest or a complete checkpoint"),
        (["--null_conditioning", "odd"], "`null_conditioning` must be one of"),
    ],
)
def test_bad_training_options_are_refused(tmp_path, arguments, message):
    base = (
        []
        if not arguments
        else ["--pretrained_model_name_or_path", str(save_base(tmp_path / "base"))]
    )
    with pytest.raises(SystemExit, match=message):
        main(["train-controlnet", "--output_dir", str(tmp_path / "out"), *base, *arguments])


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_parses(name, tmp_path):
    if name.startswith("study"):
        plan, run = read_study(["--config", name, "--output_dir", str(tmp_path)])
        assert plan.study.arms[0] == "real" and run.output_dir == str(tmp_path)
        return
    if name.endswith("segmentation"):
        options = ["--config", name, "--output_dir", str(tmp_path)]
        if name.startswith("paper"):
            options += ["--synthetic", "a:b"]
        (config,) = parse_configs((SegmentationConfig,), options, program="p", description="d")
        assert config.head_learning_rate_factor > 1
        if name.startswith("paper"):
            assert config.lr_scheduler_kwargs == {"power": 0.9, "lr_end": 0.0}
        return
    if name.endswith("classification"):
        options = ["--config", name, "--output_dir", str(tmp_path)]
        (config,) = parse_configs((ClassifierConfig,), options, program="p", description="d")
        assert config.freeze_batch_norm and config.head_learning_rate_factor > 1
        return
    if name.endswith("open-vocabulary"):
        types = (OpenVocabularyTrainingConfig, TrainingRunConfig)
        config, _ = parse_configs(types, ["--config", name], program="p", description="d")
        assert config.learning_rate_factor == 10 and config.lr_scheduler == "polynomial"
        return
    if name.endswith("cdsp"):
        options = ["--config", name, "--real", "a", "--output_dir", str(tmp_path)]
        (config,) = parse_configs((SegmentationConfig,), options, program="p", description="d")
        assert config.rectification_weight == 1
        return
    types = next(
        (types for ending, types in TRAINING.items() if name.endswith(ending)),
        (SOURCE, method_choice(), OutputConfig, RunConfig),
    )
    source, *_ = parse_configs(types, ["--config", name], program="p", description="d")
    of_paper = {"diffumask": "prompts", "magicseg": "descriptions"}.get(
        name.removeprefix("paper-").partition("-")[0], "pascal_scribble"
    )
    assert source_name(source) == (of_paper if name.startswith("paper") else "scenes")


def test_an_unknown_command_names_the_known_ones():
    with pytest.raises(
        SystemExit,
        match=r"no command 'biuld'. Did you mean `build`\? Known: demo, build, preview, publish",
    ):
        main(["biuld"])


def test_a_refusal_in_several_processes_is_one_message(tmp_path):
    """A fault of the config is found before any process is launched."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "scribblegen",
            "build",
            "--source",
            "folder",
            "--data_dir",
            tmp_path,
            "--num_processes",
            "2",
            "--output_dir",
            tmp_path / "run",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("scribblegen build: `image_dir` must be given")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "advice"), [("build", "run the same command"), ("train-controlnet", "latest")]
)
def test_a_process_that_ends_early_is_followed_by_advice(tmp_path, monkeypatch, command, advice):
    started = []

    def fail(launched):
        started.append(launched)
        return 1

    monkeypatch.setattr(command_line, "run_apart", fail)
    with pytest.raises(SystemExit, match=f"a process ended early, see above.*{advice}"):
        main([command, "--num_processes", "2", "--output_dir", str(tmp_path / "out")])
    assert len(started) == 1 and "--num_processes=2" in started[0]


def test_the_manifest_names_the_environment(tmp_path):
    build("--output_dir", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "run" / "manifest.json").read_text())
    assert {"python", "torch", "diffusers"} <= set(manifest["environment"])
    assert manifest["identity"]["device"] in ("cpu", "cuda")


def test_prompts_that_are_cut_are_counted_and_told_once(tmp_path, capsys):
    """With the class names that are lost, in one place: not between the lines of the bar."""
    build("--output_dir", tmp_path / "short")
    assert "too long" not in capsys.readouterr().out
    build("--prompt_stem", "photo " * 60, "--output_dir", tmp_path / "long")
    said = capsys.readouterr()
    assert "too long" not in said.err
    classes = load_dataset(str(tmp_path / "long"), "real", split="train")["classes"]
    assert [line for line in said.out.splitlines() if "too long" in line or "lost" in line] == [
        "photographs whose prompt is too long for the text encoder and is cut: 3",
        f"names of drawn classes that are lost with it: {sum(map(len, classes))}",
    ]
