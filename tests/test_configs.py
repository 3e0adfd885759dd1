"""Options: defaults < YAML < command line, and no misspelling passes."""

from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from scribblegen.builders.config import (
    FolderConfig,
    HubConfig,
    PascalScribbleConfig,
    ScenesConfig,
    SubsetConfig,
)
from scribblegen.builders.prompts_config import PromptsConfig
from scribblegen.builders.sources import SOURCES, source_config_type
from scribblegen.choices import Choice
from scribblegen.configs import (
    check_options,
    differences,
    option,
    parse_configs,
    to_arguments,
    to_dict,
    to_yaml,
)
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.runs.config import OutputConfig, RunConfig

TYPES = (ScenesConfig, ScribbleGenConfig, OutputConfig, RunConfig)
SOURCE_TYPES = tuple(map(source_config_type, SOURCES))


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Every kind of option."""

    ratio: float = option(0.5, "A share, such as 50 %.")
    steps: int = option(50, "Steps.")
    name: str = option("plain", "A name.")
    folder: str | None = option(None, "A folder.")
    limit: int | None = option(None, "A limit.")
    scales: list[float] = option([2.0], "Some numbers.")
    aligned: bool = option(True, "On.")
    verbose: bool = option(False, "Off.")


CHANGED = Toy(
    ratio=0.25,
    steps=7,
    name="-- two words: 'x' # \"y\" %s",
    folder="--config",
    limit=3,
    scales=[1.0, 1e-05, 3.5],
    aligned=False,
    verbose=True,
)


def parse(types: tuple[type, ...], *arguments: str) -> tuple[Any, ...]:
    return parse_configs(types, arguments, program="toy", description="Tries options.")


def yaml_file(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    return path


def test_without_arguments_the_defaults_hold() -> None:
    assert parse((Toy,)) == (Toy(),)
    assert parse(TYPES) == tuple(t() for t in TYPES)


def test_the_command_line_overrides_yaml_which_overrides_defaults(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "ratio: 0.1\nsteps: 8\nscales: [3, 4]\naligned: false\n")
    (toy,) = parse((Toy,), "--steps", "9", "--config", str(path), "--scales", "5", "6", "7")
    assert toy == Toy(ratio=0.1, steps=9, scales=[5.0, 6.0, 7.0], aligned=False)
    (toy,) = parse((Toy,), f"--config={path}", "--aligned", "True", "--ratio=0.9")
    assert toy == Toy(ratio=0.9, steps=8, scales=[3.0, 4.0], aligned=True)


def test_values_have_the_type_of_their_field(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "ratio: 1\nlimit: 3\nscales: [2]\nname: '12'\nverbose: yes\n")
    (toy,) = parse((Toy,), "--config", str(path))
    assert toy == Toy(ratio=1.0, limit=3, scales=[2.0], name="12", verbose=True)
    assert type(toy.ratio) is type(toy.scales[0]) is float and type(toy.limit) is int


@pytest.mark.parametrize("toy", [Toy(), CHANGED, Toy(name="", folder=""), Toy(name="8:16")])
def test_a_config_survives_yaml_and_the_command_line(tmp_path: Path, toy: Toy) -> None:
    path = yaml_file(tmp_path, to_yaml(to_dict(toy)))
    assert parse((Toy,), "--config", str(path)) == (toy,)
    assert parse((Toy,), *to_arguments(to_dict(toy))) == (toy,)


def other_value(name: str, default: Any, kind: Any) -> Any:
    """A value that is allowed, and not the default."""
    chosen = {
        "scribbles": "simulate",
        "scribble_error_rate": 0.03,
        "scene_size": 16,
        "label_convention": "rloss",
        "label_map": ["7:0", "8:1"],
        "held_out": "1/5",
        "ignore_ids": [0, 150],
        "prompt_templates": ["A {class}", "- no: {class} 'x'"],
        "encode_ratio_mode": "fixed",
        "null_condition": "hint",
        "conditioning_encoding": "rgb_palette",
        "prompt_mode": "caption",
        "geometry": "bucket",
        "output_size": "model",
        "dtype": "bfloat16",
        "compile": "on",
        "rows": 8,
        "control_guidance_end": 0.75,
        "sampler": "lcm",
        "image_format": "png",
        "encode_ratios": [0.25, 1.0],
        "prompt_suffixes": ["at dusk", "- no: x"],
        "guidance_scales": [1.0, 7.5],
    }
    if name in chosen:
        return chosen[name]
    if isinstance(default, bool):
        return not default
    if kind in (str, str | None):
        return "- no: a 'text' of #4, 10:20"
    if kind in (float, float | None):
        return 0.125 if default is not None else 2.5
    return 7


@pytest.mark.parametrize("config_type", [*SOURCE_TYPES, *TYPES[1:]])
def test_every_option_of_every_config_survives_a_round_trip(
    tmp_path: Path, config_type: type
) -> None:
    default = config_type()
    values = {
        f.name: other_value(f.name, getattr(default, f.name), f.type) for f in fields(config_type)
    }
    # They exclude `test_ids`, `num_samples` and `prompt_file`.
    exclude = ("held_out", "images_per_class", "classes_per_prompt", "prompt_model")
    together = {k: v for k, v in values.items() if k not in exclude}
    changed = config_type(**together)
    assert all(getattr(changed, name) != getattr(default, name) for name in together)
    for config in (default, changed):
        path = yaml_file(tmp_path, to_yaml(to_dict(config)))
        assert parse((config_type,), "--config", str(path)) == (config,)
    for name, value in values.items():  # one at a time, beside the others' defaults
        if name in ("controlnet", "tiny_vae"):
            continue  # need a pipeline
        config = config_type(**{name: value})
        path = yaml_file(tmp_path, to_yaml(to_dict(config)))
        types = TYPES if config_type in TYPES else (config_type, *TYPES[1:])
        assert parse(types, "--config", str(path)) == tuple(
            config if t is config_type else t() for t in types
        )


@pytest.mark.parametrize("source_type", SOURCE_TYPES)
def test_no_two_configs_share_an_option(source_type: type) -> None:
    types = (source_type, *TYPES[1:])
    names = [f.name for t in types for f in fields(t)]
    assert len(names) == len(set(names)) == len(to_dict(*(t() for t in types)))


@pytest.mark.parametrize("config_type", [*SOURCE_TYPES, *TYPES[1:]])
def test_every_option_is_documented_and_can_be_written_down(config_type: type) -> None:
    for f in fields(config_type):
        text = f.metadata["help"]
        assert len(text) >= 10 and text.endswith(".") and text == text.strip(), f.name
        # YAML writes None as a missing flag: it has to be the default.
        if None in getattr(f.type, "__args__", ()):
            assert f.default is None, f.name
        assert f.default is not MISSING or f.default_factory is not MISSING, f.name


def test_help_shows_every_option_and_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    for types in (TYPES, (Toy,)):
        with pytest.raises(SystemExit) as ended:
            parse(types, "--help")
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert all(f"--{f.name}" in shown for t in types for f in fields(t))
    assert "such as 50 %." in " ".join(shown.split()) and "Tries options." in shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stesp: 4", "holds `stesp`, which is no option. Did you mean `steps`?"),
        ("xyzzy: 4", "holds `xyzzy`, which is no option.$"),
        ("7: 4", "holds `7`, which is no option"),
        ("config: a.yaml", "holds `config`, which is no option"),
        ("scales: 2", "`scales` in .* must be a list. Got 2"),
        ("scales:", "`scales` in .* must be a list. Got None"),
        ("steps: [2]", r"`steps` in .* must be one value. Got \[2\]"),
        ("steps: {a: 2}", "`steps` in .* must be one value. Got {'a': 2}"),
        ("name: {a: 2}", "`name` in .* must be one value"),
        ("name: 8:16", "`name` in .* must be text. Got 496. Put it in quotes"),
        ("folder: no", "`folder` in .* must be text. Got False. Put it in quotes"),
        ("name: 010", "`name` in .* must be text. Got 8"),
        ("a: [", "is not valid YAML"),
        ("- steps", "must hold `option: value` lines"),
        ("steps", "must hold `option: value` lines"),
    ],
)
def test_a_wrong_yaml_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = yaml_file(tmp_path, text)
    with pytest.raises(ValueError, match=reason) as refused:
        parse((Toy,), "--config", str(path))
    assert "run.yaml" in str(refused.value)


def test_an_empty_yaml_changes_nothing_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    assert parse((Toy,), "--config", str(yaml_file(tmp_path, "# nothing\n"))) == (Toy(),)
    with pytest.raises(FileNotFoundError, match="absent"):
        parse((Toy,), "--config", str(tmp_path / "absent.yaml"))


def test_null_in_yaml_is_the_default(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "folder: null\nlimit:\nname: ~\n")
    assert parse((Toy,), "--config", str(path)) == (Toy(),)


@pytest.mark.parametrize(
    "arguments",
    [["--stesp", "4"], ["--step", "4"], ["--steps", "many"], ["4"], ["--scales"], ["--steps=1.5"]],
)
def test_a_wrong_flag_ends_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse((Toy,), *arguments)
    assert ended.value.code == 2 and "toy: error" in capsys.readouterr().err


@dataclass(frozen=True, kw_only=True)
class Pen:
    """An option of its own."""

    ink: str = option("black", "Colour of the ink.")


@dataclass(frozen=True, kw_only=True)
class Brush:
    """Another option of its own."""

    hairs: int = option(9, "Hairs of the brush.")


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """What the other choice brings."""

    thread: float = option(1.5, "Thickness of the thread.")


TOOL = Choice("tool", ("pen", "brush"), "pen", {"pen": Pen, "brush": Brush}.__getitem__, "A tool.")
GROUND = Choice("ground", ("paper", "canvas"), "canvas", lambda _: Canvas, "What is drawn on.")
CHOSEN = (TOOL, GROUND, Toy)


def test_each_choice_brings_its_own_options(tmp_path: Path) -> None:
    assert parse(CHOSEN) == (Pen(), Canvas(), Toy())
    assert parse(CHOSEN, "--tool", "brush", "--hairs", "3", "--thread=2", "--steps", "4") == (
        Brush(hairs=3),
        Canvas(thread=2.0),
        Toy(steps=4),
    )
    path = yaml_file(tmp_path, "tool: brush\nhairs: 5\nsteps: 6\n")
    assert parse(CHOSEN, "--config", str(path))[0] == Brush(hairs=5)
    assert parse(CHOSEN, "--config", str(path), "--hairs", "7")[0] == Brush(hairs=7)


def test_the_command_line_overrides_a_choice_made_in_yaml(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "tool: brush\nsteps: 6\n")
    assert parse(CHOSEN, "--config", str(path), "--tool=pen") == (Pen(), Canvas(), Toy(steps=6))
    path = yaml_file(tmp_path, "tool: brush\nhairs: 5\n")
    with pytest.raises(ValueError, match="`hairs` is an option of tool brush; tool pen has none"):
        parse(CHOSEN, "--config", str(path), "--tool=pen")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hairs: 5", "run.yaml.*`hairs` is an option of tool brush; tool pen has none of that"),
        ("tool: brus", "`tool` in .*run.yaml must be one of .*Got 'brus'. Did you mean `brush`?"),
        ("tool: [pen]", "`tool` in .*run.yaml must be one of .*Got .'pen'.]?"),
        ("tol: pen", "holds `tol`, which is no option. Did you mean `tool`?"),
    ],
)
def test_a_wrong_choice_in_yaml_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(CHOSEN, "--config", str(yaml_file(tmp_path, text)))


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--tool", "brush", "--ink", "red"], "`ink` is an option of tool pen; tool brush has"),
        (["--tool", "knife"], "`tool` must be one of ['pen', 'brush']. Got 'knife'."),
        (["--tol", "pen"], "`tol` is no option of `toy`. Did you mean `tool`? `toy --help` lists"),
        (["--steps=x"], "`steps` must be a whole number. Got 'x'."),
        (["--no_verbos"], "`no_verbos` is no option of `toy`. Did you mean `verbose`?"),
    ],
)
def test_a_wrong_flag_is_answered_with_one_line(
    arguments: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(CHOSEN, *arguments)
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and shown.count("\n") == 1
    assert shown.startswith(f"toy: error: {answer}")


def test_help_says_how_to_see_the_options_of_another_choice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(CHOSEN, "--help", "--tool", "brush")
    shown = " ".join(capsys.readouterr().out.split())
    assert "--hairs" in shown and "--ink" not in shown
    assert "`toy --tool pen --help` lists those of another (pen)." in shown
    assert "A tool. One of pen, brush" in shown


def test_the_default_of_a_choice_may_follow_from_another_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    follows = {"pen": "paper", "brush": "canvas"}
    ground = replace(
        GROUND,
        default=lambda chosen: follows[chosen["tool"]],
        config_type={"paper": Toy, "canvas": Canvas}.__getitem__,
    )
    for types in ((TOOL, ground), (ground, TOOL)):  # in whichever order they are asked for
        place = types.index(ground)
        assert parse(types)[place] == Toy()
        assert parse(types, "--tool", "brush")[place] == Canvas()
        assert parse(types, "--tool", "brush", "--ground=paper")[place] == Toy()
    path = str(yaml_file(tmp_path, "tool: brush\nthread: 3\n"))
    assert parse((TOOL, ground), "--config", path) == (Brush(), Canvas(thread=3.0))
    with pytest.raises(ValueError, match="`thread` is an option of ground canvas; ground paper"):
        parse((TOOL, ground), "--config", path, "--tool=pen")
    path = str(yaml_file(tmp_path, "ground: paper\nsteps: 3\n"))
    assert parse((TOOL, ground), "--config", path, "--tool=brush")[1] == Toy(steps=3)
    assert check_options({"tool": "brush", "thread": 2}, (TOOL, ground), "here")
    with pytest.raises(SystemExit):
        parse((TOOL, ground), "--help", "--tool", "brush")
    assert "--thread" in capsys.readouterr().out


def test_yaml_keeps_the_order_and_the_letters() -> None:
    text = to_yaml({"b": "é, ü", "a": None, "c": [1.0, 0.5]})
    assert list(yaml.safe_load(text)) == ["b", "a", "c"] and "é, ü" in text


def test_differences_name_every_option_that_differs() -> None:
    assert differences({"a": 1, "b": None}, {"b": None, "a": 1}) == []
    there, here = {"a": 1, "b": "x", "c": [1.0]}, {"a": 2, "b": "x", "d": True}
    assert differences(there, here) == [
        "a: 1 there, 2 here",
        "c: [1.0] there, None here",
        "d: None there, True here",
    ]


def test_lists_are_not_shared_between_instances() -> None:
    Toy().scales.append(9.0)
    assert Toy().scales == [2.0]


@pytest.mark.parametrize(
    ("config_type", "options", "name"),
    [
        (ScenesConfig, {"scribbles": "both"}, "scribbles"),
        (ScenesConfig, {"max_samples": 0}, "max_samples"),
        (ScenesConfig, {"scribble_width": 0.0}, "scribble_width"),
        (ScenesConfig, {"scribble_width": float("nan")}, "scribble_width"),
        (ScenesConfig, {"scribble_shrink": 1.1}, "scribble_shrink"),
        (ScenesConfig, {"scribble_shrink": -0.1}, "scribble_shrink"),
        (ScenesConfig, {"scribble_drop": 1.0}, "scribble_drop"),
        (ScenesConfig, {"scribble_error_rate": -0.01}, "scribble_error_rate"),
        (ScenesConfig, {"scribble_error_rate": 0.04}, "scribble_error_rate"),
        (ScenesConfig, {"scribble_error_rate": 1.0}, "scribble_error_rate"),
        (ScenesConfig, {"scene_size": 15}, "scene_size"),
        (SubsetConfig, {"train_fraction": 0.0}, "train_fraction"),
        (FolderConfig, {"max_side": 0}, "max_side"),
        (HubConfig, {"max_side": -1}, "max_side"),
        (PascalScribbleConfig, {"label_convention": "coco"}, "label_convention"),
        (PromptsConfig, {"prompt_templates": []}, "prompt_templates"),
        (PromptsConfig, {"prompt_templates": ["A {class}", "A dog"]}, "prompt_templates"),
        (PromptsConfig, {"num_samples": 0}, "num_samples"),
        (ScribbleGenConfig, {"encode_ratio_mode": "strength"}, "encode_ratio_mode"),
        (ScribbleGenConfig, {"conditioning_encoding": "lines"}, "conditioning_encoding"),
        (ScribbleGenConfig, {"prompt_mode": "poem"}, "prompt_mode"),
        (ScribbleGenConfig, {"geometry": "round"}, "geometry"),
        (ScribbleGenConfig, {"output_size": "large"}, "output_size"),
        (ScribbleGenConfig, {"dtype": "int8"}, "dtype"),
        (ScribbleGenConfig, {"null_condition": "none"}, "null_condition"),
        (ScribbleGenConfig, {"replicates": 0}, "replicates"),
        (ScribbleGenConfig, {"rows": 0}, "rows"),
        (ScribbleGenConfig, {"sampler": "euler"}, "sampler"),
        (ScribbleGenConfig, {"compile": "yes"}, "compile"),
        (ScribbleGenConfig, {"compile": "on", "rows": 9}, "rows"),
        (ScribbleGenConfig, {"deep_cache_interval": 0}, "deep_cache_interval"),
        (ScribbleGenConfig, {"control_guidance_end": 0.0}, "control_guidance_start"),
        (ScribbleGenConfig, {"control_guidance_end": 1.5}, "control_guidance_start"),
        (RunConfig, {"memory_budget": 0}, "memory_budget"),
        (ScribbleGenConfig, {"decode_rows": 0}, "decode_rows"),
        (OutputConfig, {"num_threads": 0}, "num_threads"),
        (ScribbleGenConfig, {"guidance_scales": []}, "guidance_scales"),
        (ScribbleGenConfig, {"guidance_scales": [2.0, 2.0]}, "guidance_scales"),
        (ScribbleGenConfig, {"guidance_scales": [0.5]}, "guidance_scales"),
        (ScribbleGenConfig, {"guidance_scales": [float("inf")]}, "guidance_scales"),
        (ScribbleGenConfig, {"guidance_scales": [float("nan")]}, "guidance_scales"),
        (ScribbleGenConfig, {"encode_ratios": []}, "encode_ratios"),
        (ScribbleGenConfig, {"encode_ratios": [0.5, 0.5000000001]}, "encode_ratios"),
        (ScribbleGenConfig, {"encode_ratios": [0.0]}, "encode_ratios?"),
        (ScribbleGenConfig, {"encode_ratios": [1.5]}, "encode_ratios?"),
        (ScribbleGenConfig, {"num_inference_steps": 0}, "num_inference_steps"),
        (OutputConfig, {"image_format": "gif"}, "image_format"),
        (OutputConfig, {"sources_per_shard": 0}, "sources_per_shard"),
        (ScribbleGenConfig, {"controlnet": "somewhere"}, "pipeline"),
        (RunConfig, {"num_processes": 0}, "num_processes"),
    ],
)
def test_a_refused_value_is_named_with_its_option(
    config_type: type, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"^`{name}` must "):
        config_type(**options)


def test_allowed_bounds_are_allowed() -> None:
    ScenesConfig(scribble_error_rate=0.03, scene_size=16)
    ScenesConfig(scribble_shrink=1.0, scribble_drop=0.0, max_samples=1, scribble_width=1.0)
    ScribbleGenConfig(guidance_scales=[1.0], encode_ratios=[1.0], num_inference_steps=1)
    ScribbleGenConfig(pipeline="a", controlnet="b")
    OutputConfig(sources_per_shard=1)
