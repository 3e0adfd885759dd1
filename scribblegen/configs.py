"""Frozen dataclasses of scalars <-> YAML <-> command line.

A config is the command line, the YAML file, the provenance in the repository and the card's table.
Command line overrides YAML; YAML overrides defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, field, fields
from pathlib import Path
from typing import Any

import yaml

from scribblegen.choices import Choice
from scribblegen.option_parser import OptionParser, did_you_mean
from scribblegen.recipes import read_config_file
from scribblegen.text_files import cut, shown
from scribblegen.yaml_files import parse_yaml


def option(default: Any, help: str) -> Any:
    """A dataclass field with its documentation; lists are copied for every instance."""
    metadata = {"help": help.replace("%", "%%")}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


OptionTypes = Sequence[type | Choice]


def parse_configs(
    types: OptionTypes, arguments: Sequence[str], *, program: str, description: str
) -> tuple[Any, ...]:
    """One config for each of `types`, from `--config FILE.yaml` and flags.

    Args:
        types: dataclasses; or choices, each of which stands for the dataclass that is chosen, on
            the command line or else in the YAML file.
        arguments: the arguments of the command line, without the program's name.
        program: what is called, such as `scribblegen build`.
        description: the description of the program, for `--help`.

    Raises:
        ValueError: the YAML file holds a key that is no option; the message suggests the nearest.
        SystemExit: from `--help`, or for a flag that does not parse.
    """
    choices = [t for t in types if isinstance(t, Choice)]
    first = OptionParser(prog=program, add_help=False)
    for name in ("config", *(choice.option for choice in choices)):
        first.add_argument(f"--{name}")
    given = vars(first.parse_known_args(arguments)[0])
    path = given.pop("config")
    data = {} if path is None else _read_mapping(path)
    if short := _flags_of_short(choices, {**data, **_known(given)}):
        arguments = [*arguments, *short]  # the later flag wins
        given = vars(first.parse_known_args(arguments)[0])
    try:
        asked = {c.option: c.check(given[c.option]) for c in choices if given[c.option] is not None}
    except ValueError as error:
        first.error(str(error))
    chosen = _chosen(choices, {**data, **asked}, f" in {path}")
    settled = _settled(types, chosen)
    flags = to_arguments(_check(data, types, chosen, str(path)))

    parser = _full_parser(settled, choices, chosen, program, description)
    # The file's options as flags in front: one parser converts both, and the later flag wins.
    namespace = vars(parser.parse_args([*flags, *arguments]))
    return tuple(t(**{f.name: namespace[f.name] for f in fields(t) if f.init}) for t in settled)


def _full_parser(
    types: Sequence[type],
    choices: Sequence[Choice],
    chosen: Mapping[str, str],
    program: str,
    description: str,
) -> OptionParser:
    from transformers import HfArgumentParser

    class Parser(OptionParser, HfArgumentParser):
        """Options from dataclasses, mistakes in one line."""

    for choice in choices:
        others = [name for name in choice.names if name != chosen[choice.option]]
        if others:
            description += (
                f" Of {choice.option} {chosen[choice.option]} the options are listed here; "
                f"`{program} --{choice.option} {others[0]} --help` lists those of another "
                f"({', '.join(others)})."
            )
    parser = Parser(
        list(types),
        prog=program,
        usage=f"{program} [options]",
        description=description,
        elsewhere=lambda name: next(
            (t for c in choices if (t := c.elsewhere(name, chosen[c.option]))), None
        ),
    )
    for choice in choices:
        parser.add_argument(
            f"--{choice.option}",
            default=choice.default_beside(chosen),
            help=f"{choice.help} One of {', '.join(choice.names)}, each with options of its own.",
        )
    parser.add_argument(
        "--config",
        help="YAML file of these options, or the name of a shipped recipe; flags override it.",
    )
    return parser


def read_config(path: str | Path) -> Any:
    """What a YAML file, or the shipped recipe of that name, says.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: it is not UTF-8, or no YAML that a config may hold.
    """
    return parse_yaml(read_config_file(path), f"`config` {path}")


def check_options(data: Any, types: OptionTypes, where: str) -> dict[str, Any]:
    """`data`, if it is a dict of fields of `types`; `where` it stands is said otherwise.

    A choice among `types` is made by `data` itself, or is at its default.

    Raises:
        ValueError: it holds a key that is no option; the message suggests the nearest.
    """
    choices = [t for t in types if isinstance(t, Choice)]
    data = _as_mapping(data, where)
    return _check(data, types, _chosen(choices, data, f" in {where}"), where)


def _read_mapping(path: str | Path) -> dict[str, Any]:
    return _as_mapping(read_config(path) or {}, str(path))


def _as_mapping(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"`config` {where} must hold `option: value` lines.")
    return data


def _chosen(choices: Sequence[Choice], data: Mapping[str, Any], where: str) -> dict[str, str]:
    """Option -> name, of every choice."""
    chosen: dict[str, str] = {}
    for c in sorted(choices, key=lambda c: callable(c.default)):  # functions see all the others
        chosen[c.option] = c.check(data.get(c.option) or c.default_beside(chosen), where)
    return chosen


def _flags_of_short(choices: Sequence[Choice], data: Mapping[str, Any]) -> list[str]:
    """The flags that values of choices stand for which are none of their names."""
    fixed = {c.option: data.get(c.option) or c.default for c in choices}
    chosen = {c.option: str(fixed[c.option]) for c in choices if fixed[c.option] in c.names}
    flags: list[str] = []
    for choice in choices:
        value = data.get(choice.option)
        others = [c.option for c in choices if c is not choice]
        if (
            isinstance(value, str)
            and value not in choice.names
            and all(o in chosen for o in others)
        ):
            flags += choice.stands_for(value, chosen)
    return flags


def _known(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _settled(types: OptionTypes, chosen: Mapping[str, str]) -> list[type]:
    """`types` with each choice replaced by the dataclass that it stands for."""
    return [t.config_type(chosen[t.option]) if isinstance(t, Choice) else t for t in types]


def _check(
    data: dict[str, Any], types: OptionTypes, chosen: Mapping[str, str], where: str
) -> dict[str, Any]:
    choices = [t for t in types if isinstance(t, Choice)]
    known = {f.name: f for t in _settled(types, chosen) for f in fields(t)}
    for key, value in data.items():
        if key in chosen:
            continue
        if key not in known:
            for choice in choices:
                elsewhere = choice.elsewhere(str(key), chosen[choice.option])
                if elsewhere:
                    raise ValueError(f"`config` {where} cannot be used: {elsewhere}")
            near = did_you_mean(str(key), [*known, *chosen])
            raise ValueError(f"`config` {where} holds `{cut(str(key))}`, which is no option.{near}")
        wants_list = known[key].default_factory is not MISSING
        if wants_list != isinstance(value, list) or isinstance(value, dict):
            kind = "a list" if wants_list else "one value"
            raise ValueError(f"`{key}` in {where} must be {kind}. Got {shown(value)}.")
        if wants_list and any(isinstance(part, list | dict | set | tuple) for part in value):
            raise ValueError(
                f"`{key}` in {where} must be a list of single values. Got {shown(value)}."
            )
        factory = known[key].default_factory
        if value == [] and factory is not MISSING and factory():
            raise ValueError(f"`{key}` in {where} must hold at least one value.")
        texts = value if wants_list and known[key].type == list[str] else [value]
        if known[key].type in (str, str | None, list[str]) and not all(
            isinstance(text, str | None) for text in texts
        ):
            # YAML reads 8:16 as 496 and no as False: the text that was meant is lost.
            raise ValueError(
                f"`{key}` in {where} must be text. Got {shown(value)}. Put it in quotes."
            )
    return data


def to_dict(*configs: Any) -> dict[str, Any]:
    """All fields of all configs in one flat dict, as YAML and the command line have them."""
    return {key: value for config in configs for key, value in asdict(config).items()}


def location_options(*configs: Any) -> list[str]:
    """Names of the options that say where something lies, not what it holds."""
    return [name for config in configs for name in getattr(config, "LOCATIONS", ())]


def to_yaml(options: dict[str, Any]) -> str:
    """A file that `--config` reads back, from a flat dict of options."""
    return yaml.safe_dump(options, sort_keys=False, allow_unicode=True)


def to_arguments(config: dict[str, Any]) -> list[str]:
    """Command line flags for a flat dict of options; None and empty lists, which no flag can say,
    are left out: they are defaults."""
    arguments: list[str] = []
    for key, value in config.items():
        if isinstance(value, list):
            arguments += [f"--{key}", *map(str, value)] if value else []
        elif value is not None:
            arguments.append(f"--{key}={value}")
    return arguments


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """`key: A there, B here` for everything that two flat dicts disagree on."""
    keys = [*there, *(key for key in here if key not in there)]
    return [
        f"{key}: {shown(there.get(key))} there, {shown(here.get(key))} here"
        for key in keys
        if there.get(key) != here.get(key)
    ]


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The options with absolute paths cut to their last part: a disk's layout stays private."""

    def shown(value: Any) -> Any:
        if isinstance(value, list):
            return [shown(v) for v in value]
        is_path = isinstance(value, str) and Path(value).is_absolute()
        return Path(value).name if is_path else value

    return {key: shown(value) for key, value in config.items()}
