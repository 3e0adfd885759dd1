"""What a run costs: rows of a call, where the time goes, how much waits in memory."""

import re
import threading
import time

import pytest
import torch
from diffusers import AutoencoderTiny

from scribblegen.builders.config import ScenesConfig
from scribblegen.cli import main
from scribblegen.commands.build import build, open_build
from scribblegen.engine import call_size
from scribblegen.engine.call_size import measure_rows
from scribblegen.engine.stage_times import STAGES, StageTimes, profile_table
from scribblegen.families.config import AUTO_ROWS
from scribblegen.families.open import load_diffusion
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.folder import RunError
from scribblegen.runs.loop import synthesize
from scribblegen.runs.manifest import read_manifest
from scribblegen.runs.patient_executor import PatientExecutor
from scribblegen.tiny import tiny_folder

SOURCE = ScenesConfig(ids="0:4", scene_size=48)


def method(**options):
    return ScribbleGenConfig(
        guidance_scales=[2], encode_ratios=[0.5], num_inference_steps=4, **options
    )


def times_per_row(monkeypatch, seconds, needed=None):
    """Measurements as given, by rows, in place of the machine's."""
    tried = []

    def measure(family, resolution, condition, rows):
        tried.append(rows)
        return seconds[rows] * rows, (needed or {}).get(rows, 0)

    monkeypatch.setattr(call_size, "_measure", measure)
    return tried


def test_the_smallest_call_that_is_as_fast_as_the_fastest_is_taken(monkeypatch, diffusion):
    tried = times_per_row(monkeypatch, {2: 10, 4: 9, 8: 6, 16: 4.1, 32: 4.0, 64: 4.2, 128: 4.5})
    assert measure_rows(diffusion, 64, {}) == 16
    assert tried == [2, 4, 8, 16, 32, 64, 128]  # two without gain: 256 is not tried
    assert measure_rows(diffusion, 64, {}, most_rows=9) == 8
    assert measure_rows(diffusion, 64, {}, most_rows=1) == 2


def test_a_memory_budget_bounds_the_call(monkeypatch, diffusion):
    seconds = {2: 10, 4: 9, 8: 6, 16: 4, 32: 2}
    times_per_row(monkeypatch, seconds, needed={16: 10**9, 32: 3 * 10**9})
    assert measure_rows(diffusion, 64, {}, memory_budget=2) == 16
    assert measure_rows(diffusion, 64, {}, memory_budget=0.5) == 8
    times_per_row(monkeypatch, seconds, needed={2: 10**9})
    with pytest.raises(ValueError, match="`memory_budget` must hold a call of 2 rows at 64 pixels"):
        measure_rows(diffusion, 64, {}, memory_budget=0.1)


def test_rows_are_measured_once_and_kept_for_the_rest_of_the_run(monkeypatch, tmp_path, diffusion):
    times_per_row(monkeypatch, {2: 10, 4: 9, 8: 6, 16: 7, 32: 8})
    run = open_build(SOURCE, method(rows="auto"), OutputConfig(), tmp_path, family=diffusion)
    assert method(rows="auto").rows == AUTO_ROWS
    assert run.method.config.rows == 8 == run.options["rows"]
    synthesize(run, progress_bar=False)
    assert read_manifest(tmp_path)["identity"]["rows"] == 8
    # Another day, another timing: the run stays what it was.
    times_per_row(monkeypatch, {2: 1, 4: 1, 8: 6, 16: 7, 32: 8})
    again = open_build(SOURCE, method(rows="auto"), OutputConfig(), tmp_path, family=diffusion)
    assert again.method.config.rows == 8
    assert synthesize(again, progress_bar=False).images == 0
    with pytest.raises(RunError, match="rows: 8 there, 16 here"):
        other = open_build(SOURCE, method(rows=16), OutputConfig(), tmp_path, family=diffusion)
        synthesize(other, progress_bar=False)


def test_rows_are_really_measured(diffusion):
    condition = diffusion.empty_condition(64, 64)
    assert measure_rows(diffusion, 64, condition, memory_budget=4) in call_size._CANDIDATES


