"""Lists and configs that are no text, or far more than they look: refused by file and fix."""

import time

import pytest

from scribblegen.builders.files import read_ids
from scribblegen.cli import main
from scribblegen.configs import read_config
from scribblegen.recipes import recipe_names
from scribblegen.text_files import shown
from scribblegen.yaml_files import parse_yaml


def refused_by(command, *arguments):
    with pytest.raises(SystemExit) as end:
        main([command, *map(str, arguments)])
    return str(end.value.code)


def bomb(levels=9, width=10):
    """Ten to the power of `levels` values in a few hundred bytes."""
    lines = [f"a0: &a0 [{', '.join(['lol'] * width)}]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


def test_a_list_of_ids_that_is_no_utf8_is_refused_by_its_byte(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_bytes("2007_000032\nVögel\n".encode("latin-1"))
    with pytest.raises(ValueError) as refused:
        read_ids(path)
    assert str(refused.value) == (
        f"`ids` {path} must be UTF-8 text. Got byte 0xf6 at position 13. Save it as UTF-8."
    )
    path.write_bytes("﻿2007_000032\nVögel.jpg\n".encode())
    assert read_ids(path) == ["2007_000032", "Vögel"]


@pytest.mark.parametrize("command", ["build", "train-controlnet", "train-segmentation", "study"])
def test_so_is_a_config_by_every_command(tmp_path, command):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 3\n", "utf-16")
    assert refused_by(command, "--config", path) == (
        f"scribblegen {command}: `config` {path} must be UTF-8 text. Got byte 0xff at position 0. "
        "Save it as UTF-8."
    )


@pytest.mark.parametrize("command", ["build", "study"])
def test_a_bomb_of_aliases_is_refused_at_once_in_a_short_line(tmp_path, command):
    path = tmp_path / "run.yaml"
    for text in (bomb(), bomb(levels=40, width=2), bomb().replace("lol", "l" * 1000)):
        path.write_text(text)
        started = time.perf_counter()
        said = refused_by(command, "--config", path)
        assert "must hold at most 1000000 characters with all aliases written out" in said
        assert len(said) < 400 and time.perf_counter() - started < 5


def test_so_is_one_of_merges():
    lines = ["a0: &a0 {k: v, l: w}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 30)]
    with pytest.raises(ValueError, match=r"^run\.yaml must hold at most 1000000 characters"):
        parse_yaml("\n".join(lines), "run.yaml")


def test_honest_aliases_stay():
    text = "arms:\n  a: &a {scheme: uniform}\n  b: {<<: *a, seed: 2}\n  c: [*a, *a]\n"
    assert parse_yaml(text, "x")["arms"] == {
        "a": {"scheme": "uniform"},
        "b": {"scheme": "uniform", "seed": 2},
        "c": [{"scheme": "uniform"}] * 2,
    }
    for name in recipe_names():
        assert read_config(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [*a]", r"^x must not hold an alias of what it stands in\. Got \*a\.$"),
        ("[" * 5000 + "]" * 5000, r"^x is nested too deeply\. Write `option: value` lines\.$"),
        ("a: 2024-13-45", r"^x holds a value that cannot be read: month must be in .*quotes\.$"),
        ("a: *nobody", r"^x is not valid YAML: found undefined alias"),
        ("a: !!python/object:os.system {}", "^x is not valid YAML: could not determine"),
        ("a: \x00", "^x is not valid YAML: "),
    ],
)
def test_other_yaml_that_is_no_config_is_refused_by_its_file(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"seed: [{'1, ' * 9999}]", "`seed` in {path} must be one value. Got [1, 1, "),
        (f"guidance_scales: [[{'2, ' * 9999}]]", "must be a list of single values. Got [[2, 2"),
        (f"{'k' * 900}: 1", "holds `kkk"),
        (f"source: {'k' * 9000}", "`source` in {path} must be one of ["),
        (f"scene_size: {'k' * 9000}", "`scene_size` must be a whole number. Got 'kkk"),
    ],
)
def test_what_a_message_shows_of_a_value_is_cut(tmp_path, capsys, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    said = refused_by("build", "--config", path, "--output_dir", tmp_path / "run")
    said = capsys.readouterr().err if said == "2" else said
    assert message.format(path=path) in said and len(said) < 600, len(said)


def test_short_values_are_shown_as_they_are():
    assert shown([1, "a"]) == "[1, 'a']"
    assert shown("x" * 300) == f"'{'x' * 199} ..."


def test_a_section_of_a_study_that_is_no_section_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("source: 4\n")
    assert refused_by("study", "--config", path) == (
        f"scribblegen study: `source` in {path} must hold `option: value` lines. Got 4."
    )
