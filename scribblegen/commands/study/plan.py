"""The options of a study: sections of one YAML file, each with the options of its command."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scribblegen.builders.config import PhotographsConfig
from scribblegen.builders.sources import PHOTOGRAPHS
from scribblegen.choices import Choice
from scribblegen.commands.study.arms import read_arms
from scribblegen.configs import (
    OptionTypes,
    check_options,
    option,
    parse_configs,
    read_config,
    to_arguments,
)
from scribblegen.methods.table import method_choice
from scribblegen.option_parser import OptionParser
from scribblegen.runs.config import OutputConfig
from scribblegen.text_files import shown
from scribblegen.trainers.controlnet.config import ControlNetConfig
from scribblegen.trainers.segmentation.config import SegmentationConfig


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What is compared."""

    fractions: list[float] = option([1.0, 0.5, 0.25, 0.125], "Shares of the training sources.")
    seeds: list[int] = option([0, 1, 2], "Seeds of the segmentor's training.")
    folds: int = option(
        0, "Parts of the photographs that are held out in turn, where there is no test split."
    )
    arms: list[str] = option(
        ["real", "uniform", "curriculum", "adaptive", "synthetic_only", "masks"],
        "Names of arms, from section `arms` of the study's file or from those that ship "
        "(scribblegen/commands/study/arms.yaml): options of train-segmentation.",
    )

    def __post_init__(self) -> None:
        if not self.fractions or not all(0 < f <= 1 for f in self.fractions):
            raise ValueError(f"`fractions` must be numbers in (0, 1]. Got {self.fractions}.")
        if self.folds < 0 or self.folds == 1:
            raise ValueError(f"`folds` must be 2 or more, or 0. Got {self.folds}.")
        for name in ("fractions", "seeds", "arms"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"`{name}` must differ, at least one. Got {values}.")


@dataclass(frozen=True, kw_only=True)
class StudyRunConfig:
    """Where, and with how many processes. Changes no figure."""

    output_dir: str | None = option(None, "Folder of the study.")
    num_processes: int = option(1, "Segmentors trained at once, each by one thread.")


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study, parsed and checked.

    Args:
        study: what is compared.
        arms: by name, what each arm adds to the options of the segmentation; see `read_arms`.
        source: the photographs.
        controlnet: how one is trained on each fraction; None where the twins need none.
        twins: options of the method that draws them.
        output: how they are stored.
        segmentation: options of `SegmentationConfig` that all arms share and that are not at their
            defaults.
    """

    study: StudyConfig
    arms: dict[str, dict[str, Any]]
    source: PhotographsConfig
    controlnet: ControlNetConfig | None
    twins: Any
    output: OutputConfig
    segmentation: dict[str, Any]

    @property
    def sources(self) -> dict[str, PhotographsConfig]:
        """The photographs of every fold, by the name of its folder; empty where there are none."""
        folds = self.study.folds
        if not folds:
            return {"": self.source}
        return {
            f"fold-{fold}": replace(self.source, held_out=f"{fold}/{folds}")
            for fold in range(1, folds + 1)
        }


_ARMS = "arms"
# Of every section but `arms`: the configs that its options belong to.
_SECTIONS: dict[str, OptionTypes] = {
    "study": (StudyConfig, StudyRunConfig),
    "source": (PHOTOGRAPHS,),
    "controlnet": (ControlNetConfig,),
    "twins": (method_choice(), OutputConfig),
    "segmentation": (SegmentationConfig,),
}


def read_study(arguments: Sequence[str]) -> tuple[StudyPlan, StudyRunConfig]:
    """The study that the command line asks for.

    Args:
        arguments: `--config FILE`, a file or shipped recipe with the sections `study`, `arms`,
            `source`, `controlnet`, `twins` and `segmentation`; flags that override `study`, and
            others with their section in front, such as `--source.data_dir`.

    Raises:
        ValueError: a section, option or arm is unknown or does not fit.
    """
    parser = OptionParser(prog="scribblegen study", add_help=False)
    parser.add_argument("--config")
    config, given = parser.parse_known_args(list(arguments))
    data: Any = {}
    if config.config is not None:
        data = read_config(config.config) or {}
    known = [*_SECTIONS, _ARMS]
    if not isinstance(data, dict) or not set(data) <= set(known):
        raise ValueError(f"`config` {config.config} must hold the sections {known}, no others.")
    for name in _SECTIONS:
        if not isinstance(data.get(name) or {}, dict):
            raise ValueError(
                f"`{name}` in {config.config} must hold `option: value` lines. "
                f"Got {shown(data[name])}."
            )
    flags = _by_section(given)
    for section, types in _SECTIONS.items():
        where = f"{config.config}, section {section}"
        options = {**(data.get(section) or {}), **_choices(types, flags[section])}
        flags[section][:0] = to_arguments(check_options(options, types, where))
    study, run = _parse("study", flags)
    if config.config is None or run.output_dir is None:
        raise ValueError("`config` and `output_dir` must be given.")
    (source,) = _parse("source", flags)
    if (source.test_ids is None) == (study.folds == 0) or source.held_out is not None:
        raise ValueError(
            "`test_ids` must be given in section source: what is reported. Where there is no such "
            "split, `folds` of section study holds parts of the photographs out in turn."
        )
    twins, output = _parse("twins", flags)
    if not hasattr(twins, "subset_names"):
        raise ValueError(
            f"`method` must be one whose options tell its subsets (`subset_names`). "
            f"{type(twins).__name__} does not."
        )
    (segmentation,) = _parse("segmentation", flags)
    plan = StudyPlan(
        study=study,
        arms=read_arms(
            study.arms,
            data.get(_ARMS) or {},
            segmentation=flags["segmentation"],
            subsets=twins.subset_names,
            where=config.config,
        ),
        source=source,
        controlnet=_parse("controlnet", flags)[0] if flags["controlnet"] else None,
        twins=twins,
        output=output,
        segmentation=segmentation.changed(),
    )
    return plan, run


def _choices(types: OptionTypes, flags: Sequence[str]) -> dict[str, str]:
    """What a section's flags choose: it decides which options its part of the file may hold."""
    parser = OptionParser(prog="scribblegen study", add_help=False)
    for kind in types:
        if isinstance(kind, Choice):
            parser.add_argument(f"--{kind.option}")
    found = vars(parser.parse_known_args(list(flags))[0])
    return {name: value for name, value in found.items() if value is not None}


def _parse(section: str, flags: dict[str, list[str]]) -> tuple[Any, ...]:
    return parse_configs(
        _SECTIONS[section],
        flags[section],
        program="scribblegen study",
        description="Which scheme helps, with how little data.",
    )


def _by_section(flags: Sequence[str]) -> dict[str, list[str]]:
    """`--source.data_dir X --seeds 0 1` -> the flags of every section, those without one of
    `study`."""
    found: dict[str, list[str]] = {section: [] for section in _SECTIONS}
    current = "study"
    for flag in flags:
        if flag.startswith("--"):
            section, dot, name = flag.removeprefix("--").partition(".")
            current = section if dot and section in found else "study"
            flag = f"--{name}" if dot and section in found else flag
        found[current].append(flag)
    return found
