"""The options of MagicSeg. No torch: the command line reads it."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.engine.encode_ratio import timesteps_of
from scribblegen.methods.attention_config import AttentionConfig

CF_MODES = ("nothing", "delete", "hypernym", "swap", "negative_prompt")
CF_NOISES = ("shared", "independent")
CF_CHECKS = ("attention", "detector", "clip", "none")
CF_FAILURES = ("mark", "reject")
MASKS = ("attention", "detector")
MASK_MODES = ("words", "union")
MASK_CHOICES = ("stability", "predicted_iou", "single")

# From which score on the word is gone, by check, where nobody says.
CF_THRESHOLDS = {"attention": 0.5, "clip": 0.5}


@dataclass(frozen=True, kw_only=True)
class MagicSegConfig(AttentionConfig):
    """Descriptions -> pairs of images with masks. Equal configs and texts give equal pairs."""

    LOCATIONS: ClassVar[tuple[str, ...]] = (
        *AttentionConfig.LOCATIONS,
        "detector",
        "segmenter",
        "clip_model",
    )

    guidance_scale: float = option(7.5, "Classifier-free guidance; 1 is none.")
    num_inference_steps: int = option(20, "Denoising steps.")
    cf_mode: str = option(
        "nothing",
        "What the text of the counterfactual image has in place of its words: nothing, that word "
        "(the paper); delete, no word; hypernym, what they are a kind of; swap, other words of the "
        "vocabulary; negative_prompt, the words themselves, guided away from.",
    )
    cf_noise: str = option(
        "shared",
        "shared: both images of a pair start from the same noise, bit for bit; independent: each "
        "from its own (the paper).",
    )
    cf_encode_ratio: float | None = option(
        None,
        "Make the counterfactual image from the other one, to which this share of the noise "
        "schedule is added, in (0, 1]; from noise alone if unset.",
    )
    masks: str = option(
        "attention",
        "What masks are read from: attention, of the network that draws; or a detector's boxes and "
        "a segmenter's masks of them (the paper).",
    )
    mask_mode: str = option(
        "words", "words: each of a text's words has a value of its own; union: 1 for all of them."
    )
    detector: str | None = option(
        None,
        "Folder or Hub id of an open-vocabulary detector, such as Grounding DINO or OWLv2, by "
        "transformers.",
    )
    segmenter: str | None = option(
        None, "Folder or Hub id of what makes masks of boxes, SAM or SAM 2, by transformers."
    )
    mask_choice: str = option(
        "stability",
        "Which of the masks that the segmenter offers for a box is taken: stability, the surest "
        "that changes least; predicted_iou, the surest; single, the only one asked for (the "
        "paper).",
    )
    box_threshold: float = option(0.30, "How sure the detector must be of a box, in [0, 1].")
    text_threshold: float = option(0.25, "How sure of each word of it, in [0, 1].")
    cf_check: str = option(
        "attention",
        "How it is tested that the words are gone from the counterfactual image: attention, to "
        "them, against the other image's; detector, their best score; clip, the fall of a CLIP "
        "model's margin; or none.",
    )
    clip_model: str | None = option(
        None, "Folder or Hub id of the CLIP model of check clip, by transformers."
    )
    cf_threshold: float | None = option(
        None,
        "From which `cf_absent_score` on a word is gone, in [0, 1]. If unset "
        f"{CF_THRESHOLDS['attention']} for attention and for clip, and for a detector what "
        "`box_threshold` leaves of 1.",
    )
    cf_failures: str = option(
        "mark", "What becomes of pairs that fail: mark, in `cf_passed`; or reject."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (
            ("cf_mode", CF_MODES),
            ("cf_noise", CF_NOISES),
            ("cf_check", CF_CHECKS),
            ("cf_failures", CF_FAILURES),
            ("masks", MASKS),
            ("mask_mode", MASK_MODES),
            ("mask_choice", MASK_CHOICES),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}. Got {getattr(self, name)!r}.")
        for name in ("box_threshold", "text_threshold", "cf_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Got {value}.")
        if self.cf_encode_ratio is not None:
            if not 0 < self.cf_encode_ratio <= 1:
                raise ValueError(
                    f"`cf_encode_ratio` must be in (0, 1]. Got {self.cf_encode_ratio}."
                )
            timesteps_of(self.cf_encode_ratio, self.num_inference_steps, sampler=self.sampler)
        if self.cf_mode == "negative_prompt" and self.guidance_scale == 1:
            raise ValueError(
                "`guidance_scale` must be above 1 for `cf_mode` negative_prompt: without guidance "
                "nothing is guided away from. Got 1."
            )
        if self.cf_check == "none" and (self.cf_threshold is not None or self.rejects):
            raise ValueError(
                "`cf_threshold` and `cf_failures` reject must be left out with `cf_check` none: "
                "nothing is tested. Choose a check."
            )
        by_detector = [
            f"`{option}` detector"
            for option in ("masks", "cf_check")
            if getattr(self, option) == "detector"
        ]
        self._require("detector", by_detector)
        self._require("segmenter", by_detector if self.masks == "detector" else [])
        self._require("clip_model", ["`cf_check` clip"] if self.cf_check == "clip" else [])

    @property
    def rejects(self) -> bool:
        """Whether pairs that fail the test are left out."""
        return self.cf_failures == "reject"

    @property
    def reads_attention(self) -> bool:
        """Whether masks or the test are of attention."""
        return "attention" in (self.masks, self.cf_check)

    @property
    def threshold(self) -> float | None:
        """From which score on a word is gone; None where nothing is tested."""
        if self.cf_check == "none" or self.cf_threshold is not None:
            return self.cf_threshold
        return CF_THRESHOLDS.get(self.cf_check, 1 - self.box_threshold)

    def _require(self, name: str, users: list[str]) -> None:
        """Refuses a model that is needed and not given, or given and not needed."""
        given = getattr(self, name)
        if users and given is None:
            raise ValueError(f"`{name}` must be given with {' and '.join(users)}. Got None.")
        if not users and given is not None:
            where = {"clip_model": "`cf_check` clip", "segmenter": "`masks` detector"}
            either = where.get(name, "`masks` or `cf_check` detector")
            raise ValueError(f"`{name}` has no effect without {either}. Got {given}.")
