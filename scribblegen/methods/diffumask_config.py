"""The options of DiffuMask. No torch: the command line reads it."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.methods.attention_config import AttentionConfig

RESTS = ("auto", "background", "ignore", "none")


@dataclass(frozen=True, kw_only=True)
class DiffuMaskConfig(AttentionConfig):
    """Class names -> images with masks. Equal configs and prompts give equal images and masks."""

    rest: str = option(
        "auto",
        "What pixels of no named class are: background, the class of that name; ignore, left "
        "unsaid; none, for every pixel is of a class that the prompt names. auto: background "
        "where there is such a class, else none for captions of scenes and ignore for others.",
    )
    soft: bool = option(
        False,
        "Keep the maps too: column `attention`, a grey picture for each of `classes` but the "
        "background.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rest not in RESTS:
            raise ValueError(f"`rest` must be one of {RESTS}. Got {self.rest!r}.")
