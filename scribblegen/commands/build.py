"""`scribblegen build`: photographs with scribbles -> a dataset repository, and a summary of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scribblegen.commands.command_line import is_to_launch, launch, refusals, set_up_logging

if TYPE_CHECKING:
    from scribblegen.runs.generation import Progress

_DEFAULT_PIPELINES = {
    "tiny": "No `pipeline` given: using the small one that ships with scribblegen.",
    "random": "No `pipeline` given: using a tiny one with random weights. Its twins mean nothing.",
}


def main(arguments: Sequence[str]) -> None:
    """`scribblegen build`: in this process, or in as many as `--num_processes` says."""
    from scribblegen.builders.config import SourceConfig
    from scribblegen.configs import parse_configs
    from scribblegen.methods.scribblegen_config import ScribbleGenConfig
    from scribblegen.runs.config import OutputConfig, RunConfig

    with refusals("build"):
        source_config, method_config, output_config, run_config = parse_configs(
            (SourceConfig, ScribbleGenConfig, OutputConfig, RunConfig),
            arguments,
            program="scribblegen build",
            description="Photographs with scribbles -> a dataset repository.",
        )
        if run_config.output_dir is None:
            raise ValueError("`output_dir` must be given: the folder of the repository.")
    if is_to_launch(run_config.num_processes):
        from scribblegen.builders.sources import open_source

        with refusals("build"):  # once, here, rather than in every process
            open_source(source_config)
        launch(
            "build",
            run_config.num_processes,
            arguments,
            "Finished shards are kept: run the same command again to go on.",
        )
        return

    from tqdm.contrib.logging import logging_redirect_tqdm

    from scribblegen.commands.synthesis import open_run, synthesize
    from scribblegen.runs.folder import RunError
    from scribblegen.runs.processes import process_state

    main_process = process_state().is_main_process
    set_up_logging(main_process)
    with refusals("build"):
        run = open_run(
            source_config,
            method_config,
            output_config,
            run_config.output_dir,
            memory_budget=run_config.memory_budget,
        )
    if output_config.pipeline is None and main_process:
        print(_DEFAULT_PIPELINES[str(run.output.pipeline)])
    with refusals("build", (RunError, OSError)):
        with logging_redirect_tqdm():
            progress = synthesize(run)
    if main_process:
        distinct_cells = run.method.images_per_source / method_config.replicates
        _print_summary(run_config.output_dir, progress, distinct_cells)
        if run_config.profile:
            print(f"\n{progress.profile}")


def _print_summary(output_dir: str, progress: "Progress", distinct_cells: float) -> None:
    from scribblegen.cards.dataset import subset_table
    from scribblegen.runs.shards import read_manifest

    subsets = subset_table(read_manifest(Path(output_dir)))
    width = max(len(s["subset"]) for s in subsets)
    rate = sum(progress.images_by_process) / distinct_cells / max(progress.seconds, 1e-9)
    print(f"\n{'subset':<{width}}  {'rows':>8}  {'rejected':>8}  {'MB':>8}  {'images/s':>8}")
    for s in subsets:
        megabytes = f"{s['bytes'] / 1e6:.1f}"
        line = f"{s['subset']:<{width}}  {s['rows']:>8}  {s['rejected']:>8}  {megabytes:>8}"
        print(line if s["guidance_scale"] is None or not rate else f"{line}  {rate:>8.1f}")
    print(_speed(progress))
    example: Any = next((s["subset"] for s in subsets[1:]), subsets[0]["subset"])
    print(f'\nload_dataset("{output_dir}", "{example}")')


def _speed(progress: "Progress") -> str:
    shares = progress.images_by_process
    if not sum(shares):
        return "\nnothing was left to generate"
    rate = sum(shares) / max(progress.seconds, 1e-9)
    line = f"\n{sum(shares)} images in {progress.seconds:.1f} s: {rate:.1f} images/s"
    if len(shares) > 1:
        line += f" ({' + '.join(map(str, shares))} by {len(shares)} processes)"
    return line
