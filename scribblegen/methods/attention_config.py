"""The options of methods that draw from text and read masks of attention. No torch: the command
line reads it."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.engine.encode_ratio import SAMPLERS
from scribblegen.families.config import PipelineConfig
from scribblegen.segmenting.agreeing_threshold import CANDIDATES
from scribblegen.segmenting.normalisers import NORMALISERS

SPREADS = ("self_attention", "affinity", "none")


@dataclass(frozen=True, kw_only=True)
class AttentionConfig(PipelineConfig):
    """How images are drawn from text, and how their attention becomes masks."""

    LOCATIONS: ClassVar[tuple[str, ...]] = (
        *PipelineConfig.LOCATIONS,
        "agreement_model",
        "affinity_model",
        "fusion",
    )

    guidance_scale: float = option(7.0, "Classifier-free guidance; 1 is none.")
    num_inference_steps: int = option(50, "Denoising steps.")
    sampler: str = option("ddim", "ddim or dpmsolver++ (half the steps).")
    seed: int = option(0, "Root seed of the noise.")
    fusion: str = option(
        "default",
        "How much attention maps of each size count: default, paper-voc, or a YAML file of the "
        "same form.",
    )
    normalise: str = option(
        "max",
        "What each map is divided by: max, its own maximum; min_max, after its minimum is taken "
        "off; share, the sum of the maps of all classes.",
    )
    attention_start: float = option(
        0.1, "Share of the steps before which attention is not looked at."
    )
    attention_end: float = option(1.0, "Share of the steps after which it is not looked at.")
    spread: str = option(
        "self_attention",
        "How the coarse mask, by which thresholds are chosen, spreads the maps: self_attention, "
        "along what each place attends to; affinity, by a random walk among places that an "
        "`affinity_model` takes for one thing; or none.",
    )
    affinity_model: str | None = option(
        None,
        "Folder or Hub id of the network of spread affinity, as train-affinity makes it of a first "
        "run's masks.",
    )
    spread_width: int = option(
        4, "Width of the cells of that attention in latent cells: 4 of 512 pixels is 16 x 16."
    )
    spread_times: int = option(4, "How often maps are spread.")
    background_threshold: float = option(
        0.45, "How high a spread map must be, of 1, to win over the rest."
    )
    thresholds: list[float] = option(
        list(CANDIDATES),
        "Candidates for the threshold of each class in each image.",
    )
    ignore_band: float = option(
        0.1, "Where the winning class is not ahead by this much of 1, the mask says nothing."
    )
    refine: bool = option(True, "A dense random field then moves the borders.")
    min_component: float = option(
        0.005, "Parts of a class smaller than this share of the image are given up."
    )
    max_hole: float = option(0.005, "Holes in a class up to this share are filled.")
    min_area: float = option(
        0.0, "Leave out images of whose classes one covers no more than this share."
    )
    max_unsure: float = option(
        0.7, "Leave out images on more than this share of which the mask says nothing."
    )
    agreement_model: str | None = option(
        None,
        "Folder or Hub id of a segmentor that looks at each image: `scores` has on what share of "
        "the mask it agrees.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (
            ("sampler", tuple(s for s in SAMPLERS if s != "lcm")),
            ("spread", SPREADS),
            ("normalise", NORMALISERS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        if not 1 <= self.guidance_scale < float("inf"):
            raise ValueError(f"`guidance_scale` must be 1 or more. Got {self.guidance_scale}.")
        for name in ("num_inference_steps", "spread_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Got {getattr(self, name)}.")
        if self.spread_times < 0:
            raise ValueError(f"`spread_times` must be at least 0. Got {self.spread_times}.")
        if self.spread == "affinity" and self.affinity_model is None:
            raise ValueError(
                "`affinity_model` must be given with `spread` affinity. `scribblegen "
                "train-affinity` makes one of the masks of a run with another `spread`."
            )
        if self.spread != "affinity" and self.affinity_model is not None:
            raise ValueError(
                "`affinity_model` has no effect without `spread` affinity. Got "
                f"{self.affinity_model} and `spread` {self.spread}."
            )
        if not 0 <= self.attention_start < self.attention_end <= 1:
            raise ValueError(
                "`attention_start` must be below `attention_end`, both in 0..1. Got "
                f"{self.attention_start} and {self.attention_end}."
            )
        for name in ("ignore_band", "min_component", "max_hole", "min_area", "max_unsure"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Got {getattr(self, name)}.")
        if not 0 < self.background_threshold < 1:
            raise ValueError(
                f"`background_threshold` must be between 0 and 1. Got {self.background_threshold}."
            )
        values = [float(value) for value in self.thresholds]
        object.__setattr__(self, "thresholds", values)
        ascending = all(a < b for a, b in zip(values, values[1:], strict=False))
        if not values or not ascending or not 0 < values[0] <= values[-1] < 1:
            raise ValueError(
                f"`thresholds` must ascend between 0 and 1, at least one. Got {self.thresholds}."
            )
