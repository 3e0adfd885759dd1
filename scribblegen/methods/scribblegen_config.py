"""The options of ScribbleGen and the grid that they span. No torch: the command line reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.engine.encode_ratio import (
    ENCODE_RATIO_MODES,
    SAMPLERS,
    Timesteps,
    timesteps_of,
)
from scribblegen.families.config import PipelineConfig
from scribblegen.families.stable_diffusion.conditioning import (
    CONDITIONING_ENCODINGS,
    NULL_CONDITIONS,
)
from scribblegen.families.stable_diffusion.geometry import GEOMETRIES, OUTPUT_SIZES
from scribblegen.prompts import PROMPT_MODES


@dataclass(frozen=True, kw_only=True)
class ScribbleGenConfig(PipelineConfig):
    """What the twins are made with. Equal configs give equal images."""

    LOCATIONS: ClassVar = (*PipelineConfig.LOCATIONS, "controlnet", "agreement_model")
    # Each of their values makes subsets of its own: a grid may grow.
    SPANNING: ClassVar = ("guidance_scales", "encode_ratios")

    controlnet: str | None = option(
        None, "Folder or Hub id of the ControlNet; the pipeline's own if unset."
    )
    guidance_scales: list[float] = option([2.0], "Classifier-free guidance weights, each >= 1.")
    encode_ratios: list[float] = option(
        [0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        "Shares of the noise schedule added to the source before it is denoised, in (0, 1].",
    )
    encode_ratio_mode: str = option(
        "proportional",
        "proportional: round(ratio * steps) steps run; fixed: all steps, re-spaced (the paper).",
    )
    num_inference_steps: int = option(50, "Denoising steps at encode ratio 1.")
    sampler: str = option(
        "ddim", "ddim (the paper), dpmsolver++ (half the steps), or lcm (for distilled weights)."
    )
    replicates: int = option(1, "Twins of each source in each subset, each with its own noise.")
    seed: int = option(0, "Root seed of the noise.")
    aligned_start: bool = option(
        True, "Add the noise of the first step that is denoised; False: the reference's, one more."
    )
    pure_noise_at_one: bool = option(
        True, "At ratio 1 start from pure noise; False: let a trace of the source through."
    )
    null_condition: str | None = option(
        None,
        "What the unconditional branch drops: text, hint or both; the ControlNet's own if unset.",
    )
    conditioning_encoding: str = option("one_hot", "one_hot (a plane per class) or rgb_palette.")
    prompt_mode: str | None = option(
        None,
        "classes (stem and class names), stem, or caption (the source's own); as the ControlNet "
        "was trained if unset, else classes.",
    )
    prompt_stem: str | None = option(
        None, "First words of the prompt; the ControlNet's own if unset, else the paper's."
    )
    prompt_suffixes: list[str] = option(
        [],
        "Words behind the prompt, such as 'at dusk' 'in fog': one for each replicate of a "
        "source, in turn. They vary what no scribble decides.",
    )
    controlnet_conditioning_scale: float = option(1.0, "Factor on the ControlNet's residuals.")
    control_guidance_start: float = option(
        0.0, "Share of a twin's steps before which the ControlNet is left out."
    )
    control_guidance_end: float = option(
        1.0, "Share of a twin's steps after which the ControlNet is left out: faster, less exact."
    )
    deep_cache_interval: int = option(
        1,
        "Of so many steps one runs the whole networks, the others their outermost layers over "
        "what it left: faster, less exact. 1: all steps are whole.",
    )
    geometry: str = option(
        "square", "square: squashed to one size; bucket: the nearest of a few aspects."
    )
    output_size: str = option(
        "source", "source: twins of the photograph's own size; model: of the network's."
    )
    agreement_model: str | None = option(
        None,
        "Folder or Hub id of a segmentor that looks at each twin: `scores` has on what share of "
        "the scribble it agrees, the card each subset's mean.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.controlnet is not None and self.pipeline is None:
            raise ValueError("`pipeline` must be given with `controlnet`: it holds the rest.")
        for name, known in (
            ("encode_ratio_mode", ENCODE_RATIO_MODES),
            ("conditioning_encoding", CONDITIONING_ENCODINGS),
            ("prompt_mode", (None, *PROMPT_MODES)),
            ("geometry", GEOMETRIES),
            ("output_size", OUTPUT_SIZES),
            ("sampler", SAMPLERS),
            ("null_condition", (None, *NULL_CONDITIONS)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        for name in ("replicates", "deep_cache_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
        if not 0 <= self.control_guidance_start < self.control_guidance_end <= 1:
            raise ValueError(
                "`control_guidance_start` must be below `control_guidance_end`, both in 0..1. Got "
                f"{self.control_guidance_start} and {self.control_guidance_end}."
            )
        if len(set(self.prompt_suffixes)) < len(self.prompt_suffixes):
            raise ValueError(f"`prompt_suffixes` must differ. Got {self.prompt_suffixes}.")
        for name in ("guidance_scales", "encode_ratios"):
            # 2 and 2.0 are one option: the same YAML, hash and provenance.
            values = [float(value) for value in getattr(self, name)]
            object.__setattr__(self, name, values)
            if not values or len({f"{v:g}" for v in values}) < len(values):
                raise ValueError(f"`{name}` must be different numbers, at least one. Got {values}.")
        if not all(1 <= w < float("inf") for w in self.guidance_scales):
            raise ValueError(f"`guidance_scales` must be 1 or more. Got {self.guidance_scales}.")
        self.cells()

    @property
    def subset_names(self) -> list[str]:
        """Names of the subsets with twins, in the order in which they are built."""
        return [cell.subset for cell in self.cells()]

    def cells(self, timesteps: Callable[..., Timesteps] = timesteps_of) -> list["Cell"]:
        """The grid, one cell per subset, given a family's `Schedule.timesteps`."""
        return [
            Cell(
                w,
                r,
                timesteps(
                    r,
                    self.num_inference_steps,
                    mode=self.encode_ratio_mode,
                    aligned_start=self.aligned_start,
                    pure_noise_at_one=self.pure_noise_at_one,
                    sampler=self.sampler,
                ),
            )
            for w in self.guidance_scales
            for r in self.encode_ratios
        ]


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: a subset of the dataset."""

    guidance_scale: float
    encode_ratio: float
    timesteps: Timesteps

    @property
    def subset(self) -> str:
        return f"guidance{self.guidance_scale:g}-encode{self.encode_ratio:g}"
