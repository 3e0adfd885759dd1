"""A run, put together and checked before any work."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scribblegen.classes import Classes
from scribblegen.configs import location_options, to_dict, without_paths
from scribblegen.methods.base import Method
from scribblegen.runs.config import OutputConfig
from scribblegen.runs.folder import Header
from scribblegen.runs.shards import Unit, default_sources_per_shard, plan_units
from scribblegen.sources import Source


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """Everything that a run needs, opened and checked.

    Args:
        method_name: as the table of methods has it.
        method: makes the records.
        sources: by split; `train` is always there.
        output: how rows are stored.
        folder: the folder of the repository.
        units: of work, of all splits.
        options: all of them, flat, as `run/config.yaml` has them.
        locations: names of the options that say where things lie, not what they hold.
    """

    method_name: str
    method: Method[Any]
    sources: Mapping[str, Source]
    output: OutputConfig
    folder: Path
    units: list[Unit]
    options: dict[str, Any]
    locations: Collection[str]

    @property
    def classes(self) -> Classes:
        return self.sources["train"].classes

    @property
    def generated_splits(self) -> list[str]:
        """The splits of whose items the method makes something."""
        return [
            split
            for split in self.sources
            if any(s.generated and split in s.splits for s in self.method.subsets)
        ]


def open_run(
    method_name: str,
    method: Method[Any],
    sources: Mapping[str, Source],
    output: OutputConfig,
    folder: str | Path,
    *,
    options: Mapping[str, Any],
    locations: Collection[str] = (),
) -> Run:
    """Puts a run together.

    Args:
        method_name: as the table of methods has it.
        method: opened.
        sources: by split; `train` is always there.
        output: how rows are stored.
        folder: the folder of the repository.
        options: the options of the source, flat; those of method and output are added.
        locations: names of those options that say where things lie, not what they hold.
    """
    per_shard = output.sources_per_shard or default_sources_per_shard(len(sources["train"]))
    return Run(
        method_name=method_name,
        method=method,
        sources=sources,
        output=output,
        folder=Path(folder),
        units=[
            unit
            for split, source in sources.items()
            for unit in plan_units(split, len(source), per_shard)
        ],
        options={
            "method": method_name,
            **options,
            **to_dict(method.config, output),
            "sources_per_shard": per_shard,
        },
        locations={*locations, *location_options(method.config, output)},
    )


def run_header(run: Run) -> Header:
    """What the manifest says of the run. Reads every label and every weight: a few seconds."""
    options = without_paths(run.options)
    return Header(
        method=run.method_name,
        identity={
            **{key: value for key, value in options.items() if key not in run.locations},
            **{f"{split} files": source.fingerprint() for split, source in run.sources.items()},
            **run.method.identity(),
        },
        config=options,
        classes=run.classes,
        subsets=run.method.subsets,
        spanning=getattr(run.method.config, "SPANNING", ()),
        num_units=len(run.units),
        vocabulary=run.sources["train"].vocabulary,
    )
