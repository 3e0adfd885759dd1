"""The options of a study: sections of one YAML file, each with the options of its command."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from scribblegen.builders.config import SourceConfig
from scribblegen.configs import check_options, option, parse_configs, to_arguments
from scribblegen.methods.scribblegen_config import ScribbleGenConfig
from scribblegen.recipes import read_config_file
from scribblegen.runs.config import OutputConfig
from scribblegen.trainers.controlnet.config import ControlNetConfig
from scribblegen.trainers.segmentation.config import SegmentationConfig
from scribblegen.trainers.segmentation.schemes import SCHEMES

REAL, MASKS, FIXED, AGREED = "real", "masks", "fixed-", "+agreed"


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What is compared."""

    fractions: list[float] = option([1.0, 0.5, 0.25, 0.125], "Shares of the training sources.")
    seeds: list[int] = option([0, 1, 2], "Seeds of the segmentor's training.")
    arms: list[str] = option(
        [REAL, "uniform", "curriculum", "adaptive", "synthetic_only", MASKS],
        "real (scribbles alone), masks (full supervision), fixed-R (twins of encode ratio R), or a "
        "scheme over all twins; with +agreed behind it, only over those twins that a segmentor "
        "trained on the real scribbles agrees with.",
    )
    min_agreement: float = option(0.7, "Share of scribbled pixels that it must agree on.")

    def __post_init__(self) -> None:
        if not self.fractions or not all(0 < f <= 1 for f in self.fractions):
            raise ValueError(f"`fractions` must be numbers in (0, 1]. Got {self.fractions}.")
        if not self.seeds:
            raise ValueError("`seeds` must hold at least one.")
        for arm in self.arms:
            name = arm.removesuffix(AGREED)
            if name in SCHEMES[1:] or (arm in (REAL, MASKS)):
                continue
            try:
                float(name.removeprefix(FIXED) if name.startswith(FIXED) else "")
            except ValueError as error:
                known = [REAL, MASKS, f"{FIXED}R", *SCHEMES[1:]]
                raise ValueError(f"`arms` must be of {known}. Got {arm!r}.") from error
        if any(arm.endswith(AGREED) for arm in self.arms) and REAL not in self.arms:
            raise ValueError(f"`arms` must hold {REAL}: it judges the twins of {AGREED}.")


@dataclass(frozen=True, kw_only=True)
class StudyRunConfig:
    """Where, and with how many processes. Changes no figure."""

    output_dir: str | None = option(None, "Folder of the study.")
    num_processes: int = option(1, "Segmentors trained at once, each by one thread.")


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A study, parsed and checked."""

    study: StudyConfig
    source: SourceConfig
    controlnet: ControlNetConfig
    twins: ScribbleGenConfig
    output: OutputConfig
    segmentation: dict[str, Any]

    def subset(self, encode_ratio: float) -> str:
        return f"guidance{self.twins.guidance_scales[0]:g}-encode{encode_ratio:g}"

    def arm_options(self, arm: str) -> dict[str, Any]:
        """What an arm adds to the segmentation's options; `synthetic` as subsets."""
        if arm in (REAL, MASKS):
            return {"scheme": "none", "labels": "mask" if arm == MASKS else "scribble"}
        name = arm.removesuffix(AGREED)
        ratios = self.twins.encode_ratios
        if name.startswith(FIXED):
            ratios, name = [float(name.removeprefix(FIXED))], "append"
        return {"scheme": name, "synthetic": [self.subset(r) for r in ratios]}


_SECTIONS: dict[str, tuple[type, ...]] = {
    "study": (StudyConfig, StudyRunConfig),
    "source": (SourceConfig,),
    "controlnet": (ControlNetConfig,),
    "twins": (ScribbleGenConfig, OutputConfig),
    "segmentation": (SegmentationConfig,),
}


def read_study(arguments: Sequence[str]) -> tuple[StudyPlan, StudyRunConfig]:
    """The study that the command line asks for.

    Args:
        arguments: `--config FILE`, a file or shipped recipe with the sections `study`, `source`,
            `controlnet`, `twins` and `segmentation`; flags that override `study`, and others with
            their section in front, such as `--source.data_dir`.

    Raises:
        ValueError: a section or option is unknown or does not fit.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    config, given = parser.parse_known_args(list(arguments))
    flags = _by_section(given)
    data: Any = {}
    if config.config is not None:
        data = yaml.safe_load(read_config_file(config.config)) or {}
    if not isinstance(data, dict) or not set(data) <= set(_SECTIONS):
        raise ValueError(
            f"`config` {config.config} must hold the sections {list(_SECTIONS)}, no others."
        )
    parsed: list[Any] = []
    for section, types in _SECTIONS.items():
        where = f"{config.config}, section {section}"
        options = check_options(data.get(section) or {}, types, where)
        parsed += parse_configs(
            types,
            to_arguments(options) + flags[section],
            program="scribblegen study",
            description="Which scheme helps, with how little data.",
        )
    study, run, source, controlnet, twins, output, segmentation = parsed
    if config.config is None or run.output_dir is None:
        raise ValueError("`config` and `output_dir` must be given.")
    if source.test_ids is None:
        raise ValueError("`test_ids` must be given in section source: what is reported.")
    if len(twins.guidance_scales) > 1:
        raise ValueError(
            f"`guidance_scales` of a study must be one number. Got {twins.guidance_scales}."
        )
    for arm in study.arms:
        name = arm.removesuffix(AGREED)
        if name.startswith(FIXED) and float(name.removeprefix(FIXED)) not in twins.encode_ratios:
            raise ValueError(
                f"`arms` {arm} must be one of the encode ratios {twins.encode_ratios}."
            )
    plan = StudyPlan(
        study=study, source=source, controlnet=controlnet, twins=twins, output=output,
        segmentation=segmentation.changed(),
    )  # fmt: skip
    return plan, run


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
