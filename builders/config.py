"""The options of each source. Equal configs over equal files give equal items.

No config has a field for its source: the table `scribblegen.builders.sources.SOURCES` says which
config belongs to which.
"""

from dataclasses import dataclass
from typing import ClassVar

from scribblegen.configs import option
from scribblegen.parts import parse_part
from scribblegen.pixel_limits import LARGEST_MAX_PIXELS, MAX_PIXELS
from scribblegen.scribbles.label_conventions import CONVENTIONS, parse_label_map

SCRIBBLE_ORIGINS = ("auto", "files", "simulate", "mask")


@dataclass(frozen=True, kw_only=True)
class PhotographsConfig:
    """What every source of photographs has: which of them, and how their scribbles are drawn."""

    ids: str | None = option(None, "Which photographs to train on; all of them if unset.")
    validation_ids: str | None = option(None, "As `ids`, for a validation split of `real`.")
    test_ids: str | None = option(None, "As `ids`, for a test split of `real`.")
    max_samples: int | None = option(None, "Use at most this many photographs of each split.")
    train_fraction: float = option(
        1.0,
        "Use this share of the training photographs, chosen by their ids: those of a smaller "
        "share are all in a larger one.",
    )
    held_out: str | None = option(
        None,
        "Part of the photographs to keep from training as the test split, such as 1/5: the first "
        "of five parts, chosen by their ids.",
    )
    scribbles: str = option(
        "auto",
        "files (the source's own), simulate (from masks), mask (the whole mask: full "
        "supervision), or auto: files where it has any, else simulate.",
    )
    scribble_width: float | None = option(
        None, "Width of simulated strokes in pixels; by image size where unset (3 at 500)."
    )
    scribble_error_rate: float = option(
        0.0, "Share of simulated stroke pixels that err, at most 0.03."
    )
    scribble_seed: int = option(0, "Root seed of simulated, shrunk and dropped strokes.")
    scribble_shrink: float = option(0.0, "Share cut off every stroke's length, in [0, 1].")
    scribble_drop: float = option(0.0, "Probability to drop a stroke, in [0, 1).")

    def __post_init__(self) -> None:
        if self.scribbles not in SCRIBBLE_ORIGINS:
            raise ValueError(
                f"`scribbles` must be one of {SCRIBBLE_ORIGINS}. Got {self.scribbles!r}."
            )
        if self.max_samples is not None and self.max_samples < 1:
            raise ValueError(f"`max_samples` must be at least 1. Got {self.max_samples}.")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"`train_fraction` must be in (0, 1]. Got {self.train_fraction}.")
        if self.held_out is not None:
            parse_part(self.held_out)
            if self.test_ids is not None:
                raise ValueError(
                    "`held_out` must be left out where `test_ids` is given: both say what the test "
                    f"split is. Got {self.held_out} and {self.test_ids}."
                )
        if self.scribble_width is not None and not 1 <= self.scribble_width < float("inf"):
            raise ValueError(
                f"`scribble_width` must be 1 pixel or more. Got {self.scribble_width}."
            )
        if not 0 <= self.scribble_shrink <= 1:
            raise ValueError(f"`scribble_shrink` must be in [0, 1]. Got {self.scribble_shrink}.")
        if not 0 <= self.scribble_drop < 1:
            raise ValueError(f"`scribble_drop` must be in [0, 1). Got {self.scribble_drop}.")
        if self.scribble_error_rate != 0:
            from scribblegen.scribbles.errors import MAX_ERROR_RATE  # loads SciPy

            if not 0 <= self.scribble_error_rate <= MAX_ERROR_RATE:
                raise ValueError(
                    f"`scribble_error_rate` must be in [0, {MAX_ERROR_RATE}]. "
                    f"Got {self.scribble_error_rate}."
                )


@dataclass(frozen=True, kw_only=True)
class ScenesConfig(PhotographsConfig):
    """Procedural scenes with exact masks and captions: the source that needs no download."""

    ids: str | None = option(
        None, "Range of scenes, such as 0:64, or 0:64@dusk of one light; the first 64 if unset."
    )
    scene_size: int = option(64, "Side of the scenes in pixels.")
    scene_seed: int = option(0, "Seed of the scenes.")

    def __post_init__(self) -> None:
        from scribblegen.builders.scenes.painter import MIN_SIDE

        super().__post_init__()
        if self.scene_size < MIN_SIDE:
            raise ValueError(f"`scene_size` must be at least {MIN_SIDE}. Got {self.scene_size}.")


