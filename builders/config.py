"""Which photographs with scribbles: the options of every source."""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option

SCRIBBLE_ORIGINS = ("auto", "files", "simulate", "mask")


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Equal configs over equal files read equal samples."""

    LOCATIONS: ClassVar = ("data_dir", "dataset_name")

    source: str = option("scenes", "folder, pascal_scribble, hub or scenes.")
    data_dir: str | None = option(None, "Folder of the photographs [folder, pascal_scribble].")
    dataset_name: str | None = option(None, "Hub id or folder for `load_dataset` [hub].")
    dataset_config_name: str | None = option(None, "Config (subset) of that dataset [hub].")
    dataset_revision: str | None = option(None, "Revision of that dataset [hub].")
    ids: str | None = option(
        None,
        "Which sources to use: a list file, one id a line [folder]; a list of "
        "ImageSets or 1_2 .. 1_16 [pascal_scribble]; a split [hub]; a range such as 0:64, or of "
        "one light, 0:64@dusk [scenes].",
    )
    validation_ids: str | None = option(None, "As `ids`, for a validation split of `real`.")
    test_ids: str | None = option(None, "As `ids`, for a test split of `real`.")
    max_samples: int | None = option(None, "Use at most this many sources of each split.")
    max_side: int | None = option(
        None, "Reduce larger photographs, with their labels, to this many pixels on the longer "
        "side [folder]."
    )  # fmt: skip
    train_fraction: float = option(
        1.0, "Use this share of the training sources, chosen by their ids: those of a smaller "
        "share are all in a larger one."
    )  # fmt: skip
    classes: str | None = option(
        None, "voc, ade20k, a classes.json or text file, or names separated by commas."
    )
    image_dir: str | None = option(None, "Folder of images inside `data_dir` [folder].")
    mask_dir: str | None = option(None, "Folder of dense masks inside `data_dir` [folder].")
    scribble_dir: str | None = option(
        None, "Folder of scribbles inside `data_dir` [folder, pascal_scribble]."
    )
    image_column: str = option("image", "Column of photographs [hub].")
    label_column: str | None = option(None, "Column of scribbles [hub].")
    mask_column: str | None = option(None, "Column of dense masks [hub].")
    caption_column: str | None = option(None, "Column of captions [hub].")
    id_column: str | None = option(None, "Column of unique ids; row numbers where unset [hub].")
    scribbles: str = option(
        "auto",
        "files (the source's own), simulate (from masks), mask (the whole mask: full "
        "supervision), or auto: files where it has any, else simulate.",
    )
    scribble_width: float | None = option(
        None, "Width of simulated strokes in pixels; by image size where unset (3 at 500)."
    )
    scribble_error_rate: float = option(0.0, "Share of simulated stroke pixels that err.")
    scribble_seed: int = option(0, "Root seed of simulated, shrunk and dropped strokes.")
    scribble_shrink: float = option(0.0, "Share cut off every stroke's length, in [0, 1].")
    scribble_drop: float = option(0.0, "Probability to drop a stroke, in [0, 1).")
    scene_size: int = option(64, "Side of the scenes in pixels [scenes].")
    scene_seed: int = option(0, "Seed of the scenes [scenes].")

    def __post_init__(self) -> None:
        if self.scribbles not in SCRIBBLE_ORIGINS:
            raise ValueError(
                f"`scribbles` must be one of {SCRIBBLE_ORIGINS}. Got {self.scribbles!r}."
            )
        if self.max_samples is not None and self.max_samples < 1:
            raise ValueError(f"`max_samples` must be at least 1. Got {self.max_samples}.")
        if self.max_side is not None and self.max_side < 1:
            raise ValueError(f"`max_side` must be at least 1. Got {self.max_side}.")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"`train_fraction` must be in (0, 1]. Got {self.train_fraction}.")
        if self.scribble_width is not None and not 1 <= self.scribble_width < float("inf"):
            raise ValueError(
                f"`scribble_width` must be 1 pixel or more. Got {self.scribble_width}."
            )
        if not 0 <= self.scribble_shrink <= 1:
            raise ValueError(f"`scribble_shrink` must be in [0, 1]. Got {self.scribble_shrink}.")
        for name in ("scribble_drop", "scribble_error_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1). Got {getattr(self, name)}.")
