"""The arms of a study: names for options of `train-segmentation`, kept as data."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from scribblegen.configs import check_options, parse_configs, to_arguments
from scribblegen.option_parser import did_you_mean
from scribblegen.text_files import shown
from scribblegen.trainers.segmentation.config import SegmentationConfig

ALL = "all"
_GIVEN_BY_THE_STUDY = ("real", "seed", "eval_split", "output_dir")


def shipped_arms() -> dict[str, Any]:
    """The arms that every study can name, from `arms.yaml` beside this file."""
    text = resources.files(__package__).joinpath("arms.yaml").read_text("utf-8")
    arms: dict[str, Any] = yaml.safe_load(text)
    return arms


def read_arms(
    names: Sequence[str],
    own: Any,
    *,
    segmentation: Sequence[str],
    subsets: Sequence[str],
    where: str,
) -> dict[str, dict[str, Any]]:
    """The options that each of the named arms adds to those of the study's segmentation.

    Args:
        names: the names of the arms that the study compares, in the order of its table.
        own: section `arms` of the study's file: a mapping of names to options, before the shipped
            arms of the same names.
        segmentation: command line flags that all arms share.
        subsets: names of the subsets with twins, in the order in which they are built.
        where: the study's file, for errors.

    Returns:
        By name, in the order of `names`: options as text, numbers and lists of these. `synthetic`
        holds names of `subsets`, or REPO:subset of datasets elsewhere; `agreement_model` may be one
        of `names`.

    Raises:
        ValueError: an arm, an option or a subset is unknown, an option's value does not fit, or
            arms judge each other in a circle.
    """
    if not isinstance(own, dict):
        raise ValueError(f"`arms` in {where} must map names to options. Got {shown(own)}.")
    known = {**shipped_arms(), **{str(name): options for name, options in own.items()}}
    for name in names:
        if name not in known:
            raise ValueError(
                f"`arms` must name arms of {where} or of {list(shipped_arms())}. Got {shown(name)}."
                f"{did_you_mean(name, list(known))}"
            )
    arms = {}
    for name in names:
        if not re.fullmatch(r"[\w.+-]+", name):  # it names a folder
            raise ValueError(f"`arms` must have names of letters, digits and _.+-. Got {name!r}.")
        arm = _checked(known[name], subsets, f"{where}, arm {name}")
        _check_judge(name, arm.get("agreement_model"), names, known)
        arms[name] = _parsed(name, arm, segmentation)
    in_waves(arms)
    return arms


def in_waves(arms: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Names of arms in waves: those of a wave are judged by segmentors of earlier waves only.

    Raises:
        ValueError: no such order exists; the arms that judge each other are named.
    """
    waves: list[list[str]] = []
    left = list(arms)
    while left:
        wave = [name for name in left if arms[name].get("agreement_model") not in left]
        if not wave:
            raise ValueError(f"`agreement_model` of arms {left} must not lead back to themselves.")
        waves.append(wave)
        left = [name for name in left if name not in wave]
    return waves


def _checked(arm: Any, subsets: Sequence[str], where: str) -> dict[str, Any]:
    if not isinstance(arm, dict):
        raise ValueError(f"{where} must hold `option: value` lines. Got {shown(arm)}.")
    arm = {**arm}
    if arm.get("synthetic") == ALL:
        arm["synthetic"] = list(subsets)
    check_options(arm, (SegmentationConfig,), where)
    for option, value in arm.items():
        if option in _GIVEN_BY_THE_STUDY:
            raise ValueError(f"`{option}` in {where} must be left out: the study sets it.")
        if value is None:
            raise ValueError(f"`{option}` in {where} must have a value. Leave it out otherwise.")
    for subset in arm.get("synthetic", ()):
        if subset not in subsets and not is_elsewhere(subset):
            raise ValueError(
                f"`synthetic` in {where} must hold subsets of the twins, {list(subsets)}, or "
                f"REPO:subset of other datasets. Got {shown(subset)}."
                f"{did_you_mean(subset, list(subsets))}"
            )
    return arm


def is_elsewhere(subset: str) -> bool:
    """Whether an arm's subset is one of a dataset that the study does not make: REPO:subset."""
    return ":" in subset


def _check_judge(name: str, judge: str | None, names: Sequence[str], known: Iterable[str]) -> None:
    if judge is None or judge in names:
        return
    if judge in known:
        raise ValueError(f"`arms` must hold {judge}: it judges the twins of {name}.")
    if "/" not in judge and not Path(judge).is_dir():
        raise ValueError(
            f"`agreement_model` of arm {name} must be an arm, a folder or a Hub id owner/name. "
            f"Got {shown(judge)}.{did_you_mean(judge, list(known))}"
        )


def check_labeller(model: str, arms: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses a `pseudo_label_model` that is nothing, or an arm that cannot come first.

    Raises:
        ValueError: it is neither an arm, a folder nor a Hub id, or others judge its twins.
    """
    if model not in arms:
        if "/" not in model and not Path(model).is_dir():
            raise ValueError(
                "`pseudo_label_model` of a study must be an arm of `arms`, a folder or a Hub id "
                f"owner/name. Got {shown(model)}.{did_you_mean(model, list(arms))}"
            )
    elif arms[model].get("agreement_model") in arms:
        raise ValueError(
            f"`pseudo_label_model` must be an arm that no other arm judges twins for. Got {model}."
        )


def _parsed(name: str, arm: dict[str, Any], segmentation: Sequence[str]) -> dict[str, Any]:
    """The values of an arm's options as the trainer reads them, such as 1e-3 as a number."""
    try:
        (config,) = parse_configs(
            (SegmentationConfig,),
            [f"--real={name}", *segmentation, *to_arguments(arm)],  # what the study will give
            program="scribblegen study",
            description=f"Arm {name}.",
        )
    except ValueError as error:
        raise ValueError(f"arm {name}: {error}") from error
    read = config.to_dict()
    return {option: read[option] for option in arm}
