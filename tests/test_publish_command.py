"""Which folder `scribblegen publish` takes, and what it says of others."""

import pytest

from scribblegen.commands.publish import publish_folder


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def refusal(folder):
    with pytest.raises(ValueError, match="`folder` must hold") as error:
        publish_folder(str(folder), "me/name")
    return str(error.value).replace(f"{folder}", "F")


def test_a_study_s_folder_names_what_in_it_can_be_published(tmp_path):
    for fraction in ("fraction-0.5", "fraction-1"):
        touch(tmp_path / fraction / "controlnet" / "config.json")
        touch(tmp_path / fraction / "twins" / "run" / "manifest.json")
        touch(tmp_path / fraction / "segmentors" / "real-seed0" / "config.json")
        touch(tmp_path / fraction / "segmentors" / "real-seed0" / "checkpoint-3" / "config.json")
    assert refusal(tmp_path).endswith(
        "F is none, but holds "
        "F/fraction-0.5/twins, F/fraction-1/twins, "
        "F/fraction-0.5/controlnet, F/fraction-0.5/segmentors/real-seed0, "
        "F/fraction-1/controlnet, F/fraction-1/segmentors/real-seed0: publish one of these."
    )


def test_a_folder_of_models_names_them_and_of_many_the_first(tmp_path):
    for number in range(15):
        touch(tmp_path / f"model-{number:02d}" / "model_index.json")
        touch(tmp_path / f"model-{number:02d}" / "unet" / "config.json")
    said = refusal(tmp_path)
    assert said.endswith("F/model-10, F/model-11 and 3 more: publish one of these.")
    assert "unet" not in said


def test_a_folder_of_nothing_and_no_folder_are_told_apart(tmp_path):
    assert refusal(tmp_path).endswith("F holds none.")
    assert refusal(tmp_path / "x").endswith("There is no folder F.")
