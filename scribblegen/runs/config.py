"""The options of a run besides its source and its method."""

from dataclasses import dataclass

from scribblegen.configs import option
from scribblegen.images import IMAGE_FORMATS


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """How the rows of a run are made and stored, whatever the method."""

    image_format: str = option("webp", "webp (lossless), png or jpeg (quality 95).")
    sources_per_shard: int | None = option(
        None,
        "Sources in a shard, the unit of work and resume; by their number if unset (8 .. 256).",
    )
    num_threads: int = option(
        1, "CPU threads of a process. Changes the last bits; use more processes for more cores."
    )
    license: str = option("unknown", "License of the photographs, for the card.")

    def __post_init__(self) -> None:
        if self.image_format not in IMAGE_FORMATS:
            raise ValueError(
                f"`image_format` must be one of {IMAGE_FORMATS}. Got {self.image_format!r}."
            )
        if self.sources_per_shard is not None and self.sources_per_shard < 1:
            raise ValueError(
                f"`sources_per_shard` must be at least 1. Got {self.sources_per_shard}."
            )
        if self.num_threads < 1:
            raise ValueError(f"`num_threads` must be at least 1. Got {self.num_threads}.")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where and with how many processes. Changes no byte of the result."""

    output_dir: str | None = option(None, "Folder of the dataset repository.")
    num_processes: int = option(
        1, "Processes on this machine; started through `accelerate launch` if above 1."
    )
    profile: bool = option(False, "Print where the time was spent.")
    memory_budget: float | None = option(
        None,
        "Gigabytes that `--rows auto` may fill in a process; 80 % of a GPU, or a share of the free "
        "memory, if unset.",
    )

    def __post_init__(self) -> None:
        if self.num_processes < 1:
            raise ValueError(f"`num_processes` must be at least 1. Got {self.num_processes}.")
        if self.memory_budget is not None and self.memory_budget <= 0:
            raise ValueError(f"`memory_budget` must be above 0. Got {self.memory_budget}.")


@dataclass(frozen=True, kw_only=True)
class DryRunConfig:
    """Whether a run is only tried."""

    dry_run: bool = option(
        False,
        "Open everything, look at the source, make a few images, and say how many there would be, "
        "how long they take and how much room; nothing is written.",
    )
