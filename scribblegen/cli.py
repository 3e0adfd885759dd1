"""`scribblegen <command>`. Commands hold no logic: parse, open, call, print what came of it."""

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scribblegen.generation import Progress

_USAGE = """usage: scribblegen <command> [options]

Synthetic scribble-segmentation datasets: generate, write, publish, train.

commands:
  build     photographs with scribbles -> a dataset repository of real and synthetic subsets
  preview   the picture of a run, finished or not: sources, scribbles and their twins
  train-controlnet
            a ControlNet for your classes, on photographs with scribbles

`scribblegen <command> --help` lists a command's options.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"build": build, "preview": preview, "train-controlnet": train_controlnet}
    if not given or given[0] in ("-h", "--help"):
        print(_USAGE, end="")
    elif given[0] == "--version":
        import scribblegen

        print(scribblegen.__version__)
    elif given[0] in commands:
        commands[given[0]](given[1:])
    else:
        sys.exit(f"scribblegen: no command {given[0]!r}. Known: {', '.join(commands)}.")


def build(arguments: Sequence[str]) -> None:
    """`scribblegen build`: in this process, or in as many as `--num_processes` says."""
    from scribblegen.builders.config import SourceConfig
    from scribblegen.configs import parse_configs
    from scribblegen.methods.scribblegen_config import ScribbleGenConfig
    from scribblegen.run_config import OutputConfig, RunConfig

    with _refusals("build"):
        source_config, method_config, output_config, run_config = parse_configs(
            (SourceConfig, ScribbleGenConfig, OutputConfig, RunConfig),
            arguments,
            program="scribblegen build",
            description="Photographs with scribbles -> a dataset repository.",
        )
        if run_config.output_dir is None:
            raise ValueError("`output_dir` must be given: the folder of the repository.")
    if _is_to_launch(run_config.num_processes):
        from scribblegen.builders.sources import open_source

        with _refusals("build"):  # once, here, rather than in every process
            open_source(source_config)
        _launch("scribblegen.synthesize", run_config.num_processes, arguments,
                "Finished shards are kept: run the same command again to go on.")  # fmt: skip
        return

    from tqdm.contrib.logging import logging_redirect_tqdm

    from scribblegen.processes import process_state
    from scribblegen.run_folder import RunError
    from scribblegen.synthesize import open_run, synthesize

    main_process = process_state().is_main_process
    _set_up_logging(main_process)
    with _refusals("build"):
        run = open_run(source_config, method_config, output_config, run_config.output_dir)
    if output_config.pipeline is None and main_process:
        print("No `pipeline` given: using a tiny one with random weights. Its twins mean nothing.")
    with _refusals("build", (RunError, OSError)):
        with logging_redirect_tqdm():
            progress = synthesize(run)
    if main_process:
        distinct_cells = run.method.images_per_source / method_config.replicates
        _print_summary(run_config.output_dir, progress, distinct_cells)


def preview(arguments: Sequence[str]) -> None:
    """`scribblegen preview FOLDER`."""
    import argparse

    parser = argparse.ArgumentParser(
        "scribblegen preview", description="Draws the grid of a finished or an unfinished run."
    )
    parser.add_argument("folder", help="Output folder of the run.")
    parser.add_argument("--output", help="PNG to write; assets/grid.png in the folder if unset.")
    parser.add_argument("--rows", type=int, default=6, help="Sources to show.")
    options = parser.parse_args(arguments)
    from scribblegen.builders.repository import write_gallery

    with _refusals("preview"):
        print(write_gallery(options.folder, options.output, rows=options.rows))


def train_controlnet(arguments: Sequence[str]) -> None:
    """`scribblegen train-controlnet`: in this process, or in as many as `--num_processes` says."""
    from scribblegen.builders.config import SourceConfig
    from scribblegen.configs import parse_configs
    from scribblegen.trainers.controlnet_config import ControlNetConfig, TrainingRunConfig

    with _refusals("train-controlnet"):
        source_config, config, run_config = parse_configs(
            (SourceConfig, ControlNetConfig, TrainingRunConfig),
            arguments,
            program="scribblegen train-controlnet",
            description="Trains a ControlNet on photographs with scribbles.",
        )
        if run_config.output_dir is None:
            raise ValueError("`output_dir` must be given: the folder of the trained ControlNet.")
    if _is_to_launch(run_config.num_processes):
        _launch("scribblegen.trainers.controlnet", run_config.num_processes, arguments,
                "Go on with --resume_from_checkpoint latest.")  # fmt: skip
        return

    from tqdm.contrib.logging import logging_redirect_tqdm

    from scribblegen.builders.sources import open_source
    from scribblegen.processes import process_state
    from scribblegen.trainers.controlnet import ControlNetTrainer

    _set_up_logging(process_state().is_main_process)
    for ids in run_config.id_lists or [source_config.ids]:
        folder = Path(run_config.output_dir)
        if run_config.id_lists:
            folder = folder / Path(ids).stem.replace(":", "-")
        with _refusals("train-controlnet"):
            source = open_source(replace(source_config, ids=ids))
            assert source is not None  # the training split is always there
            trainer = ControlNetTrainer(config, replace(run_config, output_dir=str(folder)), source)
        with _refusals("train-controlnet", (ValueError, OSError, FloatingPointError)):
            with logging_redirect_tqdm():
                print(trainer.train())


@contextmanager
def _refusals(
    command: str, kinds: tuple[type[Exception], ...] = (ValueError, OSError)
) -> Iterator[None]:
    """Ends the command with one message where its user can mend what is wrong."""
    try:
        yield
    except kinds as error:
        sys.exit(f"scribblegen {command}: {error}")


def _is_to_launch(num_processes: int) -> bool:
    from scribblegen.processes import is_launched

    return num_processes > 1 and not is_launched()


def _launch(module: str, num_processes: int, arguments: Sequence[str], advice: str) -> None:
    """Runs `module` in several processes; if one of them fails, ends with `advice`."""
    from scribblegen.processes import launch_command

    if subprocess.run(launch_command(module, num_processes, arguments)).returncode:
        sys.exit(f"scribblegen: a process ended early, see above. {advice}")


def _set_up_logging(main_process: bool) -> None:
    import diffusers
    import transformers

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("scribblegen").setLevel(logging.INFO if main_process else logging.WARNING)
    # They warn of image processors and casts that this package has no part in.
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()


def _print_summary(output_dir: str, progress: "Progress", distinct_cells: float) -> None:
    from scribblegen.cards.render import subset_table
    from scribblegen.shards import read_manifest

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


if __name__ == "__main__":
    main()