def test_the_profile_tells_every_stage(tmp_path, capsys):
    grid = [
        "--ids",
        "0:4",
        "--scene_size",
        "48",
        "--encode_ratios",
        "0.5",
        "--num_inference_steps",
        "4",
        "--rows",
        "4",
    ]
    main(["build", *grid, "--profile", "True", "--output_dir", str(tmp_path / "run")])
    out = capsys.readouterr().out
    shares = {
        name: float(re.search(rf"^{name} +[\d.]+ +([\d.]+)%", out, re.M)[1])
        for name in (*STAGES, "idle")
    }
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert shares["denoise"] > 10 and shares["decode"] > 0 and shares["encode"] > 0
    assert "16 rows in 4 calls of 4: 100.0% full; 4 images decoded" in out


def test_without_the_flag_no_profile_is_printed(tmp_path, capsys):
    grid = [
        "--ids",
        "0:1",
        "--scene_size",
        "48",
        "--encode_ratios",
        "0.5",
        "--num_inference_steps",
        "2",
        "--rows",
        "4",
    ]
    main(["build", *grid, "--output_dir", str(tmp_path / "run")])
    assert "denoise" not in capsys.readouterr().out


def test_stage_times_add_up():
    times = StageTimes(torch.device("cpu"))
    for _ in range(3):
        with times.stage("denoise"):
            time.sleep(0.01)
        with times.host_stage("write"):
            time.sleep(0.005)
    totals = times.totals()
    assert 0.03 <= totals["denoise"] < 0.2 and 0.015 <= totals["write"] < 0.2
    assert totals["read"] == 0
    table = profile_table({"denoise": 3.0}, 4.0, {"rows": 30, "calls": 2, "images": 1}, 16)
    assert "idle" in table and "25.0%" in table and "93.8% full" in table


def test_an_executor_takes_on_no_more_than_it_can_hold():
    released, started = threading.Event(), []
    with PatientExecutor(1, 3) as executor:

        def submit_all():
            for number in range(6):
                executor.submit(released.wait)
                started.append(number)

        thread = threading.Thread(target=submit_all)
        thread.start()
        time.sleep(0.2)
        assert started == [0, 1, 2]
        released.set()
        thread.join(5)
    assert started == list(range(6))


def test_a_tiny_vae_is_loaded_from_its_folder_and_told_in_the_manifest(tmp_path):
    torch.manual_seed(0)
    small = {f"{part}_block_out_channels": (8, 8, 8) for part in ("encoder", "decoder")}
    counts = {f"num_{part}_blocks": (1, 1, 1) for part in ("encoder", "decoder")}
    AutoencoderTiny(**small, **counts).save_pretrained(tmp_path / "taesd")
    with_it = method(rows=4, pipeline=str(tiny_folder()), tiny_vae=str(tmp_path / "taesd"))
    build(SOURCE, with_it, output_dir=tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    plain = load_diffusion(tiny_folder()).fingerprint()
    assert manifest["identity"]["weights"] != plain
    with pytest.raises(OSError, match="`tiny_vae` .*nowhere cannot be loaded"):
        load_diffusion(tiny_folder(), tiny_vae=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "dpmsolver++"},
        {"sampler": "lcm"},
        {"control_guidance_end": 0.5},
        {"deep_cache_interval": 2},
    ],
)
def test_an_approximation_is_told_and_changes_the_images(tmp_path, diffusion, options):
    images = {}
    for name, chosen in (("plain", {}), ("fast", options)):
        config = method(rows=4, output_size="model", **chosen)
        run = open_build(SOURCE, config, OutputConfig(), tmp_path / name, family=diffusion)
        synthesize(run, progress_bar=False)
        manifest = read_manifest(tmp_path / name)
        for option, value in chosen.items():
            assert manifest["identity"][option] == value
        images[name] = manifest["units"][0]["files"]["guidance2-encode0.5"]["sha256"]
    assert images["plain"] != images["fast"]
