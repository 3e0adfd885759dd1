"""The photographs of a study: whole or with parts held out, as they are and with other strokes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from scribblegen.builders.config import PhotographsConfig
from scribblegen.builders.sources import PHOTOGRAPHS, source_options
from scribblegen.configs import check_options, parse_configs, to_arguments
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import shown


@dataclass(frozen=True)
class StudySource:
    """Photographs that a study trains on.

    Args:
        config: their source.
        variant: the name of what is changed about the source; empty where nothing is.
        fold: the name of the part that is held out; empty where none is.
        seeds: of the trainings on them.
        folder: inside of the study's, empty where it has no others.
    """

    config: PhotographsConfig
    variant: str
    fold: str
    seeds: Sequence[int]
    folder: str


def study_sources(
    source: PhotographsConfig,
    variants: Mapping[str, Mapping[str, Any]],
    *,
    folds: int,
    seeds: Sequence[int],
    scribbles_by_seed: bool,
) -> list[StudySource]:
    """Every variant with every fold, and where strokes go by the seed, of every seed.

    Args:
        source: the photographs as they are.
        variants: by name, the options of the source that differ; as they are if empty.
        folds: parts that are held out in turn; 0: none.
        seeds: of the trainings.
        scribbles_by_seed: whether strokes are drawn anew for every seed.
    """
    held_out: list[tuple[str, str | None]] = [
        (f"fold-{fold}", f"{fold}/{folds}") for fold in range(1, folds + 1)
    ]
    drawn = [(seed,) for seed in seeds] if scribbles_by_seed else [tuple(seeds)]
    found = []
    for (variant, options), (fold, part), of_seeds in product(
        (variants or {"": {}}).items(), held_out or [("", None)], drawn
    ):
        config = replace(source, **options)
        parts = [variant, fold]
        if part is not None:
            config = replace(config, held_out=part)
        if scribbles_by_seed:
            config = replace(config, scribble_seed=of_seeds[0])
            parts.append(f"scribbles-{of_seeds[0]}")
        found.append(StudySource(config, variant, fold, of_seeds, "/".join(p for p in parts if p)))
    return found


def read_variants(
    names: Sequence[str], own: Any, source: PhotographsConfig, where: str
) -> dict[str, dict[str, Any]]:
    """What each of the named variants changes about the source.

    Args:
        names: of the variants that are asked for; all that there are if empty.
        own: section `variants` of the study's file: a mapping of names to options of the source.
        source: the photographs as they are.
        where: the study's file, for errors.

    Raises:
        ValueError: a variant or an option is unknown, or an option's value does not fit.
    """
    if not isinstance(own, dict):
        raise ValueError(f"`variants` in {where} must map names to options. Got {shown(own)}.")
    known = {str(name): options for name, options in own.items()}
    variants = {}
    for name in names or known:
        if name not in known:
            raise ValueError(
                f"`variants` must name variants of {where}, of {list(known)}. Got {shown(name)}."
                f"{did_you_mean(name, list(known))}"
            )
        if not re.fullmatch(r"[\w.+-]+", name):  # it names a folder
            raise ValueError(
                f"`variants` must have names of letters, digits and _.+-. Got {name!r}."
            )
        variants[name] = _parsed(name, known[name] or {}, source, f"{where}, variant {name}")
    return variants


def _parsed(name: str, options: Any, source: PhotographsConfig, where: str) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise ValueError(f"{where} must hold `option: value` lines. Got {shown(options)}.")
    check_options(options, (type(source),), where)
    try:
        (changed,) = parse_configs(
            (PHOTOGRAPHS,),
            to_arguments({**_given(source), **options}),
            program="scribblegen study",
            description=f"Variant {name}.",
        )
    except ValueError as error:
        raise ValueError(f"variant {name}: {error}") from error
    return {option: getattr(changed, option) for option in options}


def _given(source: PhotographsConfig) -> dict[str, Any]:
    """The options of a source that are not at their defaults."""
    usual = source_options(type(source)())
    return {
        name: value
        for name, value in source_options(source).items()
        if name == PHOTOGRAPHS.option or (value != usual[name] and value is not None)
    }