@dataclass(frozen=True, kw_only=True)
class LabelFilesConfig(PhotographsConfig):
    """What every source has that reads photographs and labels from files of others."""

    classes: str | None = option(
        None, "voc, ade20k, a classes.json or text file, or names separated by commas."
    )
    max_side: int | None = option(
        None,
        "Reduce larger photographs, with their labels, to this many pixels on the longer side.",
    )
    max_pixels: int = option(
        MAX_PIXELS,
        "Leave out photographs and labels of more pixels, before memory is taken for them; up to "
        f"{LARGEST_MAX_PIXELS:,}. Of larger ones than the default, `max_side` saves most memory.",
    )
    label_convention: str | None = option(
        None,
        "What label files hold: ids (class ids; 255: nobody drew), one_based (ids from 1; 0: "
        "nobody drew), binary (0, and 255 or 1), colors (those of the class list), palette_colors "
        "(those of the files' palettes), rloss (254 is unlabelled too) or agmm (the number of "
        "classes is). Where unset, ids, unless a look at some labels speaks against it.",
    )
    label_map: list[str] = option(
        [], "Ids of the labels that are other classes here, such as 7:0 8:1; 255: nobody drew."
    )
    ignore_ids: list[int] = option(
        [], "Ids of the labels where nobody drew, beside 255, such as 0 150."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_side is not None and self.max_side < 1:
            raise ValueError(f"`max_side` must be at least 1. Got {self.max_side}.")
        if not 1 <= self.max_pixels <= LARGEST_MAX_PIXELS:
            raise ValueError(
                f"`max_pixels` must be from 1 to {LARGEST_MAX_PIXELS:,}. Got {self.max_pixels:,}. "
                "Reduce larger photographs, with their labels, beforehand."
            )
        if self.label_convention not in (None, *CONVENTIONS):
            raise ValueError(
                f"`label_convention` must be one of {CONVENTIONS}. Got {self.label_convention!r}."
            )
        renamed = parse_label_map(self.label_map)
        outside = [i for i in self.ignore_ids if not 0 <= i <= 255]
        if outside:
            raise ValueError(f"`ignore_ids` must be in 0..255. Got {outside[0]}.")
        twice = sorted(renamed.keys() & set(self.ignore_ids))
        if twice:
            raise ValueError(
                f"`ignore_ids` must not name what `label_map` renames. Got {twice[0]} in both."
            )


@dataclass(frozen=True, kw_only=True)
class FolderConfig(LabelFilesConfig):
    """Any folder of photographs with masks or scribbles in sibling folders."""

    LOCATIONS: ClassVar = ("data_dir",)

    ids: str | None = option(
        None, "List file in or outside `data_dir`, one id a line; every photograph if unset."
    )
    data_dir: str | None = option(None, "Folder of the photographs and their labels.")
    image_dir: str | None = option(
        None, "Folder of photographs inside `data_dir`, which `.` stands for."
    )
    mask_dir: str | None = option(None, "Folder of dense masks inside `data_dir`.")
    scribble_dir: str | None = option(None, "Folder of scribbles inside `data_dir`.")


@dataclass(frozen=True, kw_only=True)
class PascalScribbleConfig(LabelFilesConfig):
    """PASCAL VOC 2012 with the scribbles of ScribbleSup; its classes are VOC's if unset."""

    LOCATIONS: ClassVar = ("data_dir",)

    ids: str | None = option(
        None, "List of ImageSets, or 1_2 .. 1_16, a part of train_aug; train_aug if unset."
    )
    data_dir: str | None = option(None, "Folder VOC2012, or the folder above it.")
    scribble_dir: str | None = option(None, "Folder of scribbles inside `data_dir`.")


@dataclass(frozen=True, kw_only=True)
class HubConfig(LabelFilesConfig):
    """Any data set of the Hub, or a local folder that `datasets` reads as one."""

    LOCATIONS: ClassVar = ("dataset_name",)

    ids: str | None = option(None, "Split, or a part of one such as train[:100]; train if unset.")
    dataset_name: str | None = option(None, "Hub id or folder for `load_dataset`.")
    dataset_config_name: str | None = option(None, "Config (subset) of that dataset.")
    dataset_revision: str | None = option(None, "Revision of that dataset on the Hub.")
    image_column: str = option("image", "Column of photographs.")
    label_column: str | None = option(None, "Column of scribbles.")
    mask_column: str | None = option(None, "Column of dense masks.")
    caption_column: str | None = option(None, "Column of captions.")
    id_column: str | None = option(None, "Column of unique ids; row numbers where unset.")


@dataclass(frozen=True, kw_only=True)
class SubsetConfig(PhotographsConfig):
    """A subset that this project made: of a run's folder, finished or not, or of the Hub."""

    LOCATIONS: ClassVar = ("subset",)

    ids: str | None = option(None, "Split, or a part of one such as train[:100]; train if unset.")
    subset: str | None = option(
        None, "REPO:subset, such as me/twins:guidance2-encode0.5: Hub id or folder; `real` if REPO."
    )
    subset_revision: str | None = option(None, "Revision of that repository on the Hub.")
