"""Whatever goes wrong, a command ends with one line; Ctrl-C says what is kept."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scribblegen.cli import COMMANDS, main
from scribblegen.last_resort import one_line, run_command, take_debug

ROOT = Path(__file__).parents[1]


class TensorShapeError(Exception):
    """What a library raises."""


def ended(error, *arguments, command="build"):
    def fail(rest):
        assert rest == ["--ids", "0:3"], "the option is taken out"
        raise error

    with pytest.raises(SystemExit) as end:
        run_command(command, fail, ["--ids", "0:3", *arguments])
    return end.value.code


def test_an_unknown_exception_is_one_line(capsys):
    assert ended(TensorShapeError(f"a\nb {'x' * 300}")) == (
        f"scribblegen build: tensor shape error: a b {'x' * 196} .... Run with `--debug True` "
        "for the traceback."
    )
    assert ended(KeyError("name")) == (
        "scribblegen build: key error: 'name'. Run with `--debug True` for the traceback."
    )
    assert one_line(RuntimeError()) == ("runtime error. Run with `--debug True` for the traceback.")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("debug", [["--debug", "True"], ["--debug=true"], ["--debug"]])
def test_debug_shows_the_traceback_too(capsys, debug):
    assert ended(TensorShapeError("no"), *debug).startswith("scribblegen build: tensor shape")
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback") and shown.endswith("TensorShapeError: no\n")
    assert "SCRIBBLEGEN_DEBUG" not in os.environ


def test_debug_shows_what_a_refusal_was_raised_by(tmp_path, capsys):
    with pytest.raises(SystemExit, match="^scribblegen build: `output_dir` must be given"):
        main(["build", "--debug", "True"])
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="^scribblegen build: `output_dir` must be given"):
        main(["build", "--debug", "False"])
    assert capsys.readouterr().err == ""


def test_a_command_keeps_a_debug_option_of_its_own():
    given = ["--debug", "underflow_overflow", "--ids", "0:3"]
    assert take_debug(given) == (False, given)


def test_library_errors_that_are_value_errors_are_unknown_too(monkeypatch):
    """Their messages name neither file nor option."""
    import scribblegen.builders.repository as repository

    def write(*arguments, **options):
        json.loads("{")

    monkeypatch.setattr(repository, "write_gallery", write)
    with pytest.raises(SystemExit, match=r"^scribblegen preview: JSON decode error: .* `--debug T"):
        main(["preview", "nowhere"])


@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupted_command_says_what_is_kept(capsys, command):
    assert ended(KeyboardInterrupt(), command=command) == 130
    line = capsys.readouterr().err
    assert re.fullmatch(rf"scribblegen {command}: interrupted\. [^\n]+\.\n", line)
    if command == "build":
        assert "Finished shards are kept: run the same command again to go on." in line
    if command.startswith("train-"):
        assert "--resume_from_checkpoint latest" in line


@pytest.mark.parametrize("num_processes", [1, 2])
def test_ctrl_c_ends_a_build_with_one_line(tmp_path, num_processes):
    folder = tmp_path / "run"
    given = ["--ids", "0:2000", "--scene_size", "48", "--sources_per_shard", "2"]
    given += ["--num_processes", str(num_processes), "--output_dir", str(folder)]
    given += ["--pipeline", "random", "--guidance_scales", "1", "--num_inference_steps", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "scribblegen", "build", *given, "--encode_ratios", "0.5"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((folder / "run" / "units").glob("*.json")):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in said and "death signal" not in said
    assert said.splitlines()[-1] == (
        "scribblegen build: interrupted. Finished shards are kept: run the same command again to "
        "go on."
    )
    time.sleep(0.5)
    finished = len(list((folder / "run" / "units").glob("*.json")))
    time.sleep(1)
    assert len(list((folder / "run" / "units").glob("*.json"))) == finished, "no process is left"


def test_a_launched_process_that_fails_leaves_no_traceback_of_the_launcher(tmp_path):
    """Two processes refuse; each says why, and the command what to do."""
    (tmp_path / "other.txt").write_text("not a run")
    given = ["--ids", "0:4", "--num_processes", "2", "--output_dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "scribblegen", "build", *given],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "holds files of something else" in done.stderr
    assert "ChildFailedError" not in done.stderr
    assert "a process ended early, see above. Finished shards are kept" in done.stderr


@pytest.fixture
def study_at_work(tmp_path):
    """A study with two trainings that would go on for long."""
    config, folder = tmp_path / "study.yaml", tmp_path / "study"
    config.write_text(
        "study: {fractions: [1.0], seeds: [0, 1], arms: [real]}\n"
        "source: {source: scenes, ids: '0:4', test_ids: '9:11', scene_size: 32}\n"
        "twins: {method: photographs}\n"
        "segmentation: {crop_size: 32, max_steps: 100000}\n"
    )
    given = ["--config", str(config), "--output_dir", str(folder), "--num_processes", "2"]
    running = subprocess.Popen(
        [sys.executable, "-m", "scribblegen", "study", *given],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(folder.glob("fraction-1/segmentors/*/run.json"))) < 2:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.1)
    return running


def test_ctrl_c_ends_a_study_and_the_trainings_that_it_started(study_at_work):
    os.killpg(study_at_work.pid, signal.SIGINT)
    said = study_at_work.communicate(timeout=60)[1]  # waits for every process that holds it
    assert study_at_work.returncode == 130 and "Traceback" not in said
    assert said.splitlines()[-1] == (
        "scribblegen study: interrupted. What is finished is kept: run the same command again to "
        "go on."
    )


def test_a_study_that_is_killed_leaves_no_training_behind(study_at_work):
    study_at_work.kill()
    study_at_work.communicate(timeout=60)  # waits for every process that holds it
    assert study_at_work.returncode == -signal.SIGKILL
