"""The options of a study: sections of one YAML file, each with the options of its command."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scribblegen.builders.config import PhotographsConfig
from scribblegen.builders.sources import PHOTOGRAPHS
from scribblegen.choices import Choice
from scribblegen.commands.study.arms import check_labeller, read_arms
from scribblegen.commands.study.sources import StudySource, read_variants, study_sources
from scribblegen.configs import (
    OptionTypes,
    check_options,
    option,
    parse_configs,
    read_config,
    to_arguments,
)
from scribblegen.methods.cdsp_config import CdspConfig
from scribblegen.methods.table import method_choice
from scribblegen.option_parser import OptionParser
from scribblegen.runs.config import OutputConfig
from scribblegen.text_files import shown
from scribblegen.trainers.classifier.config import ClassifierConfig
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
    variants: list[str] = option(
        [],
        "Names of variants of the source, from section `variants` of the study's file, such as "
        "shorter strokes; all that it has if unset.",
    )
    scribbles_by_seed: bool = option(
        False, "Simulate, shrink and drop strokes anew for every seed: `scribble_seed` is the seed."
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
        for name in ("fractions", "seeds", "arms", "variants"):
            values = getattr(self, name)
            if (not values and name != "variants") or len(set(values)) < len(values):
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
        variants: by name, the options of the source that differ; empty where it is as it is.
        controlnet: how one is trained on each fraction; None where the twins need none.
        twins: options of the method that draws them.
        output: how they are stored.
        classifier: options of `ClassifierConfig` for the tags of each fraction that are not at
            their defaults; None where pseudo labels need none, or there are none.
        pseudo_labels: how they are made, of photographs and twins; None where there are none.
            Their `pseudo_label_model` may be an arm: its segmentor of the same fraction and seed.
        segmentation: options of `SegmentationConfig` that all arms share and that are not at their
            defaults.
    """

    study: StudyConfig
    arms: dict[str, dict[str, Any]]
    source: PhotographsConfig
    variants: dict[str, dict[str, Any]]
    controlnet: ControlNetConfig | None
    twins: Any
    output: OutputConfig
    classifier: dict[str, Any] | None
    pseudo_labels: CdspConfig | None
    segmentation: dict[str, Any]

    @property
    def labeller(self) -> str | None:
        """The arm whose segmentor makes the pseudo labels that the others learn from, if any."""
        model = self.pseudo_labels and self.pseudo_labels.pseudo_label_model
        return model if model in self.arms else None

    @property
    def sources(self) -> list[StudySource]:
        """The photographs of every variant, fold and, where strokes go by it, seed."""
        return study_sources(
            self.source,
            self.variants,
            folds=self.study.folds,
            seeds=self.study.seeds,
            scribbles_by_seed=self.study.scribbles_by_seed,
        )


_ARMS, _VARIANTS = "arms", "variants"
# Of every section but these: the configs that its options belong to.
_SECTIONS: dict[str, OptionTypes] = {
    "study": (StudyConfig, StudyRunConfig),
    "source": (PHOTOGRAPHS,),
    "controlnet": (ControlNetConfig,),
    "twins": (method_choice(), OutputConfig),
    "classifier": (ClassifierConfig,),
    "pseudo_labels": (CdspConfig,),
    "segmentation": (SegmentationConfig,),
}


def read_study(arguments: Sequence[str]) -> tuple[StudyPlan, StudyRunConfig]:
    """The study that the command line asks for.

    Args:
        arguments: `--config FILE`, a file or shipped recipe with the sections `study`, `arms`,
            `source`, `variants`, `controlnet`, `twins`, `classifier`, `pseudo_labels` and
            `segmentation`; flags that override `study`, and
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
    known = [*_SECTIONS, _ARMS, _VARIANTS]
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
    classifier, pseudo_labels = (
        _parse(section, flags)[0] if flags[section] or section in data else None
        for section in ("classifier", "pseudo_labels")
    )
    _check_labels(classifier, pseudo_labels)
    if pseudo_labels is not None and pseudo_labels.made_of:
        classifier = None  # none is needed
    if segmentation.dry_run or any(arm.get("dry_run") for arm in _arms_of(data)):
        raise ValueError("`dry_run` must not be set in a study: it compares finished trainings.")
    arms = read_arms(
        study.arms,
        data.get(_ARMS) or {},
        segmentation=flags["segmentation"],
        subsets=twins.subset_names,
        where=config.config,
    )
    if pseudo_labels is not None and pseudo_labels.pseudo_label_model is not None:
        check_labeller(pseudo_labels.pseudo_label_model, arms)
    plan = StudyPlan(
        study=study,
        arms=arms,
        source=source,
        variants=read_variants(
            study.variants, data.get(_VARIANTS) or {}, source, where=config.config
        ),
        controlnet=_parse("controlnet", flags)[0] if flags["controlnet"] else None,
        twins=twins,
        output=output,
        classifier=classifier and classifier.changed(),
        pseudo_labels=pseudo_labels,
        segmentation=segmentation.changed(),
    )
    return plan, run


def _check_labels(classifier: ClassifierConfig | None, pseudo_labels: CdspConfig | None) -> None:
    if classifier is not None and pseudo_labels is None:
        raise ValueError("`pseudo_labels` must be a section too where there is a `classifier`.")
    if pseudo_labels is not None and not pseudo_labels.made_of and classifier is None:
        raise ValueError(
            "`classifier` must be a section, of one that is trained for each fraction; or section "
            "`pseudo_labels` must say what else they are made of, such as `from_strokes: true`."
        )


def _arms_of(data: dict[str, Any]) -> list[Any]:
    """What the arms of a study's file add, whatever they are."""
    arms = data.get(_ARMS)
    return [arm for arm in arms.values() if isinstance(arm, dict)] if isinstance(arms, dict) else []


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
