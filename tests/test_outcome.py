"""A run that made nothing is no success, and one that lost most of it says so."""

import pytest

from scribblegen.builders.config import ScenesConfig
from scribblegen.cli import main
from scribblegen.commands.build import open_build
from scribblegen.families.stable_diffusion.family import StableDiffusion
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.folder import RunError
from scribblegen.runs.loop import synthesize
from scribblegen.runs.manifest import read_manifest
from scribblegen.tiny.random_weights import random_diffusion

SCENES = ScenesConfig(ids="0:3", scene_size=48)
METHOD = ScribbleGenConfig(
    guidance_scales=[1.0, 2.0], encode_ratios=[0.5], num_inference_steps=2, rows=4
)
SUBSETS = ["guidance1-encode0.5", "guidance2-encode0.5"]


def break_after(good, decode):
    """As `decode`, but only the first `good` pictures are any."""
    made = []

    def decode_badly(*arguments):
        images = decode(*arguments)
        for number in range(len(images)):
            if len(made) >= good:
                images[number] = float("nan")
            made.append(number)
        return images

    return decode_badly


def run_with(good, folder):
    networks = random_diffusion(13)
    networks.decode = break_after(good, networks.decode)
    return synthesize(open_build(SCENES, METHOD, None, folder, family=networks), progress_bar=False)


def test_a_run_whose_every_twin_was_rejected_is_an_error_each_time(tmp_path):
    folder = tmp_path / "run"
    for _ in range(2):  # the second one resumes: nothing is left to make
        with pytest.raises(RunError) as refused:
            run_with(0, folder)
        assert str(refused.value) == (
            f"no row of subset {', '.join(SUBSETS)} could be made: the output holds NaN or "
            f"infinity (6). Change what the reasons name, and delete {folder}."
        )
        assert not read_manifest(folder)["complete"], "so nothing publishes it"


@pytest.mark.parametrize(("good", "lost"), [(4, 2), (2, 4)])
def test_more_than_half_rejected_is_told_of_a_resumed_run_too(tmp_path, good, lost):
    for _ in range(2):
        warning = run_with(good, tmp_path).warning
        units = read_manifest(tmp_path)["units"]
        rows = {s: sum(u["files"][s]["rows"] for u in units) for s in SUBSETS}
        assert sum(rows.values()) == 6 - lost
        bad = [s for s in SUBSETS if rows[s] < 1.5]
        if not bad:
            assert warning is None
        else:
            missing = sum(3 - rows[s] for s in bad)
            assert (
                f"more than half of subset {', '.join(bad)} was rejected, {missing} of" in warning
            )
            assert warning.endswith(f"NaN or infinity ({missing})")


def test_the_commands_tell_both(tmp_path, capsys, monkeypatch):
    given = ["--ids", "0:3", "--scene_size", "48", "--num_inference_steps", "2", "--rows", "4"]
    given += ["--guidance_scales", "2", "--encode_ratios", "0.5", "--pipeline", "random"]
    decode = StableDiffusion.decode
    monkeypatch.setattr(StableDiffusion, "decode", break_after(1, decode))
    main(["build", *given, "--output_dir", str(tmp_path / "one")])
    assert "was rejected, 2 of 3 rows: " in capsys.readouterr().out
    monkeypatch.setattr(StableDiffusion, "decode", break_after(0, decode))
    with pytest.raises(
        SystemExit, match="^scribblegen build: no row of subset guidance2-encode0.5"
    ):
        main(["build", *given, "--output_dir", str(tmp_path / "none")])
