"""Frozen dataclasses of scalars <-> YAML <-> command line.

A config is the command line, the YAML file, the provenance in the repository and the card's table.
Command line overrides YAML; YAML overrides defaults.
"""

import difflib
from collections.abc import Sequence
from dataclasses import MISSING, asdict, field, fields
from pathlib import Path
from typing import Any

import yaml

from scribblegen.recipes import read_config_file


def option(default: Any, help: str) -> Any:
    """A dataclass field with its documentation; lists are copied for every instance."""
    metadata = {"help": help.replace("%", "%%")}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def parse_configs(
    types: Sequence[type], arguments: Sequence[str], *, program: str, description: str
) -> tuple[Any, ...]:
    """One instance of each dataclass in `types`, from `--config FILE.yaml` and flags.

    Raises:
        ValueError: the YAML file holds a key that is no option; the message suggests the nearest.
        SystemExit: from `--help`, or for a flag that does not parse.
    """
    from transformers import HfArgumentParser

    parser = HfArgumentParser(
        list(types), prog=program, description=description, allow_abbrev=False
    )
    parser.add_argument(
        "--config",
        help="YAML file of these options, or the name of a shipped recipe; flags override it.",
    )
    arguments = list(arguments)
    path = parser.parse_known_args(arguments)[0].config
    if path is not None:
        # As flags in front, so that one parser converts both and the later flag wins.
        arguments = [*to_arguments(read_yaml(path, types)), *arguments]
    namespace = vars(parser.parse_args(arguments))
    return tuple(t(**{f.name: namespace[f.name] for f in fields(t) if f.init}) for t in types)


def read_yaml(path: str | Path, types: Sequence[type]) -> dict[str, Any]:
    """The options in a YAML file, checked against the fields of `types`."""
    try:
        data = yaml.safe_load(read_config_file(path)) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"`config` {path} is not valid YAML: {error}") from error
    return check_options(data, types, str(path))


def check_options(data: Any, types: Sequence[type], where: str) -> dict[str, Any]:
    """`data`, if it is a dict of fields of `types`; `where` it stands is said otherwise.

    Raises:
        ValueError: it holds a key that is no option; the message suggests the nearest.
    """
    if not isinstance(data, dict):
        raise ValueError(f"`config` {where} must hold `option: value` lines.")
    known = {f.name: f for t in types for f in fields(t)}
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise ValueError(f"`config` {where} holds `{key}`, which is no option.{hint}")
        wants_list = known[key].default_factory is not MISSING
        if wants_list != isinstance(value, list) or isinstance(value, dict):
            kind = "a list" if wants_list else "one value"
            raise ValueError(f"`{key}` in {where} must be {kind}. Got {value!r}.")
        factory = known[key].default_factory
        if value == [] and factory is not MISSING and factory():
            raise ValueError(f"`{key}` in {where} must hold at least one value.")
        if known[key].type in (str, str | None) and not isinstance(value, str | None):
            # YAML reads 8:16 as 496 and no as False: the text that was meant is lost.
            raise ValueError(f"`{key}` in {where} must be text. Got {value!r}. Put it in quotes.")
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
        f"{key}: {there.get(key)!r} there, {here.get(key)!r} here"
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
